"""The fused CPU kernel against the definition, and its compilation.

Out-of-bounds accesses: tests/asan.sh runs this file under AddressSanitizer.
"""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hybrid_search.errors import UserError
from hybrid_search.ops import LocalAttention2d, local_attention
from hybrid_search.ops.local_attention import BORDERS, build, cpu, which_backend


def _has_compiler():
    try:
        return bool(build.compiler())
    except build.BuildError:
        return False


pytestmark = [
    pytest.mark.compiler,
    pytest.mark.skipif(not _has_compiler(), reason="needs a C++ compiler: apt-get install g++"),
]

NAMES = ("y", "dq", "dk", "dv", "drow", "dcol")


def draw(batch, heads, d, rows, cols, extent, *, content=True, position=True, shared=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    new = lambda *shape: torch.randn(*shape, dtype=torch.float64, generator=generator)  # noqa: E731
    q, k, v = (new(batch, heads, d, rows, cols) for _ in range(3))
    row, col = (new(1 if shared else heads, d // 2, extent) for _ in range(2))
    return [q, k if content else None, v, row if position else None, col if position else None]


def strided(x, form):
    """Return the same numbers as slices of a wider map, channels first or last, or spread in every direction."""
    if x is None or x.dim() == 3 or form == "plain":
        return x
    batch, heads, d, rows, cols = x.shape
    if form == "slice":
        wide = x.new_zeros(batch, heads, 3, d, rows, cols)
        wide[:, :, 1] = x
        return wide[:, :, 1]
    if form == "channels last":
        wide = x.new_zeros(batch, rows, cols, heads, 3, d)
        wide[..., 1, :] = x.permute(0, 3, 4, 1, 2)
        return wide[..., 1, :].permute(0, 3, 4, 1, 2)
    wide = x.new_zeros(batch, heads, d + 1, 2 * rows, 3 * cols)
    wide[:, :, :d, ::2, ::3] = x
    return wide[:, :, :d, ::2, ::3]


def run(tensors, upstream, *, extent, border, backend="cpu", dtype=torch.float64, form="plain"):
    leaves = [None if x is None else strided(x.to(dtype), form).detach().requires_grad_() for x in tensors]
    y = local_attention(*leaves, extent=extent, border=border, backend=backend)
    grads = iter(torch.autograd.grad(y, [x for x in leaves if x is not None], strided(upstream.to(dtype), form)))
    return [y.detach(), *(None if x is None else next(grads) for x in leaves)]


def differences(ours, theirs):
    return {name: (a - b).abs().max().item() for name, a, b in zip(NAMES, ours, theirs, strict=True) if a is not None}


def cases(number, seed):
    """Generate random shapes and options with every border, memory layout and kind of logits."""
    rng = random.Random(seed)
    for n in range(number):
        extent = rng.choice([3, 7])
        content, position = rng.choice([(True, True), (True, True), (True, False), (False, True)])
        d = rng.choice([2, 4, 6, 8, 18]) if position else rng.choice([1, 2, 3, 5, 8, 13])
        shape = (rng.randint(1, 5), rng.choice([1, 2, 3, 8]), d, rng.randint(1, 12), rng.randint(1, 19))
        options = {"content": content, "position": position, "shared": rng.random() < 0.3, "seed": n}
        form = rng.choice(["plain", "slice", "channels last", "spread"])
        yield shape, extent, rng.choice(BORDERS), form, options


@pytest.mark.parametrize("part", range(4))
def test_random_shapes_and_options_match_the_definition(part):
    """Run 500 cases in four parts, so the report names the part that fails."""
    for shape, extent, border, form, options in cases(126, part):
        tensors = draw(*shape, extent, **options)
        upstream = torch.randn_like(tensors[0])
        expected = run(tensors, upstream, extent=extent, border=border, backend="definition")
        ours = run(tensors, upstream, extent=extent, border=border, form=form)
        worst = differences(ours, expected)
        assert max(worst.values()) <= 1e-12, (shape, extent, border, form, options, worst)


@pytest.mark.parametrize("shape", [(2, 4, 8, 12, 20), (3, 8, 16, 7, 7), (2, 2, 32, 4, 4), (1, 2, 4, 9, 33)])
@pytest.mark.parametrize("border", BORDERS)
def test_single_precision_values_and_gradients_have_five_correct_digits(shape, border):
    tensors = draw(*shape, 7)
    upstream = torch.randn_like(tensors[0])
    expected = run(tensors, upstream, extent=7, border=border, backend="portable")
    for form in ("plain", "channels last"):
        ours = run(tensors, upstream, extent=7, border=border, dtype=torch.float32, form=form)
        for name, a, b in zip(NAMES, ours, expected, strict=True):
            assert (a - b).abs().max() <= 2e-5 * b.abs().max(), (name, form)


@pytest.mark.parametrize("size", [(3, 2), (4, 6), (1, 1), (2, 13)])
def test_a_window_wider_than_the_map_matches_the_definition(size):
    for border in BORDERS:
        tensors = draw(2, 2, 4, *size, 7)
        upstream = torch.randn_like(tensors[0])
        expected = run(tensors, upstream, extent=7, border=border, backend="definition")
        ours = run(tensors, upstream, extent=7, border=border)
        assert max(differences(ours, expected).values()) <= 1e-12


@pytest.mark.parametrize("extent", [1, 5, 11])
@pytest.mark.parametrize("border", ["masked", "zero"])
def test_extents_with_another_use_of_registers_match_the_definition(border, extent):
    for shape in [(1, 2, 18, 13, 21), (2, 1, 6, 4, 9)]:
        tensors = draw(*shape, extent)
        upstream = torch.randn_like(tensors[0])
        expected = run(tensors, upstream, extent=extent, border=border, backend="definition")
        ours = run(tensors, upstream, extent=extent, border=border, form="slice")
        assert max(differences(ours, expected).values()) <= 1e-12


@pytest.mark.parametrize("size", [(3, 4), (2, 9)])
@pytest.mark.parametrize("border", BORDERS)
def test_finite_differences_confirm_the_gradients(border, size):
    tensors = [x.requires_grad_() for x in draw(1, 2, 2, *size, 3)]
    call = lambda *t: local_attention(*t, extent=3, border=border, backend="cpu")  # noqa: E731
    assert torch.autograd.gradcheck(call, tensors, atol=1e-7)


@pytest.mark.parametrize("name", ["AVX2", "generic"])
def test_narrower_vectors_have_the_same_results(name, monkeypatch):
    if name in build.INSTRUCTIONS and torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("this processor has no AVX2; run it on one that has")
    target = build.INSTRUCTIONS.get(name, build.GENERIC)
    monkeypatch.setattr(build, "instructions", lambda: target)
    columns = name == "AVX2"  # each name tests one of the two ways to fill a vector, to compile less
    for shape in [(3, 2, 6, 7, 9), (2, 3, 4, 8, 5)] if columns else [(5, 2, 4, 4, 1), (3, 2, 6, 5, 6)]:
        for border in ("masked", "zero") if columns else ("shifted",):
            tensors = draw(*shape, 3)
            upstream = torch.randn_like(tensors[0])
            expected = run(tensors, upstream, extent=3, border=border, backend="definition")
            ours = run(tensors, upstream, extent=3, border=border, form="channels last")
            assert max(differences(ours, expected).values()) <= 1e-12


@pytest.mark.parametrize("shape", [(5, 4, 8, 9, 17), (9, 8, 8, 5, 4)])
def test_the_number_of_threads_does_not_change_a_bit(shape):
    tensors = draw(*shape, 7)
    upstream = torch.randn_like(tensors[0])
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (1, 2, 5):
            torch.set_num_threads(number)
            results.append(run(tensors, upstream, extent=7, border="masked", dtype=torch.float32))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(("rows", "cols"), [(14, 18), (13, 6)])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_number_that_is_not_finite_changes_only_the_windows_that_contain_it(which, rows, cols, value):
    tensors = draw(3, 2, 4, rows, cols, 7)
    upstream = torch.randn_like(tensors[0])
    expected = run(tensors, upstream, extent=7, border="masked", dtype=torch.float32)
    tensors[which][1, 0, 2, 8, 1] = value
    changed = run(tensors, upstream, extent=7, border="masked", dtype=torch.float32)
    near = torch.zeros(rows, cols, dtype=torch.bool)
    if which:
        near[5:12, :5] = True
    else:
        near[8, 1] = True
    y = changed[0]
    reference = run(tensors, upstream, extent=7, border="masked", dtype=torch.float32, backend="definition")[0]
    assert torch.equal(y.isfinite(), reference.isfinite())  # a key of -infinity is finite: its weight is 0
    y[1, 0][:, near] = expected[0][1, 0][:, near]
    assert torch.equal(y, expected[0])
    for ours, theirs in zip(changed[1:4], expected[1:4], strict=True):  # a gradient reaches as far as two windows
        ours[1, 0], theirs[1, 0] = 0, 0
        assert torch.equal(ours, theirs)


def test_an_expanded_upstream_gradient_is_read_correctly():
    tensors = [x.requires_grad_() for x in draw(2, 2, 4, 5, 9, 3)]
    grads = []
    for backend in ("cpu", "definition"):
        y = local_attention(*tensors, extent=3, backend=backend)
        grads.append(torch.autograd.grad(y.sum(), tensors))
    for ours, theirs in zip(*grads, strict=True):
        assert (ours - theirs).abs().max() <= 1e-12


def test_the_result_and_the_gradients_have_the_memory_layout_of_the_queries():
    tensors = draw(2, 2, 4, 5, 9, 3)
    y, dq, *_ = run(tensors, tensors[0], extent=3, border="masked", form="channels last")
    assert y.flatten(1, 2).is_contiguous(memory_format=torch.channels_last)
    assert dq.flatten(1, 2).is_contiguous(memory_format=torch.channels_last)
    y, dq, *_ = run(tensors, tensors[0], extent=3, border="masked", form="slice")
    assert y.is_contiguous()
    assert dq.is_contiguous()


def test_very_small_weights_are_correct_or_0():
    q, k, v, *_ = (None if x is None else x.float() for x in draw(1, 1, 2, 4, 18, 3, position=False))
    k[:] = 0
    k[0, 0, 0, ::2, ::3] = torch.linspace(-120, 0, 12).reshape(2, 6)  # down to below the smallest float32
    q[:] = 1
    ours = local_attention(q, k, v, extent=3, backend="cpu")
    expected = local_attention(q.double(), k.double(), v.double(), extent=3, backend="definition")
    assert (ours - expected).abs().max() <= 2e-5 * expected.abs().max()


def test_training_saves_the_output_and_one_number_for_each_query_and_head():
    tensors = [x.requires_grad_() for x in draw(2, 2, 4, 9, 8, 7)]
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x.numel()) or x, lambda x: x):
        local_attention(*tensors, extent=7, backend="cpu")
    assert sorted(saved) == sorted([*(x.numel() for x in tensors), tensors[0].numel(), 2 * 2 * 9 * 8])


def test_the_operators_pass_the_checks_of_torch():
    tensors = [x.requires_grad_() for x in draw(2, 2, 4, 5, 9, 3)]
    operator = torch.ops.hybrid_search.local_attention_cpu
    torch.library.opcheck(operator, (*tensors, 3, "masked"), test_utils=("test_schema", "test_faketensor"))


def test_a_layer_compiles_to_one_graph_and_exports():
    torch.manual_seed(0)
    layer = LocalAttention2d(8, 3, 2, backend="cpu").double()
    x = torch.randn(2, 8, 6, 9, dtype=torch.float64)
    expected = layer(x)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert (compiled(x) - expected).abs().max() <= 1e-13
    exported = torch.export.export(layer, (x,)).module()
    assert (exported(x) - expected).abs().max() <= 1e-13


def test_the_kernel_runs_float32_and_the_portable_backend_runs_other_types():
    q = torch.randn(1, 2, 4, 3, 18)
    assert which_backend(q, extent=7) == "cpu"
    assert which_backend(q.half(), extent=7) == "portable"
    with pytest.raises(
        UserError, match=r"backend cpu cannot run this: q must be float32 or float64; got torch\.float16"
    ):
        local_attention(q.half(), q.half(), q.half(), extent=3, backend="cpu")


@pytest.fixture
def _fresh(monkeypatch):
    """Clear the caches of compiler, library and notice before and after the test."""
    cached = (build.compiler, build._library, build._version, cpu._why_not, cpu._notice_once)
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


@pytest.mark.usefixtures("_fresh")
def test_without_a_compiler_the_portable_backend_runs_after_a_notice_of_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("CXX", "no-such-compiler")
    q = torch.randn(1, 2, 4, 3, 9)
    assert which_backend(q, extent=3) == "portable"
    assert which_backend(q, extent=5) == "portable"
    notice = capsys.readouterr().err
    assert notice.count("\n") == 1
    assert "no C++ compiler here, looked for no-such-compiler" in notice
    with pytest.raises(UserError, match="backend cpu cannot run this: there is no C\\+\\+ compiler here"):
        local_attention(q, q, q, extent=3, backend="cpu")


@pytest.mark.usefixtures("_fresh")
def test_a_failed_compilation_is_reported_and_leaves_no_files(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(build, "SOURCE", tmp_path / "kernel.cpp")
    (tmp_path / "kernel.cpp").write_text("this is not C++\n")
    q = torch.randn(1, 2, 4, 3, 9)
    with pytest.raises(UserError, match="cannot compile the kernel"):
        local_attention(q, q, q, extent=3, backend="cpu")
    assert which_backend(q, extent=3) == "portable"
    assert not [path for path in tmp_path.rglob("local-attention-*") if path.suffix != ".lock"]


def test_a_change_of_any_kernel_file_changes_the_library(monkeypatch, tmp_path):
    names = {path.name for path in build.SOURCE.parent.iterdir()}
    assert {"kernel.cpp", "vectors.h", "pair_lanes.h", "column_lanes.h"} <= names
    shutil.copytree(build.SOURCE.parent, tmp_path / "kernel")
    monkeypatch.setattr(build, "SOURCE", tmp_path / "kernel" / "kernel.cpp")
    before = build._sources()
    assert len(before) == 2 * len(names)
    for name in sorted(names):
        path = tmp_path / "kernel" / name
        text = path.read_text()
        path.write_text(text + "// changed\n")
        assert build._sources() != before
        path.write_text(text)
    assert build._sources() == before


def test_processes_that_start_together_compile_once(tmp_path):
    code = (
        "from hybrid_search.ops.local_attention import build; import ctypes\n"
        "assert isinstance(build.library(1, 'float', True), ctypes.CDLL)"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    started = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    notices = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], notices
    assert sum(text.count("compiling the local attention kernel") for text in notices) == 1
    assert len(list(tmp_path.rglob("*.so"))) == 1


@pytest.mark.usefixtures("_fresh")
def test_a_library_that_another_user_can_write_is_compiled_again(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    built = []

    def compiled(command, path, what):
        path.write_bytes(b"")
        path.chmod(0o755)
        built.append(path)

    monkeypatch.setattr(build, "_compile", compiled)
    monkeypatch.setattr(build.ctypes, "CDLL", str)
    path = Path(build.library(3, "float", True))
    for mode, times in ((0o755, 1), (0o775, 2), (0o757, 3)):
        path.chmod(mode)
        build._library.cache_clear()
        assert build.library(3, "float", True) == str(path)
        assert built == [path] * times
    path.parent.chmod(0o777)
    monkeypatch.setattr(build, "private_folder", lambda name: tmp_path / name)
    build._library.cache_clear()
    assert build.library(3, "float", True) == str(tmp_path / "cache" / "kernels" / path.name)
