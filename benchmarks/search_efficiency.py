"""Evaluations until a sampler has found 95 % and 98 % of the true hypervolume: medians over seeds, and the worst seed.

    python benchmarks/search_efficiency.py                         # every landscape and sampler: about an hour
    python benchmarks/search_efficiency.py --only known-cost tpe   # samplers whose name begins so
    python benchmarks/search_efficiency.py --table results/table.csv --objectives accuracy:maximize,flops:minimize \\
        --known flops                                              # a table of real results instead

Every sampler begins with the same eight random designs of its seed, but for the first row, which begins as
`known-cost` does, with a spread along the cost. All are told noisy values and scored by true ones, from the worst of
the true front and a tenth of its range beyond; no sampler is told that reference. Rows of known-cost show what each
thing it is told is worth: the exact cost, the cost as an input of the model, the order of numbers, the space itself.
`ordered` rows of Optuna's samplers get choices of numbers as whole numbers.
"""

import argparse
import random
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from landscapes import LANDSCAPES, Landscape, of_table, whole

from hybrid_search.front import hypervolume
from hybrid_search.samplers import KnownCostSampler
from hybrid_search.samplers.walks import Dice, walked

SHARES = (0.95, 0.98)
OWN_START = "known-cost"
Make = Callable[[Landscape, int], optuna.samplers.BaseSampler]


def _own(**more: Any) -> Make:
    def make(landscape: Landscape, seed: int) -> optuna.samplers.BaseSampler:
        options = {"known": landscape.known, "features": landscape.features, "space": landscape.ask, **more}
        return KnownCostSampler(**options, seed=seed)

    return make


def _cost_as_feature(landscape: Landscape, seed: int) -> optuna.samplers.BaseSampler:
    prices = list(landscape.known.values())
    return KnownCostSampler({}, features=lambda p: [f(p) for f in prices], space=landscape.ask, seed=seed)


# name -> (maker, whether choices of numbers are asked as whole numbers, evaluations at most)
SAMPLERS: dict[str, tuple[Make, bool, int]] = {
    "known-cost": (_own(), False, 200),
    "known-cost, the others' start": (_own(), False, 200),
    "known-cost, space not told": (_own(space=None), False, 200),
    "known-cost, cost no input": (_own(cost_inputs=False), False, 200),
    "known-cost, cost an input but not exact": (_cost_as_feature, False, 200),
    "known-cost, numbers as words": (_own(ordered=False), False, 200),
    "known-cost, none of these": (_own(known={}, ordered=False, space=None), False, 200),
    "tpe": (lambda _, seed: optuna.samplers.TPESampler(seed=seed), False, 300),
    "tpe multivariate, ordered": (
        lambda _, seed: optuna.samplers.TPESampler(multivariate=True, group=True, seed=seed, n_startup_trials=8),
        True,
        400,
    ),
    "nsga2 20": (lambda _, seed: optuna.samplers.NSGAIISampler(population_size=20, seed=seed), True, 600),
    "nsga2 50": (lambda _, seed: optuna.samplers.NSGAIISampler(population_size=50, seed=seed), True, 600),
    "gp, ordered": (
        lambda _, seed: optuna.samplers.GPSampler(n_startup_trials=8, seed=seed, warn_independent_sampling=False),
        True,
        100,
    ),
    "random": (lambda _, seed: optuna.samplers.RandomSampler(seed=seed), False, 600),
}
WITH_KNOWN = ("known-cost, cost no input", "known-cost, cost an input but not exact")


def first_designs(landscape: Landscape, seed: int, count: int = 8) -> list[dict[str, Any]]:
    dice = random.Random(seed)
    return [walked(landscape.ask, Dice(dice)).params for _ in range(count)]


def as_numbers(landscape: Landscape, params: dict[str, Any], choices: dict[str, Any]) -> dict[str, Any]:
    """The answers as `ask(..., ordered=True)` asks for them."""

    class Given:
        def __init__(self) -> None:
            self.said: dict[str, Any] = {}

        def suggest_categorical(self, name: str, choices: Any) -> Any:
            self.said[name] = params[name]
            return params[name]

        def suggest_int(self, name: str, low: int, high: int, **_: Any) -> int:
            stem = name.removesuffix("#")
            self.said[name] = list(choices[stem]).index(params[stem]) if stem != name else params[name]
            return int(self.said[name])

    given = Given()
    landscape.ask(given, ordered=True)
    return given.said


def one_run(
    landscape: Landscape, name: str, seed: int, reference: list[float], volume: float
) -> tuple[list[int | None], float]:
    """Evaluations to each share (None: not within the limit), and the mean seconds of a proposal."""
    make, ordered, limit = SAMPLERS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = make(landscape, seed)
    study = optuna.create_study(directions=list(landscape.directions), sampler=sampler)
    for params in [] if name == OWN_START else first_designs(landscape, seed):
        numbers = as_numbers(landscape, params, landscape.choices) if ordered else params
        study.enqueue_trial(numbers)
    dice = np.random.default_rng(seed)
    rows: list[list[float]] = []
    reached: list[int | None] = [None] * len(SHARES)
    spent = 0.0
    directions = list(landscape.directions)
    for number in range(1, limit + 1):
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = study.ask()
            landscape.ask(trial, ordered=ordered)
        spent += time.perf_counter() - began
        true = landscape.truth(trial.params)
        study.tell(trial, landscape.told(trial.params, dice))
        if hypervolume([*rows, true], reference, directions) > hypervolume(rows, reference, directions):
            rows.append(true)
        share = hypervolume(rows, reference, directions) / volume
        reached = [at or (number if share >= bar else None) for at, bar in zip(reached, SHARES, strict=True)]
        if all(reached):
            break
    return reached, spent / number


def told(value: float, limit: int) -> str:
    return f"> {limit}" if value > limit else f"{value:g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--skip", nargs="*", default=[])
    parser.add_argument("--landscapes", nargs="*", default=list(LANDSCAPES))
    parser.add_argument("--table", type=Path)
    parser.add_argument("--objectives", default="accuracy:maximize,flops:minimize")
    parser.add_argument("--known", nargs="*", default=["flops"])
    parser.add_argument("--out", type=Path, default=Path("results/search-efficiency.md"))
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if asked.table:
        pairs = dict(pair.split(":") for pair in asked.objectives.split(","))
        found = [of_table(asked.table, pairs, asked.known)]
    else:
        found = [LANDSCAPES[name] for name in asked.landscapes]
    text = []
    for landscape in found:
        reference, volume = whole(landscape)
        head = (
            f"\n## {landscape.name}\n\n| sampler | to 95 %: median | worst | to 98 %: median | worst | proposal, ms |"
        )
        text += [head, "|---|---|---|---|---|---|"]
        print("\n".join(text[-2:]), flush=True)
        for name, (_, _, limit) in SAMPLERS.items():
            if asked.only and not any(name.startswith(only) for only in asked.only):
                continue
            if any(name.startswith(skip) for skip in asked.skip):
                continue
            if name in WITH_KNOWN and not landscape.known:
                continue
            runs = [one_run(landscape, name, seed, reference, volume) for seed in range(asked.seeds)]
            cells = []
            for i in range(len(SHARES)):
                counts = [run[0][i] or limit + 1 for run in runs]
                cells += [told(statistics.median(counts), limit), told(max(counts), limit)]
            spent = 1000 * statistics.mean(run[1] for run in runs)
            text.append(f"| {name} | {' | '.join(cells)} | {spent:.0f} |")
            print(text[-1], flush=True)
            write(asked.out, asked.seeds, text)


def write(out: Path, seeds: int, text: list[str]) -> None:
    about = f"# Evaluations to a share of the true hypervolume\n\n{seeds} seeds; see benchmarks/search_efficiency.py."
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join([about, *text]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
