"""Time local attention on this CPU: every backend, two baselines of public code, and the 3x3 convolution it replaces.

    python benchmarks/local_attention.py [--quick] [--threads 1] [--repeats 9]

Both passes are measured: forward, and forward + backward with the gradients of q, k, v and the tables. Maps are
float32, of 32 images and 8 heads. `layer` is the whole layer with its projections. Rounds are interleaved, so a slow
moment of a shared machine affects all of them. Figures are medians of the CPU time of this thread (wall-clock time if
there are more threads). `ratio` is relative to the faster of the two memory formats of the convolution (oneDNN). The
results are written to results/local-attention-<instructions>.md and .png. ATEN_CPU_CAPABILITY=avx2
ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 limit both sides to AVX2.

"""

import argparse
import ctypes
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F

from hybrid_search.ops import LocalAttention2d, local_attention
from hybrid_search.ops.local_attention import build

MAPS = {  # (channels, rows, cols) -> extents
    (64, 32, 32): (3, 7, 11),
    (128, 16, 16): (3, 7, 11),
    (256, 8, 8): (7,),
    (64, 24, 40): (7,),
    (64, 14, 14): (7,),
    (64, 7, 7): (7,),
}
BATCH, HEADS = 32, 8
FORMATS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
DRAWN = {"cpu, contiguous": "attention alone (q, k, v given)", "layer, channels last": "whole layer"}
SLOW = 40_000_000  # with --quick, baselines are left out if batch x channels x pixels x extent^2 is larger


def unfolded(q, k, v, row, col, extent):
    """Return attention with the keys and values of every window written out, zero borders masked (public code)."""
    batch, heads, d, rows, cols = q.shape

    def windows(x):
        x = F.unfold(x.flatten(1, 2), extent, padding=extent // 2)
        return x.view(batch, heads, d, extent, extent, rows, cols)

    outside = F.unfold(q.new_ones(1, 1, rows, cols), extent, padding=extent // 2) == 0
    r = torch.cat([row[..., None].expand(-1, -1, -1, extent), col[:, :, None].expand(-1, -1, extent, -1)], 1)
    logits = torch.einsum("nhdij,nhdabij->nhabij", q, windows(k)) + torch.einsum("nhdij,hdab->nhabij", q, r)
    logits = logits.flatten(2, 3).masked_fill(outside.view(1, 1, -1, rows, cols), float("-inf"))
    return torch.einsum("nhabij,nhdabij->nhdij", logits.softmax(2).unflatten(2, (extent, extent)), windows(v))


def shifted_products(q, k, v, row, col, extent):
    """Return attention computed with one product of whole maps for each offset."""
    rows, cols = q.shape[-2:]
    pad = (extent // 2,) * 4
    k, v = F.pad(k, pad), F.pad(v, pad)
    inside = F.pad(q.new_ones(rows, cols), pad)
    half = q.shape[2] // 2
    logits = []
    for a in range(extent):
        for b in range(extent):
            here = (..., slice(a, a + rows), slice(b, b + cols))
            position = torch.einsum("nhdij,hd->nhij", q[:, :, :half], row[..., a])
            position = position + torch.einsum("nhdij,hd->nhij", q[:, :, half:], col[..., b])
            logits.append(((q * k[here]).sum(2) + position).masked_fill(inside[here] == 0, float("-inf")))
    weights = torch.stack(logits, 2).softmax(2)
    y = torch.zeros_like(q)
    for a in range(extent):
        for b in range(extent):
            y = y + weights[:, :, a * extent + b, None] * v[..., a : a + rows, b : b + cols]
    return y


def named(backend):
    def call(q, k, v, row, col, extent):
        return local_attention(q, k, v, row, col, extent=extent, backend=backend)

    return call


FORMS = {
    "cpu": named("cpu"),
    "portable": named("portable"),
    "definition": named("definition"),
    "unfold + einsum": unfolded,
    "shifted products": shifted_products,
}


def convolution(channels, rows, cols, form):
    x = torch.randn(BATCH, channels, rows, cols).contiguous(memory_format=form).requires_grad_()
    w = torch.randn(channels, channels, 3, 3).contiguous(memory_format=form).requires_grad_()
    upstream = torch.randn(BATCH, channels, rows, cols).contiguous(memory_format=form)
    return (lambda: F.conv2d(x, w, padding=1)), [x, w], upstream


def attention(channels, rows, cols, extent, call, form):
    """Return (call, leaves, upstream); q, k and v are slices of one map, like the output of the layer's projection."""
    d = channels // HEADS
    x = torch.randn(BATCH, 3 * channels, rows, cols).contiguous(memory_format=form)
    q, k, v = (t.detach().requires_grad_() for t in x.view(BATCH, HEADS, 3, d, rows, cols).unbind(2))
    row, col = (torch.randn(HEADS, d // 2, extent, requires_grad=True) for _ in range(2))
    upstream = torch.randn(BATCH, channels, rows, cols).contiguous(memory_format=form)
    leaves = [q, k, v, row, col]
    return (lambda: call(*leaves, extent)), leaves, upstream.view(BATCH, HEADS, d, rows, cols)


def measure(jobs, repeats, clock):
    """Return {name: (median ms forward, median ms forward + backward)} of interleaved rounds after a warm-up round."""
    times = {name: ([], []) for name in jobs}
    for n in range(repeats + 1):
        for name, (forward, leaves, upstream) in jobs.items():
            begin = clock()
            with torch.no_grad():
                forward()
            middle = clock()
            torch.autograd.grad(forward(), leaves, upstream)
            end = clock()
            if n:
                times[name][0].append((middle - begin) * 1e3)
                times[name][1].append((end - middle) * 1e3)
    return {name: (median(f), median(b)) for name, (f, b) in times.items()}


def layer(channels, rows, cols, extent, form):
    """Return (call, leaves, upstream) of the layer that replaces the convolution."""
    module = LocalAttention2d(channels, extent, HEADS)
    x = torch.randn(BATCH, channels, rows, cols).contiguous(memory_format=form).requires_grad_()
    upstream = torch.randn(BATCH, channels, rows, cols).contiguous(memory_format=form)
    return (lambda: module(x)), [x, *module.parameters()], upstream


def useful(channels, rows, cols, extent):
    """Return the FLOPs of the definition, forward and both: q.k and p.v forward, five such products backward."""
    forward = 4 * BATCH * rows * cols * extent**2 * channels
    return forward, forward + 10 * BATCH * rows * cols * extent**2 * channels


def fma_peak():
    """Return the FLOPs a second of one core in twelve independent chains of fused multiply-adds."""
    target = build.instructions()
    pin = "v" if target.vector_bytes > 16 else "x"
    # Each chain has its own variable, because GCC keeps an array of them in memory.
    chains = [f"a{n}" for n in range(12)]
    steps = "".join(f'{a} = {a} * b + c; asm volatile("" : "+{pin}"({a}));\n' for a in chains)
    source = f"""
        typedef float V __attribute__((vector_size({target.vector_bytes})));
        extern "C" float run(long n) {{
            V {" = V{}, ".join(chains)} = V{{}}, b = V{{}} + 0.999f, c = V{{}} + 0.001f;
            for (; n--;) {{ {steps} }}
            return ({" + ".join(chains)})[0];
        }}"""
    rounds = 20_000_000
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "fma.so"
        command = [*build.compiler(), "-O3", "-shared", "-fPIC", "-ffp-contract=fast", "-funroll-loops", *target.flags]
        subprocess.run([*command, "-x", "c++", "-", "-o", library], input=source, text=True, check=True)
        run = ctypes.CDLL(str(library)).run
        run.argtypes = [ctypes.c_long]
        begin = time.thread_time()
        run(rounds)
        return rounds * 12 * target.vector_bytes / 4 * 2 / (time.thread_time() - begin)


def high_water():
    """Return the peak memory of this process in bytes (Linux)."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def growth(form, channels, rows, cols, extent):
    """Return the memory that forward + backward add to a fresh process, in bytes of q, k, v, y and their gradients."""
    forward, leaves, upstream = attention(channels, rows, cols, extent, FORMS[form], torch.contiguous_format)
    small = attention(channels, 2, 2, extent, FORMS[form], torch.contiguous_format)
    torch.autograd.grad(small[0](), small[1], small[2])  # libraries that are loaded or compiled once do not count
    before = high_water()
    torch.autograd.grad(forward(), leaves, upstream)
    return (high_water() - before) / (8 * upstream.numel() * 4)


def growth_in_fresh_process(form, *case):
    """Return `growth`, measured in a new process."""
    command = [sys.executable, __file__, "--growth", form, *map(str, case)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="leave the slow baselines out on the larger maps")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--growth", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    if options.growth:
        print(growth(options.growth[0], *map(int, options.growth[1:])))
        return
    clock = time.thread_time if options.threads == 1 else time.perf_counter
    peak = fma_peak()
    lines = [
        f"# Local attention on a CPU, {options.threads} thread(s), batch {BATCH}, {HEADS} heads",
        "",
        f"torch {torch.__version__}, {build.instructions().name}, {platform.machine()}; oneDNN limited to "
        f"{os.environ.get('ONEDNN_MAX_CPU_ISA', 'nothing')}; medians of {options.repeats} rounds; "
        f"FMA peak of a core {peak / 1e9:.0f} GFLOP/s.",
        "`both`: forward + backward; `ratio`: to the faster convolution; `share`: useful FLOPs against "
        "the peak; `memory`: growth of forward + backward against the bytes of q, k, v, y and their gradients.",
        "",
        "| map | extent | what | forward ms | both ms | ratio forward | ratio both | share | memory |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    bars = {}
    for case in MAPS:
        for extent in MAPS[case]:
            results = rounds(case, extent, options, clock)
            best = [min(results[f"convolution, {name}"][n] for name in FORMATS) for n in range(2)]
            for name, (forward, both) in results.items():
                cells = [f"{forward:.2f}", f"{both:.2f}", f"{forward / best[0]:.2f}", f"{both / best[1]:.2f}"]
                core = name.split(",")[0] in FORMS
                cells.append(f"{useful(*case, extent)[1] / both * 1e3 / peak / options.threads:.0%}" if core else "")
                with_memory = core and "last" not in name and name != "definition"
                cells.append(f"{growth_in_fresh_process(name.split(',')[0], *case, extent):.1f}" if with_memory else "")
                lines.append(f"| {' x '.join(map(str, case))} | {extent} | {name} | {' | '.join(cells)} |")
                print(lines[-1], flush=True)
                if name in DRAWN:
                    bars.setdefault(DRAWN[name], {})[f"{case[0]} x {case[1]}x{case[2]}, k = {extent}"] = both / best[1]
    out = Path("results") / f"local-attention-{build.instructions().name}.md"
    out.parent.mkdir(exist_ok=True)
    out.write_text("\n".join(lines) + "\n")
    print(f"written to {out} and {draw(bars, out.with_suffix('.png'))}")


def rounds(case, extent, options, clock):
    """Return {name: (ms forward, ms both)}: convolution, core and layer in both formats, then the other forms."""
    jobs = {}
    for name, form in FORMATS.items():
        jobs[f"convolution, {name}"] = convolution(*case, form)
        jobs[f"cpu, {name}"] = attention(*case, extent, FORMS["cpu"], form)
        jobs[f"layer, {name}"] = layer(*case, extent, form)
    results = measure(jobs, options.repeats, clock)
    if not options.quick or BATCH * case[0] * case[1] * case[2] * extent**2 <= SLOW:
        others = [name for name in FORMS if name != "cpu"]
        jobs = {name: attention(*case, extent, FORMS[name], torch.contiguous_format) for name in others}
        results |= measure(jobs, 2, clock)
    return results


def draw(bars, path):
    """Draw forward + backward as a multiple of the 3x3 convolution; return the path."""
    import plotly.graph_objects as go
    from figure import save

    figure = go.Figure([go.Bar(name=name, x=list(each), y=list(each.values())) for name, each in bars.items()])
    figure.add_hline(y=1, line_dash="dot", annotation_text="the dense 3x3 convolution", annotation_position="top left")
    figure.update_layout(yaxis_title="time of forward + backward", legend_orientation="h", legend_y=1.1)
    save(figure, path, height=480)
    return path


if __name__ == "__main__":
    main()
