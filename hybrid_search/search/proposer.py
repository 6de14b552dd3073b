"""The Optuna study of a search, in memory: the only module of the search that uses Optuna.

The ledger is the source of truth. The study is rebuilt from it, so a resumed search proposes what an uninterrupted one
would have proposed.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import TrialState

from hybrid_search.networks.architecture import Architecture
from hybrid_search.samplers import PRUNED_VALUES, Facts, KnownCostSampler, make_known_cost, make_sampler
from hybrid_search.search.index import TrialIndex
from hybrid_search.search.spec import SearchSpec
from hybrid_search.spaces.choosers import FixedChoices
from hybrid_search.spaces.recipe_tuning import recipe_choices, without_recipe

COSTS = ("flops", "params")  # known before training
StudyTrial = optuna.trial.Trial  # a proposal, as the study of Optuna holds it


class Proposer:
    """The sampler of a search and the study it learns from.

    Args:
        spec: The configuration of the search.
        index: The trials of the search, filled from the ledger.
        n_existing: Number of trials and proposals in the ledger.
        unloaded: Digests of known architectures that the study does not contain; they are never proposed.
    """

    def __init__(self, spec: SearchSpec, index: TrialIndex, n_existing: int, unloaded: set[str]) -> None:
        self._spec = spec
        self._index = index
        self._unloaded = unloaded
        self._designs: dict[tuple[tuple[str, Any], ...], tuple[Architecture, dict[str, float]]] = {}
        self._running: dict[int, StudyTrial] = {}  # running trial -> its trial of the study
        facts = self._facts(n_existing)
        sampler = make_sampler(spec.sampler, spec.seed, facts)
        # The known-cost sampler also estimates the remaining improvement of searches with another sampler.
        self._estimator = sampler if isinstance(sampler, KnownCostSampler) else make_known_cost(spec.seed, facts)
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # the study is an internal detail
        self.study = optuna.create_study(directions=list(spec.directions), sampler=sampler)
        optuna.logging.set_verbosity(verbosity)

    def _facts(self, n_existing: int) -> Facts:
        """Return what a sampler may use: the identity of a design, its cost, and its excess over the budget."""
        names = [objective.name for objective in self._spec.objectives]

        def walk(chooser: Any) -> None:
            architecture = self._spec.architecture(chooser)
            self._designs[tuple(chooser.params.items())] = architecture, self._spec.cost(architecture)
            self._spec.trial_settings(chooser)

        return Facts(
            known={names.index(name): partial(self._cost, name) for name in COSTS if name in names},
            features=lambda choices: [math.log(self._cost(name, choices)) for name in COSTS if name not in names],
            canonical=lambda choices: self._design(choices)[0].digest,
            variant=recipe_choices if self._spec.tuned else None,
            budget_excess=self._excess,
            space=walk,
            n_existing=n_existing,
        )

    def _design(self, choices: Mapping[str, Any]) -> tuple[Architecture, dict[str, float]]:
        """Return architecture and cost of these choices, computed once."""
        key = tuple((without_recipe(choices) if self._spec.tuned else choices).items())
        if key not in self._designs:
            architecture = self._spec.architecture(FixedChoices(choices))
            self._designs[key] = architecture, self._spec.cost(architecture)
        return self._designs[key]

    def _cost(self, name: str, choices: Mapping[str, Any]) -> float:
        return self._design(choices)[1][name]

    def _excess(self, choices: Mapping[str, Any]) -> float:
        """Return how far a design is over the budget; a known design that the study lacks counts as over it."""
        architecture = self._design(choices)[0]
        return 1.0 if architecture.digest in self._unloaded else self._spec.budget_excess(architecture)

    # -- proposals --

    def ask(self) -> StudyTrial:
        """Return the sampler's next proposal."""
        return self.study.ask()

    def ask_for(self, choices: Mapping[str, Any]) -> StudyTrial:
        """Return a proposal of these choices, which takes the place of the sampler's next one."""
        self.study.enqueue_trial(dict(choices))
        return self.study.ask()

    def set_budget_excess(self, proposal: StudyTrial, excess: float) -> None:
        """Record how far a proposal is over the budget, for samplers that read constraints."""
        if self._spec.has_budget:
            proposal.set_constraint("budget", excess)

    def start(self, number: int, proposal: StudyTrial) -> None:
        """Record that a trial trains this proposal."""
        self._running[number] = proposal

    def reject(self, proposal: StudyTrial) -> None:
        """Record that a proposal is not trained now, because it is over the budget or deferred."""
        self.study.tell(proposal, state=TrialState.PRUNED)

    def answer_duplicate(self, proposal: StudyTrial, row: Sequence[float] | None) -> None:
        """Give the sampler the objectives of an architecture that it proposed again; None: there are none."""
        if row is None:
            self.study.tell(proposal, state=TrialState.FAIL)
        else:
            self.study.tell(proposal, list(row))

    # -- results --

    def complete(self, number: int, row: Sequence[float]) -> None:
        """Give the sampler the objectives of a completed trial."""
        self.study.tell(self._running.pop(number), list(row))

    def stop(self, number: int, expected: Sequence[float]) -> None:
        """Give the sampler the expected final values of a stopped trial, which have less bias than its last values."""
        proposal = self._running.pop(number)
        proposal.set_user_attr(PRUNED_VALUES, list(expected))
        self.study.tell(proposal, state=TrialState.PRUNED)

    def fail(self, number: int) -> None:
        """Tell the sampler that a trial failed."""
        self.study.tell(self._running.pop(number), state=TrialState.FAIL)

    def remaining_improvement(self, trials: int) -> float:
        """Return what the next trials are expected to add to the hypervolume, as a share of it."""
        return self._estimator.remaining_improvement(self.study, trials)

    # -- the study from the ledger --

    def load_completed(self, choices: Mapping[str, Any], row: Sequence[float]) -> None:
        """Add a completed trial of the ledger."""
        self._load(choices, TrialState.COMPLETE, values=list(row))

    def load_stopped(self, choices: Mapping[str, Any], expected: Sequence[float]) -> None:
        """Add a stopped trial of the ledger with its expected final values."""
        self._load(choices, TrialState.PRUNED, user_attrs={PRUNED_VALUES: list(expected)})

    def load_failed(self, choices: Mapping[str, Any]) -> None:
        """Add a failed trial of the ledger."""
        self._load(choices, TrialState.FAIL)

    def load_rejected(self, choices: Mapping[str, Any]) -> None:
        """Add a proposal of the ledger that was over the budget or deferred."""
        self._load(choices, TrialState.PRUNED)

    def _load(self, choices: Mapping[str, Any], state: TrialState, **more: Any) -> None:
        chooser = FixedChoices(choices)
        architecture = self._spec.architecture(chooser)
        self._spec.trial_settings(chooser)
        if self._spec.has_budget:
            more["constraints"] = {"budget": self._spec.budget_excess(architecture)}
        distributions: dict[str, BaseDistribution] = {
            name: CategoricalDistribution(offered) for name, offered in chooser.offered.items()
        }
        trial = optuna.trial.create_trial(state=state, params=chooser.params, distributions=distributions, **more)
        self.study.add_trial(trial)
