"""Time training steps of a convolutional, a hybrid and an attention network of equal widths.

    python benchmarks/network.py [--threads 1] [--repeats 7] [--batch 32] [--profile]

A step is forward, loss, backward and Nesterov update on 32x32 images, in the memory format that training uses. Rounds
are interleaved, so a slow moment of a shared machine affects all networks. Figures are medians of the CPU time of this
thread (wall-clock time if there are more threads). The peak memory of each network is measured in a process of its own.
The table and its figure are written to results/network-cpu.md and .png. --profile adds the operations in which the
attention network spends its time.

"""

import argparse
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

from hybrid_search import build_model, cost
from hybrid_search.networks.architecture import Architecture

WIDTHS = (64, 128, 256)
DEPTH = 2
IMAGE = (3, 32, 32)
CONV, ATTEND = {"operator": "conv", "kernel_size": 3}, {"operator": "local_attention", "extent": 7, "heads": 8}
NETWORKS = {
    "convolution 3x3": (CONV, CONV, CONV),
    "hybrid: convolution, convolution, attention 7x7": (CONV, CONV, ATTEND),
    "attention 7x7, 8 heads": (ATTEND, ATTEND, ATTEND),
}


def architecture(operators):
    stages = [
        {"depth": DEPTH, "width": width, "stride": 1 if index == 0 else 2, **operator}
        for index, (width, operator) in enumerate(zip(WIDTHS, operators, strict=True))
    ]
    return Architecture.from_dict({"stem": {"kind": "conv3x3", "width": WIDTHS[0]}, "stages": stages})


def stepper(name, batch):
    """Return a function that runs one training step of the network."""
    torch.manual_seed(0)
    form = torch.channels_last
    model = build_model(architecture(NETWORKS[name]), IMAGE[0], 10).to(memory_format=form).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, nesterov=True)
    x = torch.randn(batch, *IMAGE).contiguous(memory_format=form)
    labels = torch.randint(10, (batch,))

    def step():
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), labels).backward()
        optimiser.step()

    return step


def high_water():
    """Return the peak memory of this process in MiB (Linux)."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def peak(name, batch):
    """Return the MiB that three steps add to a fresh process, which --peak starts."""
    step = stepper(name, batch)
    before = high_water()
    for _ in range(3):
        step()
    return high_water() - before


def time_shares(step):
    """Return (operation, share of the time) of a step by torch's profiler, largest first."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        step()
    rows = [(event.key, event.self_cpu_time_total) for event in profiler.key_averages()]
    total = sum(spent for _, spent in rows)
    return sorted(((key, spent / total) for key, spent in rows), key=lambda row: -row[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--peak", choices=NETWORKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak:
        print(peak(options.peak, options.batch))
        return
    clock = time.thread_time if options.threads == 1 else time.perf_counter
    steps = {name: stepper(name, options.batch) for name in NETWORKS}
    times = {name: [] for name in NETWORKS}
    for round_number in range(options.repeats + 1):
        for name, step in steps.items():
            begin = clock()
            step()
            if round_number:
                times[name].append((clock() - begin) * 1e3)
    spent = {name: median(each) for name, each in times.items()}
    base = next(iter(spent.values()))
    lines = [
        f"# Training steps on a CPU, {options.threads} thread(s), batch {options.batch}, {IMAGE[1]}x{IMAGE[2]} images",
        "",
        f"Widths {WIDTHS}, {DEPTH} blocks a stage; torch {torch.__version__}, "
        f"{torch.backends.cpu.get_cpu_capability()}, {platform.machine()}; medians of {options.repeats} rounds.",
        "",
        "| network | FLOPs | parameters | ms a step | to the first | peak MiB |",
        "|---|---|---|---|---|---|",
    ]
    for name, ms in spent.items():
        network_cost = cost(architecture(NETWORKS[name]), IMAGE, 10)
        command = [sys.executable, __file__, "--peak", name, "--batch", str(options.batch)]
        command += ["--threads", str(options.threads)]
        mib = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        flops, params = f"{network_cost.flops / 1e6:.0f} M", f"{network_cost.params / 1e3:.0f} k"
        lines.append(f"| {name} | {flops} | {params} | {ms:.1f} | {ms / base:.2f} | {mib:.0f} |")
    if options.profile:
        lines += ["", "Time of a step of the attention network:", "", "| operation | share |", "|---|---|"]
        lines += [f"| `{key}` | {share:.1%} |" for key, share in time_shares(steps["attention 7x7, 8 heads"])[:14]]
    print("\n".join(lines))
    out = Path("results") / "network-cpu.md"
    out.parent.mkdir(exist_ok=True)
    out.write_text("\n".join(lines) + "\n")
    print(f"written to {out} and {draw(spent, out.with_suffix('.png'))}")


def draw(spent, path):
    """Draw the milliseconds of a step as bars; return the path."""
    import plotly.graph_objects as go
    from figure import save

    figure = go.Figure(go.Bar(x=list(spent.values()), y=list(spent), orientation="h", texttemplate="%{x:.0f} ms"))
    figure.update_layout(xaxis_title="ms a training step", yaxis_autorange="reversed", margin_l=320)
    save(figure, path, height=280)
    return path


if __name__ == "__main__":
    main()
