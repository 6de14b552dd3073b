"""Synthetic objective tables on which samplers are compared, shaped like this project's spaces.

The accuracy saturates with the logarithm of the cost, and the effect of an operator depends on its stage:

    z        = log(cost / lowest cost) / log(highest cost / lowest cost), 0..1
    error    = (bottom + (top - bottom) exp(-rate z)) exp(-quality)
    accuracy = 1 - error, measured with normal noise of 0.003 (1.4 - 0.8 z): 0.42 points for the lowest cost, 0.18
               for the highest; scored without noise
    quality  = the sum over stages (or blocks) of operator-by-stage effects, of a concave effect of extent or kernel
               with its optimum moving by stage, of a penalty on widths that do not grow, and of interactions between
               stages; written out in each function below

`stages`: one operator for each stage, 36,864 designs. A convolution has a kernel_size; attention has extent and heads.
`blocks`: one operator for each block, 72,000 designs. The depth (an integer) decides how many blocks are active, and
the operator of a block decides which of its parameters are active: nested conditions. `unknown`: the accuracy of
`stages` against a measured latency, which grows with cost^0.8, attention and extent; it has 4 % of noise. Costs are
FLOPs (2 x MACs) of bottleneck blocks on 16x16 images, as hybrid_search.networks.costs counts them, without shortcuts.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from hybrid_search.analysis.replay.objective_table import MAX_DESIGNS, ObjectiveTable, normal_noise
from hybrid_search.analysis.replay.results_table import Params
from hybrid_search.samplers.define_by_run import list_designs


@dataclass(frozen=True)
class Named:
    """A function that returns the landscape of this name; it can be sent to another process."""

    name: str

    def __call__(self) -> ObjectiveTable:
        """Return the landscape."""
        return LANDSCAPES[self.name]


# -- stages --

STAGES: dict[str, Sequence[int]] = {"stem": (8, 16)}
for _s, _widths in ((1, (8, 16)), (2, (8, 16, 32)), (3, (16, 32, 64))):
    STAGES[f"stage{_s}.width"] = _widths
    STAGES[f"stage{_s}.conv.kernel_size"] = (3, 5)
    STAGES[f"stage{_s}.attention.extent"] = (3, 5, 7)
    STAGES[f"stage{_s}.attention.heads"] = (2, 4)
STAGES["stage3.depth"] = (1, 2)


def ask_stages(trial: Any) -> None:
    trial.suggest_categorical("stem", STAGES["stem"])
    for s in (1, 2, 3):
        trial.suggest_categorical(f"stage{s}.width", STAGES[f"stage{s}.width"])
        if s == 3:
            trial.suggest_categorical("stage3.depth", STAGES["stage3.depth"])
        operator = trial.suggest_categorical(f"stage{s}.operator", ("conv", "attention"))
        for option in ("kernel_size",) if operator == "conv" else ("extent", "heads"):
            name = f"stage{s}.{operator}.{option}"
            trial.suggest_categorical(name, STAGES[name])


def _block(channels: int, width: int, pixels: int, operator: str, size: int, expansion: int = 2) -> float:
    inner = size**2 * width**2 if operator == "conv" else 3 * width**2 + 3 * size**2 * width
    return 2.0 * pixels * (channels * width + inner + width * width * expansion)


def _size(p: Params, head: str) -> int:
    return int(p[f"{head}.kernel_size"] if f"{head}.kernel_size" in p else p[f"{head}.extent"])


def cost_of_stages(p: Params) -> float:
    channels, pixels, total = p["stem"], 64, 2.0 * 9 * p["stem"] * 64
    for s in (1, 2, 3):
        width, operator = p[f"stage{s}.width"], p[f"stage{s}.operator"]
        for _ in range(p.get(f"stage{s}.depth", 1)):
            total += _block(channels, width, pixels, operator, _size(p, f"stage{s}.{operator}"))
            channels = 2 * width
        pixels //= 4
    return total


def _accuracy(z: float, quality: float, top: float, bottom: float, rate: float) -> float:
    return 1.0 - (bottom + (top - bottom) * math.exp(-rate * z)) * math.exp(-quality)


def accuracy_of_stages(p: Params) -> float:
    """Return the accuracy without noise. Effects on the quality:

    Attention adds 0.18 in stage 3 and -0.22 in stage 1. In stage 2 it adds 0.12 if stage 1 is a convolution, otherwise
    -0.08. Three attention stages together add -0.1. A 5x5 kernel adds 0.10, 0.02, -0.04 in stages 1 to 3. An extent
    adds -0.06 for each step from the optimum 7, 5, 3. Four heads add 0.05 if the width is at least 32, otherwise -0.05.
    Widths add -0.08 (log2 of their growth - 1)^2 between stages. A second block adds 0.06.
    """
    attends = [p[f"stage{s}.operator"] == "attention" for s in (1, 2, 3)]
    quality = -0.22 * attends[0] + 0.18 * attends[2] - 0.1 * all(attends)
    quality += (0.12 if not attends[0] else -0.08) * attends[1]
    for s, (gain, optimum) in enumerate(((0.10, 7), (0.02, 5), (-0.04, 3)), start=1):
        if attends[s - 1]:
            quality -= 0.03 * abs(p[f"stage{s}.attention.extent"] - optimum)
            many = p[f"stage{s}.attention.heads"] == 4
            quality += (0.05 if p[f"stage{s}.width"] >= 32 else -0.05) * many
        else:
            quality += gain * (p[f"stage{s}.conv.kernel_size"] == 5)
    widths = [p["stem"], *(p[f"stage{s}.width"] for s in (1, 2, 3))]
    quality -= sum(0.08 * (math.log2(b / a) - 1) ** 2 for a, b in pairwise(widths))
    quality += 0.06 * (p["stage3.depth"] == 2)
    return _accuracy(_z_of_stages(cost_of_stages(p)), quality, 0.35, 0.03, 3.0)


def _z_of_stages(cost: float) -> float:
    low, high = _span("stages")
    return math.log(cost / low) / math.log(high / low)


def latency_of_stages(p: Params) -> float:
    """Milliseconds: (cost / 10^5)^0.8, each attention x 1.15, each step of its extent x 1.05."""
    slow = 1.0
    for s in (1, 2, 3):
        if p[f"stage{s}.operator"] == "attention":
            slow *= 1.15 * 1.05 ** ((p[f"stage{s}.attention.extent"] - 3) / 2)
    return float((cost_of_stages(p) / 1e5) ** 0.8 * slow)


# -- blocks --

BLOCKS: dict[str, Sequence[int]] = {"stem": (8, 16)}
for _s, _widths in ((1, (8, 16)), (2, (16, 32)), (3, (32, 64))):
    BLOCKS[f"stage{_s}.width"] = _widths
    for _b in (1, 2):
        BLOCKS[f"stage{_s}.block{_b}.conv.kernel_size"] = (3, 5)
        BLOCKS[f"stage{_s}.block{_b}.attention.extent"] = (3, 5, 7)


def ask_blocks(trial: Any) -> None:
    trial.suggest_categorical("stem", BLOCKS["stem"])
    for s in (1, 2, 3):
        trial.suggest_categorical(f"stage{s}.width", BLOCKS[f"stage{s}.width"])
        depth = trial.suggest_int(f"stage{s}.depth", 1, 2) if s > 1 else 1
        for b in range(1, depth + 1):
            head = f"stage{s}.block{b}"
            operator = trial.suggest_categorical(f"{head}.operator", ("conv", "attention"))
            name = f"{head}.{operator}." + ("kernel_size" if operator == "conv" else "extent")
            trial.suggest_categorical(name, BLOCKS[name])


def _blocks(p: Params) -> list[tuple[int, int, str, int]]:
    found = []
    for s in (1, 2, 3):
        for b in (1, 2):
            head = f"stage{s}.block{b}"
            if f"{head}.operator" in p:
                operator = p[f"{head}.operator"]
                found.append((s, p[f"stage{s}.width"], operator, _size(p, f"{head}.{operator}")))
    return found


def cost_of_blocks(p: Params) -> float:
    channels, total = p["stem"], 2.0 * 9 * p["stem"] * 64
    for s, width, operator, size in _blocks(p):
        total += _block(channels, width, 64 // 4 ** (s - 1), operator, size)
        channels = 2 * width
    return total


def accuracy_of_blocks(p: Params) -> float:
    """Return the accuracy without noise. Effects on the quality:

    An attention block adds -0.16, 0.05, 0.14 in stages 1 to 3. The second of two in a row adds 0.08 less; one right
    after a convolution of its stage adds 0.06 more. A 5x5 kernel adds 0.08, 0.03, -0.03. An extent adds -0.025 for each
    pixel from 7, 7, 5. Widths add -0.06 (log2 of their growth - 1)^2 between stages. Every further block adds 0.05.
    """
    blocks = _blocks(p)
    quality, before = 0.05 * (len(blocks) - 3), (0, "")
    for s, _, operator, size in blocks:
        if operator == "attention":
            quality += (-0.16, 0.05, 0.14)[s - 1] - 0.025 * abs(size - (7, 7, 5)[s - 1])
            if before == (s, "conv"):
                quality += 0.06
            elif before[1] == "attention":
                quality -= 0.08
        else:
            quality += (0.08, 0.03, -0.03)[s - 1] * (size == 5)
        before = (s, operator)
    widths = [p["stem"], *(p[f"stage{s}.width"] for s in (1, 2, 3))]
    quality -= sum(0.06 * (math.log2(b / a) - 1) ** 2 for a, b in pairwise(widths))
    return _accuracy(_z_of_blocks(cost_of_blocks(p)), quality, 0.30, 0.04, 2.5)


def _z_of_blocks(cost: float) -> float:
    low, high = _span("blocks")
    return math.log(cost / low) / math.log(high / low)


@lru_cache
def _span(name: str) -> tuple[float, float]:
    """Return the lowest and the highest cost of a space."""
    ask, cost = {"stages": (ask_stages, cost_of_stages), "blocks": (ask_blocks, cost_of_blocks)}[name]
    costs = [cost(chooser.params) for chooser in list_designs(ask, MAX_DESIGNS) or ()]
    return min(costs), max(costs)


def _wide(z: float) -> float:
    return 0.003 * (1.4 - 0.8 * z)


def _landscape(
    name: str,
    ask: Callable[[Any], None],
    true_values: Callable[[Params], list[float]],
    noise: Callable[[Params], list[float]],
    cost: Callable[[Params], float] | None,
) -> ObjectiveTable:
    known = {} if cost is None else {1: cost}
    return ObjectiveTable(name, ("maximize", "minimize"), ask, true_values, normal_noise(true_values, noise), known)


LANDSCAPES: dict[str, ObjectiveTable] = {
    landscape.name: landscape
    for landscape in (
        _landscape(
            "stages",
            ask_stages,
            lambda p: [accuracy_of_stages(p), cost_of_stages(p)],
            lambda p: [_wide(_z_of_stages(cost_of_stages(p))), 0.0],
            cost_of_stages,
        ),
        _landscape(
            "blocks",
            ask_blocks,
            lambda p: [accuracy_of_blocks(p), cost_of_blocks(p)],
            lambda p: [_wide(_z_of_blocks(cost_of_blocks(p))), 0.0],
            cost_of_blocks,
        ),
        _landscape(
            "unknown",
            ask_stages,
            lambda p: [accuracy_of_stages(p), latency_of_stages(p)],
            lambda p: [_wide(_z_of_stages(cost_of_stages(p))), 0.04 * latency_of_stages(p)],
            None,
        ),
    )
}
