"""The Triton kernels against the definition: run as Python by Triton's interpreter, and compiled for GPUs.

To test them on a GPU: python tests/on_gpu.py.
"""

import os
import random
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch
from test_cpu_kernel import NAMES, differences, draw, run, strided

from hybrid_search.errors import UserError
from hybrid_search.ops import LocalAttention2d, local_attention
from hybrid_search.ops.local_attention import BORDERS, triton_backend, which_backend

pytest.importorskip("triton", reason="needs Triton, which exists for Linux")
with pytest.MonkeyPatch.context() as environment:  # the kernels read it at their import too
    environment.setenv("TRITON_INTERPRET", "1")
    import_module("hybrid_search.ops.local_attention.triton_kernels")
    interpreter = import_module("triton.runtime.interpreter")

HALVES = {torch.bfloat16: 0.03, torch.float16: 0.004}  # largest difference, relative to the largest number


PREPARED = {"hybrid_search.ops.local_attention.triton_kernels"}


def quick_call(self, *args, **options):
    """Call a function within a kernel; prepare its module for the interpreter once instead of in every call."""
    if self.fn.__module__ not in PREPARED:
        PREPARED.add(self.fn.__module__)
        interpreter._patch_lang(self.fn)
    return self.rewrite()(*args, **options)


@pytest.fixture(autouse=True)
def _interpreted(monkeypatch):
    """Run the kernels on the CPU, three times as fast as Triton's own interpreter."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    builder = interpreter.interpreter_builder
    monkeypatch.setattr(builder, "options", replace(builder.options, sanitize_overflow=False))
    monkeypatch.setattr(interpreter.InterpretedFunction, "__call__", quick_call)


def cases(number, seed):
    """Generate small random shapes and options; a program takes some 0.05 s."""
    rng = random.Random(seed)
    for n in range(number):
        content, position = rng.choice([(True, True), (True, True), (True, False), (False, True)])
        d = rng.choice([2, 4, 6, 18]) if position else rng.choice([1, 3, 5, 16])
        batch, heads = rng.choice([(1, 1), (1, 2), (2, 1)])
        rows, cols = rng.choice([(1, 1), (2, 5), (5, 3), (6, 7), (9, 4), (3, 17)])
        options = {"content": content, "position": position, "shared": rng.random() < 0.3, "seed": n}
        form = rng.choice(["plain", "slice", "channels last", "spread"])
        yield (batch, heads, d, rows, cols), rng.choice([1, 3, 5, 7, 19]), BORDERS[n % 3], form, options


@pytest.mark.parametrize("part", range(4))
def test_random_shapes_and_options_match_the_definition(part):
    for shape, extent, border, form, options in cases(4, part):
        tensors = draw(*shape, extent, **options)
        upstream = torch.randn_like(tensors[0])
        expected = run(tensors, upstream, extent=extent, border=border, backend="definition")
        ours = run(tensors, upstream, extent=extent, border=border, backend="triton", form=form)
        worst = differences(ours, expected)
        assert max(worst.values()) <= 1e-12, (shape, extent, border, form, options, worst)


@pytest.mark.parametrize("border", BORDERS)
def test_maps_of_many_tiles_and_chunks_match_the_definition(border):
    shape = (1, 1, 4, 11, 9)
    plan = triton_backend.cut(11, 9, 7, border, 4, 8)
    assert plan.tile_rows < 11
    assert plan.tile_cols < 9
    tensors = draw(*shape, 7)
    upstream = torch.randn_like(tensors[0])
    expected = run(tensors, upstream, extent=7, border=border, backend="definition")
    ours = run(tensors, upstream, extent=7, border=border, backend="triton")
    assert max(differences(ours, expected).values()) <= 1e-12


@pytest.mark.parametrize("size", [(3, 2), (2, 9)])
@pytest.mark.parametrize("border", BORDERS)
def test_a_window_wider_than_the_map_matches_the_definition(border, size):
    tensors = draw(1, 2, 4, *size, 11)
    upstream = torch.randn_like(tensors[0])
    expected = run(tensors, upstream, extent=11, border=border, backend="definition")
    ours = run(tensors, upstream, extent=11, border=border, backend="triton")
    assert max(differences(ours, expected).values()) <= 1e-12


@pytest.mark.parametrize("form", ["plain", "channels last"])
def test_single_precision_values_and_gradients_have_five_correct_digits(form):
    tensors = draw(1, 2, 20, 9, 7, 7)
    upstream = torch.randn_like(tensors[0])
    expected = run(tensors, upstream, extent=7, border="masked", backend="definition")
    ours = run(tensors, upstream, extent=7, border="masked", backend="triton", dtype=torch.float32, form=form)
    for name, a, b in zip(NAMES, ours, expected, strict=True):
        assert a.dtype == torch.float32
        assert (a - b).abs().max() <= 2e-5 * b.abs().max(), name


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("border", BORDERS)
def test_half_precision_loses_only_the_rounding_of_inputs_and_results(border, dtype):
    torch.manual_seed(1)
    tensors = [x.to(dtype).double() for x in draw(1, 2, 16, 8, 10, 5)]
    upstream = torch.randn_like(tensors[0]).to(dtype).double()
    expected = run(tensors, upstream, extent=5, border=border, backend="definition")
    ours = run(tensors, upstream, extent=5, border=border, backend="triton", dtype=dtype, form="channels last")
    for name, a, b in zip(NAMES, ours, expected, strict=True):
        assert a.dtype == dtype
        assert (a - b).abs().max() <= HALVES[dtype] * b.abs().max(), name


def test_finite_differences_confirm_the_gradients():
    tensors = [x.requires_grad_() for x in draw(1, 1, 2, 1, 3, 3)]
    call = lambda *t: local_attention(*t, extent=3, border="zero", backend="triton")  # noqa: E731
    assert torch.autograd.gradcheck(call, tensors, atol=1e-7, fast_mode=True)


def test_the_same_input_gives_the_same_bits():
    tensors = draw(2, 1, 4, 9, 5, 3)
    upstream = torch.randn_like(tensors[0])
    one, other = (
        run(tensors, upstream, extent=3, border="masked", backend="triton", dtype=torch.float32) for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.filterwarnings("ignore:All-NaN slice encountered:RuntimeWarning")  # the interpreter's maximum
@pytest.mark.parametrize("which", [0, 1, 2])
def test_an_image_with_nan_does_not_touch_the_other_images(which):
    tensors = draw(3, 1, 4, 5, 4, 3)
    upstream = torch.randn_like(tensors[0])
    expected = run(tensors, upstream, extent=3, border="masked", backend="triton")
    tensors[which][1] = float("nan")
    changed = run(tensors, upstream, extent=3, border="masked", backend="triton")
    assert changed[0][1].isnan().all()
    for ours, theirs in zip(changed[:4], expected[:4], strict=True):
        assert torch.equal(ours[::2], theirs[::2])


@pytest.mark.parametrize("border", BORDERS)
def test_an_empty_batch_stays_empty_and_has_gradients_of_zero(border):
    tensors = [x.requires_grad_() for x in draw(0, 2, 4, 18, 5, 3)]
    y = local_attention(*tensors, extent=3, border=border, backend="triton")
    y.sum().backward()
    assert y.shape == tensors[0].shape
    assert tensors[3].grad.abs().max() == 0


def test_an_expanded_upstream_gradient_is_read_correctly():
    tensors = [x.requires_grad_() for x in draw(1, 2, 4, 5, 9, 3)]
    grads = []
    for backend in ("triton", "definition"):
        y = local_attention(*tensors, extent=3, backend=backend)
        grads.append(torch.autograd.grad(y.sum(), tensors))
    for ours, theirs in zip(*grads, strict=True):
        assert (ours - theirs).abs().max() <= 1e-12


def test_no_map_is_copied_and_results_have_the_memory_layout_of_the_queries(monkeypatch):
    tensors = [strided(x, "channels last").requires_grad_() for x in draw(1, 2, 4, 5, 9, 3)]
    seen = []
    launch = triton_backend._launch
    monkeypatch.setattr(
        triton_backend, "_launch", lambda name, maps, *rest: seen.extend(maps) or launch(name, maps, *rest)
    )
    y = local_attention(*tensors, extent=3, backend="triton")
    assert y.flatten(1, 2).is_contiguous(memory_format=torch.channels_last)
    assert [x.data_ptr() for x in seen[:3]] == [x.data_ptr() for x in tensors[:3]]
    dq = torch.autograd.grad(y, tensors[0], torch.ones_like(y))[0]
    assert dq.flatten(1, 2).is_contiguous(memory_format=torch.channels_last)


def test_training_saves_the_output_and_one_number_for_each_query_and_head():
    tensors = [x.requires_grad_() for x in draw(1, 2, 4, 9, 8, 7)]
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x.numel()) or x, lambda x: x):
        local_attention(*tensors, extent=7, backend="triton")
    assert sorted(saved) == sorted([*(x.numel() for x in tensors), tensors[0].numel(), 2 * 9 * 8])


def test_the_operators_pass_the_checks_of_torch():
    tensors = [x.requires_grad_() for x in draw(1, 2, 4, 5, 9, 3)]
    operator = torch.ops.hybrid_search.local_attention_gpu
    torch.library.opcheck(operator, (*tensors, 3, "masked"), test_utils=("test_schema", "test_faketensor"))


def test_a_layer_compiles_to_one_graph_and_exports():
    torch.manual_seed(0)
    layer = LocalAttention2d(8, 3, 2, backend="triton").double()
    x = torch.randn(1, 8, 6, 9, dtype=torch.float64)
    expected = layer(x)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(x), expected)
    exported = torch.export.export(layer, (x,)).module()
    torch.testing.assert_close(exported(x), expected, rtol=0, atol=1e-12)  # in the export form


def test_the_kernels_run_on_a_cpu_only_with_the_interpreter(monkeypatch):
    q = torch.randn(1, 2, 4, 3, 5)
    assert which_backend(q, extent=3, backend="triton") == "triton"
    monkeypatch.delenv("TRITON_INTERPRET")
    assert which_backend(q.half(), extent=3) == "portable"
    law = r"q must be on a GPU \(on the CPU only for tests, under TRITON_INTERPRET=1\); got cpu\."
    with pytest.raises(UserError, match=f"backend triton cannot run this: {law}"):
        local_attention(q, q, q, extent=3, backend="triton")


def test_other_gpus_and_machines_without_a_compiler_or_triton_get_the_reason(monkeypatch):
    monkeypatch.setattr(triton_backend, "_missing", triton_backend._missing.__wrapped__)  # without the cache
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (7, 5))
    assert triton_backend._no_device("cuda", 0) == "the GPU must have compute capability 8.0 or more; got 7.5."
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (9, 0))
    monkeypatch.setattr(triton_backend, "which", lambda name: "/usr/bin/clang" if name == "clang" else None)
    assert triton_backend._no_device("cuda", 0) is None
    monkeypatch.setattr(triton_backend, "which", lambda name: None)
    assert triton_backend._no_device("cuda", 0).startswith(
        "Triton needs a C compiler to call its kernels; there is no gcc or"
    )
    monkeypatch.setattr(torch.version, "hip", "7.0")
    assert triton_backend._no_device("cuda", 0) == "the GPU must be one of NVIDIA's; got one of AMD's."
    monkeypatch.setattr(triton_backend, "find_spec", lambda name: None)
    q = torch.randn(1, 1, 4, 3, 5)
    with pytest.raises(UserError, match="backend triton cannot run this: there is no triton here; it comes with"):
        local_attention(q, q, q, extent=3, backend="triton")


def test_unsupported_types_and_widths_are_refused():
    q = torch.zeros(1, 1, 65, 2, 3)
    with pytest.raises(UserError, match=r"head_width must be at most 64 for torch\.float32; got 65\."):
        local_attention(q, q, q, extent=3, backend="triton")
    q = q.to(torch.float8_e4m3fn)
    with pytest.raises(UserError, match=r"q must be float16, bfloat16 or float32; got torch\.float8_e4m3fn"):
        which_backend(q, extent=3, backend="triton")


@pytest.mark.parametrize("size", [2, 4, 8])
def test_every_plan_of_tiles_suits_the_compiler(size):
    """Tiles have sides of at least 4 and products of at least 16 x 16, and they fit."""
    for extent in (1, 3, 7, 11, 63):
        for rows, cols in ((1, 1), (3, 40), (7, 7), (28, 14), (56, 57)):
            for border in BORDERS:
                for width in (1, 8, 33, 256 // size):
                    plan = triton_backend.cut(rows, cols, extent, border, width, size)
                    assert min(plan.tile_rows, plan.tile_cols, plan.chunk_rows, plan.chunk_cols) >= 4
                    assert 16 <= plan.tile_rows * plan.tile_cols <= 64
                    assert 32 <= plan.chunk_rows * plan.chunk_cols <= 64
                    assert 1 <= plan.warps <= 4


@pytest.mark.slow
def test_the_kernels_compile_for_a_gpu_once_for_maps_of_different_sizes():
    """The compiler may refuse programs that the interpreter accepts. It needs no GPU."""
    variables = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-W", "ignore", Path(__file__).with_name("compile_for_gpu.py")]
    command += ["90", "bfloat16", "56x56", "48x64"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == ["forward 1", "backward_queries 1", "backward_keys 1"]
