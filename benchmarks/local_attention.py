"""Local attention on this CPU: every backend, two baselines of public code, and the 3x3 convolution it replaces.

    python benchmarks/local_attention.py [--quick] [--threads 1] [--repeats 9]

Forward, and forward + backward with the gradients of q, k, v and the tables, of float32 maps of 32 images and 8 heads.
Rounds are interleaved, so that a slow moment of a shared machine meets all of them; medians of the CPU time of this
thread (wall-clock time for more than one). `ratio` is to the faster of the two memory formats of the convolution
(oneDNN), each of whose rounds runs beside those of the attention. The table is printed and written to
results/local-attention-cpu.md.
"""

import argparse
import platform
import resource
import time
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F

from hybrid_search.ops import local_attention

MAPS = {  # (channels, rows, cols) -> extents
    (64, 32, 32): (3, 7, 11),
    (128, 16, 16): (3, 7, 11),
    (256, 8, 8): (7,),
    (64, 24, 40): (7,),
    (64, 14, 14): (7,),
    (64, 7, 7): (7,),
}
BATCH, HEADS = 32, 8
SLOW = 40_000_000  # baselines are left out where batch x channels x pixels x extent^2 is larger, with --quick


def unfolded(q, k, v, row, col, extent):
    """Keys and values of every window written out, as public code has it; zero borders, masked afterwards."""
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
    """One product of whole maps for each offset."""
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
    """q, k and v are slices of one map, as the projection of the layer leaves them."""
    d = channels // HEADS
    x = torch.randn(BATCH, 3 * channels, rows, cols).contiguous(memory_format=form)
    q, k, v = (t.detach().requires_grad_() for t in x.view(BATCH, HEADS, 3, d, rows, cols).unbind(2))
    row, col = (torch.randn(HEADS, d // 2, extent, requires_grad=True) for _ in range(2))
    upstream = torch.randn(BATCH, channels, rows, cols).contiguous(memory_format=form)
    leaves = [q, k, v, row, col]
    return (lambda: call(*leaves, extent)), leaves, upstream.view(BATCH, HEADS, d, rows, cols)


def measure(jobs, repeats, clock):
    """{name: (median ms forward, median ms forward + backward)} of interleaved rounds after one to warm up."""
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="leave the slow baselines out on the larger maps")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    clock = time.thread_time if options.threads == 1 else time.perf_counter
    formats = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
    lines = [
        "| map | extent | what | forward ms | forward + backward ms | ratio | ratio, both |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    for (channels, rows, cols), extents in MAPS.items():
        for extent in extents:
            jobs = {}
            for name, form in formats.items():
                jobs[f"convolution, {name}"] = convolution(channels, rows, cols, form)
                jobs[f"cpu, {name}"] = attention(channels, rows, cols, extent, FORMS["cpu"], form)
            found = measure(jobs, options.repeats, clock)
            others = {name: call for name, call in FORMS.items() if name != "cpu"}
            if not options.quick or BATCH * channels * rows * cols * extent**2 <= SLOW:
                jobs = {
                    name: attention(channels, rows, cols, extent, call, formats["contiguous"])
                    for name, call in others.items()
                }
                found |= measure(jobs, 2, clock)
            best = [min(found[f"convolution, {name}"][n] for name in formats) for n in range(2)]
            for name, (forward, both) in found.items():
                ratios = f"{forward / best[0]:.2f} | {both / best[1]:.2f}"
                lines.append(
                    f"| {channels} x {rows} x {cols} | {extent} | {name} | {forward:.2f} | {both:.2f} | {ratios} |"
                )
                print(lines[-1], flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    head = [
        f"# Local attention on a CPU, {options.threads} thread(s), batch {BATCH}, {HEADS} heads",
        "",
        f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {platform.machine()}; "
        f"medians of {options.repeats} rounds; largest memory of the process {peak:.0f} MiB.",
        "",
    ]
    out = Path("results") / "local-attention-cpu.md"
    out.parent.mkdir(exist_ok=True)
    out.write_text("\n".join(head + lines) + "\n")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
