"""Landscapes to compare samplers on: synthetic ones shaped like this project's spaces, and tables of real results.

Synthetic accuracies saturate in the logarithm of the cost, and operators matter by stage:

    z        = log(cost / cheapest cost) / log(dearest / cheapest), 0..1
    error    = (bottom + (top - bottom) exp(-rate z)) exp(-quality)
    accuracy = 1 - error, told with normal noise of 0.003 (1.4 - 0.8 z): 0.42 points for the cheapest, 0.18 for the
               dearest; scored without it
    quality  = the sum over stages (or blocks) of operator-by-stage effects, of a concave effect of extent or kernel
               with its optimum moving by stage, of a penalty on widths that do not grow, and of interactions between
               stages; written out in each function below

`stages`: one operator a stage, 36,864 designs; a convolution asks for kernel_size, attention for extent and heads.
`blocks`: one operator a block, 72,000 designs; depth (a whole number) decides how many blocks are asked for, and the
operator of a block what is asked of it: conditions within conditions. `unknown`: the accuracy of `stages` against a
latency that is measured, not known: cost^0.8, attention 1.5 times as slow, each extent more so; 4 % of noise. Costs
are MACs x 2 of bottleneck blocks on 16x16 images, as hybrid_search.costs counts them, without shortcuts.
"""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_search.front import hypervolume, pareto_front
from hybrid_search.samplers.walks import every, key_of

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Landscape:
    """A space, what is true of every design in it, and how it is told.

    `ask` asks the questions of a trial, with `ordered` choices of numbers as whole numbers; `truth` and `told` give a
    row of objectives from the answers. `known` are the objectives known before the trial.
    """

    name: str
    directions: tuple[str, ...]
    ask: Callable[..., None]
    truth: Callable[[Params], list[float]]
    noise: Callable[[Params], list[float]]  # standard deviations
    known: Mapping[int, Callable[[Params], float]] = field(default_factory=dict)
    features: Callable[[Params], Sequence[float]] | None = None
    choices: Mapping[str, Sequence[Any]] = field(default_factory=dict)  # of numbers

    def told(self, params: Params, dice: np.random.Generator) -> list[float]:
        """One noisy evaluation."""
        pairs = zip(self.truth(params), self.noise(params), strict=True)
        return [value + float(dice.normal()) * wide if wide else value for value, wide in pairs]


def whole(landscape: Landscape) -> tuple[list[float], float]:
    """The reference and the hypervolume of all designs.

    The reference is the worst of every objective on the true front, and a tenth of the front's range worse than that:
    from the worst of all designs, the first good one would have nearly everything.
    """
    ways = every(landscape.ask, 10**6)
    assert ways is not None
    directions = list(landscape.directions)
    rows = np.array([landscape.truth(chooser.params) for chooser in ways])
    front = rows[pareto_front(rows, directions)]
    low, high = front.min(axis=0), front.max(axis=0)
    least = np.array([direction == "minimize" for direction in directions])
    worst = np.where(least, high + 0.1 * (high - low), low - 0.1 * (high - low))
    reference = [float(value) for value in worst]
    return reference, hypervolume(front, reference, directions)


def of_numbers(trial: Any, name: str, choices: Sequence[int], ordered: bool) -> int:
    """A choice of numbers, or with `ordered` its place as a whole number: an order that Optuna's samplers see."""
    if ordered:
        return choices[trial.suggest_int(f"{name}#", 0, len(choices) - 1)]
    return int(trial.suggest_categorical(name, choices))


def decoded(params: Params, choices: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Answers with the places of ordered choices as the numbers they stand for."""
    found = {}
    for name, value in params.items():
        stem = name.removesuffix("#")
        found[stem] = choices[stem][value] if stem != name else value
    return found


# -- stages --

STAGES: dict[str, Sequence[int]] = {"stem": (8, 16)}
for _s, _widths in ((1, (8, 16)), (2, (8, 16, 32)), (3, (16, 32, 64))):
    STAGES[f"stage{_s}.width"] = _widths
    STAGES[f"stage{_s}.conv.kernel_size"] = (3, 5)
    STAGES[f"stage{_s}.attention.extent"] = (3, 5, 7)
    STAGES[f"stage{_s}.attention.heads"] = (2, 4)
STAGES["stage3.depth"] = (1, 2)


def ask_stages(trial: Any, ordered: bool = False) -> None:
    of_numbers(trial, "stem", STAGES["stem"], ordered)
    for s in (1, 2, 3):
        of_numbers(trial, f"stage{s}.width", STAGES[f"stage{s}.width"], ordered)
        if s == 3:
            of_numbers(trial, "stage3.depth", STAGES["stage3.depth"], ordered)
        operator = trial.suggest_categorical(f"stage{s}.operator", ("conv", "attention"))
        for option in ("kernel_size",) if operator == "conv" else ("extent", "heads"):
            name = f"stage{s}.{operator}.{option}"
            of_numbers(trial, name, STAGES[name], ordered)


def _block(channels: int, width: int, pixels: int, operator: str, size: int, expansion: int = 2) -> float:
    inner = size**2 * width**2 if operator == "conv" else 3 * width**2 + 3 * size**2 * width
    return 2.0 * pixels * (channels * width + inner + width * width * expansion)


def _size(p: Params, head: str) -> int:
    return int(p[f"{head}.kernel_size"] if f"{head}.kernel_size" in p else p[f"{head}.extent"])


def cost_of_stages(params: Params) -> float:
    p = decoded(params, STAGES)
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


def accuracy_of_stages(params: Params) -> float:
    """Attention pays in stage 3 (+0.18) and harms in stage 1 (-0.22); in stage 2 it pays only where stage 1 convolves
    (+0.12, else -0.08), and three attentions together lose 0.1. Of kernels 5 gains 0.10, 0.02, -0.04 by stage. Extents
    lose 0.06 for each step from their optimum 7, 5, 3; four heads gain 0.05 where the width is at least 32, else lose
    as much. Widths lose 0.08 (log2 of their growth - 1)^2 from one stage to the next; a second block gains 0.06.
    """
    p = decoded(params, STAGES)
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
    return _accuracy(_z_of_stages(cost_of_stages(params)), quality, 0.35, 0.03, 3.0)


def _z_of_stages(cost: float) -> float:
    low, high = _span("stages")
    return math.log(cost / low) / math.log(high / low)


def latency_of_stages(params: Params) -> float:
    """Milliseconds: (cost / 10^5)^0.8, each attention x 1.15, each step of its extent x 1.05."""
    p = decoded(params, STAGES)
    slow = 1.0
    for s in (1, 2, 3):
        if p[f"stage{s}.operator"] == "attention":
            slow *= 1.15 * 1.05 ** ((p[f"stage{s}.attention.extent"] - 3) / 2)
    return float((cost_of_stages(params) / 1e5) ** 0.8 * slow)


# -- blocks --

BLOCKS: dict[str, Sequence[int]] = {"stem": (8, 16)}
for _s, _widths in ((1, (8, 16)), (2, (16, 32)), (3, (32, 64))):
    BLOCKS[f"stage{_s}.width"] = _widths
    for _b in (1, 2):
        BLOCKS[f"stage{_s}.block{_b}.conv.kernel_size"] = (3, 5)
        BLOCKS[f"stage{_s}.block{_b}.attention.extent"] = (3, 5, 7)


def ask_blocks(trial: Any, ordered: bool = False) -> None:
    of_numbers(trial, "stem", BLOCKS["stem"], ordered)
    for s in (1, 2, 3):
        of_numbers(trial, f"stage{s}.width", BLOCKS[f"stage{s}.width"], ordered)
        depth = trial.suggest_int(f"stage{s}.depth", 1, 2) if s > 1 else 1
        for b in range(1, depth + 1):
            head = f"stage{s}.block{b}"
            operator = trial.suggest_categorical(f"{head}.operator", ("conv", "attention"))
            name = f"{head}.{operator}." + ("kernel_size" if operator == "conv" else "extent")
            of_numbers(trial, name, BLOCKS[name], ordered)


def _blocks(p: Params) -> list[tuple[int, int, str, int]]:
    found = []
    for s in (1, 2, 3):
        for b in (1, 2):
            head = f"stage{s}.block{b}"
            if f"{head}.operator" in p:
                operator = p[f"{head}.operator"]
                found.append((s, p[f"stage{s}.width"], operator, _size(p, f"{head}.{operator}")))
    return found


def cost_of_blocks(params: Params) -> float:
    p = decoded(params, BLOCKS)
    channels, total = p["stem"], 2.0 * 9 * p["stem"] * 64
    for s, width, operator, size in _blocks(p):
        total += _block(channels, width, 64 // 4 ** (s - 1), operator, size)
        channels = 2 * width
    return total


def accuracy_of_blocks(params: Params) -> float:
    """A block of attention changes the quality by -0.16, 0.05, 0.14 by stage, the second of two in a row by 0.08 less,
    one right after a convolution of its stage by 0.06 more. A 5x5 kernel gains 0.08, 0.03, -0.03; an extent loses
    0.025 for each pixel from 7, 7, 5. Widths lose 0.06 (log2 of their growth - 1)^2; every further block gains 0.05.
    """
    p = decoded(params, BLOCKS)
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
    return _accuracy(_z_of_blocks(cost_of_blocks(params)), quality, 0.30, 0.04, 2.5)


def _z_of_blocks(cost: float) -> float:
    low, high = _span("blocks")
    return math.log(cost / low) / math.log(high / low)


@lru_cache
def _span(name: str) -> tuple[float, float]:
    """The cheapest and the dearest cost; both stand where every answer makes the cost least or greatest."""
    ask, cost = {"stages": (ask_stages, cost_of_stages), "blocks": (ask_blocks, cost_of_blocks)}[name]
    costs = [cost(chooser.params) for chooser in every(ask, 10**6) or ()]
    return min(costs), max(costs)


def _wide(z: float) -> float:
    return 0.003 * (1.4 - 0.8 * z)


LANDSCAPES: dict[str, Landscape] = {
    "stages": Landscape(
        "stages",
        ("maximize", "minimize"),
        ask_stages,
        lambda p: [accuracy_of_stages(p), cost_of_stages(p)],
        lambda p: [_wide(_z_of_stages(cost_of_stages(p))), 0.0],
        {1: cost_of_stages},
        choices=STAGES,
    ),
    "blocks": Landscape(
        "blocks",
        ("maximize", "minimize"),
        ask_blocks,
        lambda p: [accuracy_of_blocks(p), cost_of_blocks(p)],
        lambda p: [_wide(_z_of_blocks(cost_of_blocks(p))), 0.0],
        {1: cost_of_blocks},
        choices=BLOCKS,
    ),
    "unknown": Landscape(
        "unknown",
        ("maximize", "minimize"),
        ask_stages,
        lambda p: [accuracy_of_stages(p), latency_of_stages(p)],
        lambda p: [_wide(_z_of_stages(cost_of_stages(p))), 0.04 * latency_of_stages(p)],
        choices=STAGES,
    ),
}


def of_table(path: str | Path, objectives: Mapping[str, str], known: Sequence[str] = ()) -> Landscape:
    """A CSV of real results as a landscape: `objectives` maps columns to directions, other columns are parameters.

    Several rows with the same answers are seeds: one of them is told, their mean is scored. Columns named `seed`,
    `trial` or beginning with `_` are left out. An empty cell is a question that was not asked; the table is asked as
    a tree, so that only its own designs can be chosen. ValueError names a row that is not finite.
    """
    with open(path, newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    missing = [name for name in objectives if not lines or name not in lines[0]]
    if missing:
        raise ValueError(f"a table must have the columns {', '.join(objectives)}; {path} lacks {missing[0]}.")
    names = [n for n in lines[0] if n not in objectives and n not in ("seed", "trial") and not n.startswith("_")]
    groups: dict[tuple[tuple[str, str], ...], tuple[dict[str, Any], list[list[float]]]] = {}
    for number, line in enumerate(lines, start=2):
        values = [float(line[name] or "nan") for name in objectives]
        if not all(map(math.isfinite, values)):
            raise ValueError(f"every objective of a table must be a finite number; line {number} has {values}.")
        params = {name: _cell(line[name]) for name in names if line[name] != ""}
        groups.setdefault(key_of(params), (params, []))[1].append(values)
    designs = [params for params, _ in groups.values()]
    columns = list(objectives)
    choices = {n: sorted({p[n] for p in designs if n in p}, key=lambda v: (str(type(v)), v)) for n in names}
    memory: dict[Any, list[list[float]]] = {}

    def ask(trial: Any, ordered: bool = False) -> None:
        left = designs
        for name in names:
            values = sorted({p[name] for p in left if name in p}, key=lambda v: (str(type(v)), v))
            if not values:
                continue
            everywhere = choices[name]
            if all(name in p for p in left) and len(values) == 1 and len(everywhere) > 1:
                answer = values[0]  # the answers so far leave one
            elif ordered and all(isinstance(v, int | float) for v in everywhere):
                answer = everywhere[trial.suggest_int(f"{name}#", 0, len(everywhere) - 1)]
            else:
                answer = trial.suggest_categorical(name, everywhere)
            left = [p for p in left if p.get(name) == answer] or left

    def found(params: Params) -> list[list[float]]:
        key = key_of(params)
        if key not in memory:
            plain = decoded(params, choices)
            memory[key] = next(rows for p, rows in groups.values() if all(p.get(k) == v for k, v in plain.items()))
        return memory[key]

    class Rows(Landscape):
        def told(self, params: Params, dice: np.random.Generator) -> list[float]:
            rows = found(params)
            return rows[int(dice.integers(len(rows)))]

    def mean(params: Params) -> list[float]:
        return [float(x) for x in np.mean(found(params), axis=0)]

    exact = {columns.index(name): partial(lambda at, p: mean(p)[at], columns.index(name)) for name in known}
    zeros = [0.0] * len(columns)
    return Rows(Path(path).stem, tuple(objectives.values()), ask, mean, lambda p: zeros, exact, None, choices)


def _cell(text: str) -> Any:
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() and "." not in text else number
