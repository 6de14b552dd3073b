"""Time local attention on a GPU: the Triton kernels, FlexAttention, the portable form, and the 3x3 convolution.

    python benchmarks/local_attention_gpu.py [--batch 64] [--repeats 30]

Both passes are measured: forward, and forward + backward with the gradients of q, k, v and the tables. Maps are
bfloat16 with channels last: 8 heads of 32 channels, extent 7. FlexAttention is compiled, with the position logits as
captured tables and the window as its mask, on queries in raster order. The time to compile it is printed and does not
count. The convolution is cuDNN's, with the same number of channels.

Rounds are interleaved. Figures are medians of the time between two CUDA events; the second-level cache is overwritten
before each measurement. Memory is the peak above the memory allocated before. Error is the largest difference from the
definition in float32 (first 2 images), relative to its largest number: of the output, and of the worst gradient. The
table is printed and written to results/local-attention-gpu.md.
"""

import argparse
import sys
import time
from functools import cache
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from hybrid_search.ops import local_attention

DEVICE = "cuda"
MAPS = ((56, 56), (28, 28), (14, 14))
HEADS, WIDTH, EXTENT = 8, 32, 7
CHECKED = 2  # images that are compared with the definition, which writes every window out


def named(backend):
    def call(q, k, v, row, col):
        return local_attention(q, k, v, row, col, extent=EXTENT, backend=backend)

    return call


@cache
def window_mask(rows, cols, device):
    """Return the mask of the keys in the window of each query; both are numbered in raster order."""

    def inside(batch, head, query, key):
        down, right = query // cols - key // cols, query % cols - key % cols
        return (down.abs() <= EXTENT // 2) & (right.abs() <= EXTENT // 2)

    return create_block_mask(inside, None, None, rows * cols, rows * cols, device=device)


def flex(q, k, v, row, col, attend=flex_attention):
    """Return FlexAttention; position logits are read from the products q_row . r_row and q_col . r_col."""
    rows, cols = q.shape[-2:]
    query, key, value = (x.flatten(3).transpose(2, 3) for x in (q, k, v))  # (batch, heads, pixels, head_width)
    half = q.shape[2] // 2
    by_row = query[..., :half] @ row
    by_col = query[..., half:] @ col

    def add_position(score, batch, head, i, j):
        down = (j // cols - i // cols + EXTENT // 2).clamp(0, EXTENT - 1)
        right = (j % cols - i % cols + EXTENT // 2).clamp(0, EXTENT - 1)
        return score + by_row[batch, head, i, down] + by_col[batch, head, i, right]

    mask = window_mask(rows, cols, q.device)
    y = attend(query, key, value, score_mod=add_position, block_mask=mask, scale=1.0)
    return y.transpose(2, 3).unflatten(3, (rows, cols))


def flex_compiled():
    compiled = torch.compile(flex_attention, dynamic=False)
    return lambda q, k, v, row, col: flex(q, k, v, row, col, compiled)


def leaves_of(batch, rows, cols, device, dtype):
    """Return q, k, v as channels-last slices of one map, like the output of the layer's projection, and both tables."""
    x = torch.randn(batch, rows, cols, HEADS, 3, WIDTH, device=device, dtype=dtype)
    q, k, v = (t.detach() for t in x.permute(4, 0, 3, 5, 1, 2))
    q *= WIDTH**-0.5  # the layer starts like this; otherwise the softmax has one large weight, and errors show little
    tables = torch.randn(2, HEADS, WIDTH // 2, EXTENT, device=device, dtype=dtype)
    return [t.requires_grad_() for t in (q, k, v, *tables.unbind())]


def attention(call, leaves):
    q = leaves[0]
    upstream = torch.randn(q.shape[0], *q.shape[3:], *q.shape[1:3], device=q.device, dtype=q.dtype)
    return (lambda: call(*leaves)), leaves, upstream.permute(0, 3, 4, 1, 2)


def convolution(batch, rows, cols, device):
    channels = HEADS * WIDTH
    new = lambda *shape: torch.randn(*shape, device=device, dtype=torch.bfloat16).to(  # noqa: E731
        memory_format=torch.channels_last
    )
    x, w = new(batch, channels, rows, cols).requires_grad_(), new(channels, channels, 3, 3).requires_grad_()
    return (lambda: F.conv2d(x, w, padding=1)), [x, w], new(batch, channels, rows, cols)


def with_gradients(call, leaves, upstream):
    y = call(*leaves)
    return [y.detach(), *torch.autograd.grad(y, leaves, upstream)]


def errors(call, leaves):
    """Return the errors of the output and of the worst gradient, relative to the largest number of each."""
    few = [x.detach()[:CHECKED] if x.dim() == 5 else x.detach() for x in leaves]
    few = [x.requires_grad_() for x in few]
    exact = [x.detach().float().requires_grad_() for x in few]
    upstream = torch.randn_like(few[0])
    expected = with_gradients(named("definition"), exact, upstream.float())
    ours = with_gradients(call, few, upstream)
    differences = [((a - b).abs().max() / b.abs().max()).item() for a, b in zip(ours, expected, strict=True)]
    return differences[0], max(differences[1:])


def memory(forward, leaves, upstream):
    """Return the peak MiB of forward + backward above the memory allocated before."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    torch.autograd.grad(forward(), leaves, upstream)
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def measure(jobs, repeats):
    """Return {name: (median ms forward, median ms forward + backward)} of interleaved rounds."""
    cold = torch.empty(2**28, dtype=torch.uint8, device=DEVICE)
    times = {name: ([], []) for name in jobs}

    def timed(function):
        cold.zero_()
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        function()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)

    for _ in range(repeats):
        for name, (forward, leaves, upstream) in jobs.items():
            with torch.no_grad():
                times[name][0].append(timed(forward))
            both = lambda: torch.autograd.grad(forward(), leaves, upstream)  # noqa: B023, E731
            times[name][1].append(timed(both))
    return {name: (median(f), median(b)) for name, (f, b) in times.items()}


def warm_up(name, forward, leaves, upstream):
    """Run a job until it is compiled, and print the seconds that it took."""
    begin = time.perf_counter()
    with torch.no_grad():
        forward()
    for _ in range(3):
        torch.autograd.grad(forward(), leaves, upstream)
    torch.cuda.synchronize()
    print(f"{name}: {time.perf_counter() - begin:.1f} s before the first round", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("There is no GPU here: this benchmark needs one.", file=sys.stderr)
        sys.exit(2)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    forms = {"triton": named("triton"), "FlexAttention": flex_compiled(), "portable": named("portable")}
    head = [
        f"# Local attention on a GPU, batch {options.batch}, {HEADS} heads of {WIDTH}, extent {EXTENT}, bfloat16",
        "",
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}; medians of {options.repeats} rounds. `ratio` is "
        "to the convolution.",
        "",
    ]
    lines = [
        "| map | what | forward ms | forward + backward ms | ratio | ratio, both | peak MiB | error | of gradients |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for rows, cols in MAPS:
        leaves = leaves_of(options.batch, rows, cols, DEVICE, torch.bfloat16)
        jobs = {name: attention(call, leaves) for name, call in forms.items()}
        jobs["3x3 convolution"] = convolution(options.batch, rows, cols, DEVICE)
        for name, job in jobs.items():
            warm_up(f"{rows} x {cols}, {name}", *job)
        peaks = {name: memory(*job) for name, job in jobs.items()}
        results = measure(jobs, options.repeats)
        wrong = {name: errors(call, leaves) for name, call in forms.items()}
        base = results["3x3 convolution"]
        for name, (forward, both) in results.items():
            exactness = " | ".join(f"{error:.4f}" for error in wrong[name]) if name in wrong else " | "
            lines.append(
                f"| {rows} x {cols} | {name} | {forward:.3f} | {both:.3f} | {forward / base[0]:.2f} | "
                f"{both / base[1]:.2f} | {peaks[name]:.0f} | {exactness} |"
            )
    print("\n".join(lines))
    out = Path("results") / "local-attention-gpu.md"
    out.parent.mkdir(exist_ok=True)
    out.write_text("\n".join(head + lines) + "\n")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
