"""The contract of a sampler as a class of tests."""

from collections.abc import Mapping
from typing import Any, ClassVar

import optuna
from optuna.trial import TrialState

from hybrid_search.samplers import Facts, make_sampler

Params = Mapping[str, Any]


def _space(trial: Any) -> None:
    """Suggest one of 48 designs: a width, and two stages with an operator and its option."""
    trial.suggest_categorical("width", (8, 16, 32))
    for stage in ("a", "b"):
        if trial.suggest_categorical(f"{stage}.operator", ("conv", "attention")) == "conv":
            trial.suggest_categorical(f"{stage}.kernel_size", (3, 5))
        else:
            trial.suggest_categorical(f"{stage}.extent", (3, 7))


def _cost(params: Params) -> float:
    sizes = [params.get(f"{s}.kernel_size", 0) * 2 + params.get(f"{s}.extent", 0) for s in ("a", "b")]
    return float(params["width"] * sum(size**2 for size in sizes))


def _accuracy(params: Params) -> float:
    good = (params["a.operator"] == "conv") + (params["b.operator"] == "attention")
    return 1.0 - float(0.5 * _cost(params) ** -0.1 * 0.8**good)


class SamplerContract:
    """The tests that every sampler must pass. Inherit from it in a test module.

    Attributes:
        factory: a function (seed, facts) -> Optuna sampler, as `staticmethod`.
        uses_seed: whether another seed gives other proposals.

    Example:
        >>> class TestMySampler(SamplerContract):
        ...     factory = staticmethod(lambda seed, facts: MySampler(seed))
    """

    factory: "ClassVar[staticmethod[[int, Facts], optuna.samplers.BaseSampler]]"
    uses_seed: ClassVar[bool] = True

    def study(self, seed: int) -> optuna.Study:
        """Return a study of accuracy (maximized) and cost (minimized) with this sampler.

        Args:
            seed: seed of the sampler.

        Raises:
            SettingsError: the factory raises an error, or returns no sampler.
        """
        facts = Facts(known={1: _cost}, space=_space)
        sampler = make_sampler(type(self).factory, seed, facts)
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        optuna.logging.set_verbosity(verbosity)
        return study

    def proposals(self, study: optuna.Study, count: int) -> list[dict[str, Any]]:
        """Run so many trials and return their parameters.

        Args:
            study: a study of `self.study`.
            count: number of trials.

        Returns:
            The parameters of each trial, in order.
        """
        for _ in range(count):
            trial = study.ask()
            _space(trial)
            study.tell(trial, [_accuracy(trial.params), _cost(trial.params)])
        return [trial.params for trial in study.trials[-count:]]

    def test_the_factory_returns_an_optuna_sampler(self) -> None:
        """The result is a subclass of Optuna's base class."""
        assert isinstance(make_sampler(type(self).factory, 0, Facts(space=_space)), optuna.samplers.BaseSampler)

    def test_the_same_seed_gives_the_same_proposals(self) -> None:
        """A search can be reproduced."""
        assert self.proposals(self.study(0), 10) == self.proposals(self.study(0), 10)

    def test_another_seed_gives_other_proposals_if_the_sampler_uses_it(self) -> None:
        """Repetitions of a search are independent, or equal for a sampler without a random choice."""
        differ = self.proposals(self.study(0), 10) != self.proposals(self.study(1), 10)
        assert differ == self.uses_seed

    def test_every_proposal_is_a_design_of_the_space(self) -> None:
        """Exactly the active parameters are proposed, each with one of its choices."""
        for params in self.proposals(self.study(0), 12):
            options = {"conv": "kernel_size", "attention": "extent"}
            active = {f"{s}.{options[params[f'{s}.operator']]}" for s in ("a", "b")}
            assert set(params) == {"width", "a.operator", "b.operator"} | active

    def test_failed_pruned_and_running_trials_are_accepted(self) -> None:
        """A study with trials in every state gets further proposals."""
        study = self.study(0)
        for state in (TrialState.FAIL, TrialState.PRUNED, None) * 3:
            trial = study.ask()
            _space(trial)
            if state is not None:
                study.tell(trial, state=state)
        assert len(self.proposals(study, 3)) == 3

    def test_trials_of_another_sampler_are_accepted(self) -> None:
        """A study that has trials gets further proposals."""
        study = self.study(0)
        other = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(seed=0))
        self.proposals(other, 9)
        study.add_trials(other.trials)
        assert len(self.proposals(study, 3)) == 3
