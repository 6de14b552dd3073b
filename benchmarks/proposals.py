"""Time of one proposal of known-cost on a space of 6.7 * 10^9 architectures, and the number of repeated proposals.

python benchmarks/proposals.py                 # seconds of process time at 300 and 2,000 trials, one thread
python benchmarks/proposals.py --walk 1000     # a study of 1000 trials: repeated proposals, slowest proposal
"""

import argparse
import math
import random
import statistics
import time
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import create_trial

from hybrid_search.networks.costs import total_cost
from hybrid_search.samplers import KnownCostSampler
from hybrid_search.samplers.define_by_run import Suggester
from hybrid_search.spaces.choosers import FixedChoices
from hybrid_search.spaces.space import load_space

SPACE = load_space("sasa-resnet50")


MEMORY: dict[tuple[tuple[str, Any], ...], tuple[str, int]] = {}


def choose(chooser: Any) -> None:
    """Choose a design and store its digest and cost, as a search does."""
    architecture = SPACE.choose(chooser)
    if isinstance(chooser, Suggester):
        MEMORY[tuple(chooser.params.items())] = architecture.digest, total_cost(architecture, (3, 224, 224), 1000)[0]


def digest_and_flops(choices: Mapping[str, Any]) -> tuple[str, int]:
    key = tuple(choices.items())
    if key not in MEMORY:
        architecture = SPACE.choose(FixedChoices(choices))
        MEMORY[key] = architecture.digest, total_cost(architecture, (3, 224, 224), 1000)[0]
    return MEMORY[key]


def accuracy(choices: Mapping[str, Any]) -> float:
    digest, flops = digest_and_flops(choices)
    return 1 - 0.3 * (flops / 1e9) ** -0.3 * math.exp(-int(digest[:4], 16) / 655360)


def study() -> optuna.Study:
    sampler = KnownCostSampler(
        {1: lambda choices: float(digest_and_flops(choices)[1])},
        canonical=lambda choices: digest_and_flops(choices)[0],
        space=choose,
        seed=0,
    )
    return optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)


def propose(trials_study: optuna.Study) -> float:
    began = time.process_time()
    trial = trials_study.ask()
    SPACE.choose(trial)
    spent = time.process_time() - began
    trials_study.tell(trial, [accuracy(trial.params), float(digest_and_flops(trial.params)[1])])
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--walk", type=int)
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if args.walk:
        trials_study = study()
        spent = [propose(trials_study) for _ in range(args.walk)]
        digests = {digest_and_flops(trial.params)[0] for trial in trials_study.trials}
        print(f"{args.walk} proposals, {len(digests)} networks; slowest {max(spent[1:]):.2f} s, first {spent[0]:.2f} s")
        return
    for n_trials in (300, 2000):
        trials_study, rng = study(), random.Random(0)
        for _ in range(n_trials):
            _, choices = SPACE.random_choices(rng)
            fixed = FixedChoices(choices)
            SPACE.choose(fixed)
            offered = {name: CategoricalDistribution(each) for name, each in fixed.offered.items()}
            values = [accuracy(choices), float(digest_and_flops(choices)[1])]
            trials_study.add_trial(create_trial(values=values, params=fixed.params, distributions=offered))
        spent = [propose(trials_study) for _ in range(11)]
        print(
            f"{n_trials} trials: median {statistics.median(spent[1:]):.2f} s, "
            f"slowest {max(spent[1:]):.2f} s, first {spent[0]:.2f} s"
        )


if __name__ == "__main__":
    main()
