"""The contract of an engine as a class of tests."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.worker import Evaluate
from hybrid_search.errors import HybridSearchError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.networks.architecture import Architecture
from hybrid_search.pruners import PrunerObjectives, TrialView, Verdict
from hybrid_search.records import Report, Resources, Settings
from hybrid_search.runs.run import run
from hybrid_search.spaces.space import SearchSpace

SMALL = (8, 16)
WIDE = (8, 16, 24, 32)


def space(widths: tuple[int, ...] = SMALL, kernels: tuple[int, ...] = (3, 5)) -> SearchSpace:
    """Return a space of one stage with convolution and local attention; twelve architectures by default."""
    operator = {"conv": {"kernel_size": [*kernels]}, "local_attention": {"extent": [3, 5], "heads": [2, 4]}}
    stages = [{"depth": 1, "width": [*widths], "operator": operator}]
    return SearchSpace.from_dict({"name": "contract", "stem": {"conv3x3": {"width": 8}}, "stages": stages})


def score(digest: str) -> float:
    """Return the accuracy of an architecture in these tests, from its digest."""
    return int(digest[:4], 16) / 65536


def scored(rungs: int = 2) -> Evaluate:
    """Return an evaluation that reports a part of the score after each rung."""

    def evaluate(architecture: Architecture, settings: Settings) -> Iterator[dict[str, float]]:
        for rung in range(1, rungs + 1):
            yield {"accuracy": int(architecture.digest[:4], 16) / 65536 * rung / rungs}

    return evaluate


def _attention(trial: Any) -> int | None:
    """Return the extent of attention in the design of a trial; None for convolution."""
    extent: int | None = trial.architecture["stages"][0].get("extent")
    return extent


def _is_odd(digest: str) -> bool:
    return int(digest[:4], 16) % 2 == 1


class _StopOddDigests:
    """A pruner that stops the designs with an odd digest after two rungs."""

    min_probability = 0.0

    def front_probabilities(self, designs: Sequence[TrialView], others: Sequence[TrialView]) -> list[float]:
        return [1.0] * len(designs)

    def judge(self, trial: TrialView, rung: int, others: Sequence[TrialView]) -> Verdict:
        return "stop" if _is_odd(trial.digest) and rung >= 2 else "keep"

    def expected_values(self, trial: TrialView, rung: int, others: Sequence[TrialView]) -> tuple[float, ...]:
        return trial.curve[rung]


def _stop_odd_digests(aims: PrunerObjectives, seed: int) -> _StopOddDigests:
    return _StopOddDigests()


class EngineContract:
    """The tests that every engine must pass. Inherit from it in a test module.

    Attributes:
        engine: The engine: a name in `ENGINES`, or an object with `ready` and `drive`.
        has_worker_processes: Whether trials run in other processes than the driver.

    Example:
        >>> class TestSlurm(EngineContract):
        ...     engine = "slurm"
    """

    engine: ClassVar[Any]
    has_worker_processes: ClassVar[bool] = True

    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Iterator[Ledger]:
        """Provide an empty ledger."""
        with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
            yield opened

    def run(self, ledger: Ledger, evaluate: Evaluate, trials: int, workers: int | None = None, **more: Any) -> Any:
        """Run a search on this engine and return it.

        Args:
            ledger: an empty ledger, or one with the search.
            evaluate: the evaluation.
            trials: total number of trials.
            workers: number of trials at a time.
            more: other arguments of `run`.

        Returns:
            The search.

        Raises:
            SettingsError: an argument of `run` is wrong.
        """
        searched = more.pop("space", None) or space()
        resources = Resources(self.engine, workers=workers)
        return run(searched, trials=trials, resources=resources, ledger=ledger, evaluate=evaluate, **more)

    @staticmethod
    def trials(ledger: Ledger) -> Any:
        """Return the trials of the newest search.

        Args:
            ledger: the ledger.
        """
        return ledger.read(reads.trials, ledger.search().id)

    @staticmethod
    def rungs(ledger: Ledger, trial: Any) -> list[int]:
        """Return the rungs of a trial that the ledger has.

        Args:
            ledger: the ledger.
            trial: a record of one of its trials.
        """
        return [rung for rung, _ in ledger.read(reads.curve, trial.id)]

    def states(self, ledger: Ledger) -> dict[int, str]:
        """Return the state of every trial of the newest search, by number.

        Args:
            ledger: the ledger.
        """
        return {trial.number: trial.state for trial in self.trials(ledger)}

    def test_every_trial_ends_with_its_numbers_and_its_curve(self, ledger: Ledger) -> None:
        """Check: every trial ends with its numbers and its curve."""
        shown = _Shown()
        self.run(ledger, scored(rungs=3), 4, loggers=[shown])
        assert self.states(ledger) == dict.fromkeys(range(4), "complete")
        assert sorted(fields["number"] for fields in shown.trials) == [0, 1, 2, 3]
        assert all(fields["state"] == "complete" and fields["accuracy"] > 0 for fields in shown.trials)
        for trial in self.trials(ledger):
            assert trial.measurements["accuracy"] == pytest.approx(score(trial.digest))
            curve = {rung: numbers["accuracy"] for rung, numbers in ledger.read(reads.curve, trial.id)}
            assert curve == pytest.approx({rung: score(trial.digest) * rung / 3 for rung in (1, 2, 3)})

    def test_the_same_call_continues_the_search(self, ledger: Ledger) -> None:
        """Check: the same call continues the search."""
        for _ in range(2):
            self.run(ledger, scored(), 3, workers=1)
        assert self.states(ledger) == dict.fromkeys(range(6), "complete")
        assert len({trial.digest for trial in self.trials(ledger)}) == 6

    def test_a_failed_trial_does_not_affect_the_others(self, ledger: Ledger) -> None:
        """Check: a failed trial does not affect the others."""

        def evaluate(architecture: Architecture, settings: Settings) -> Iterator[dict[str, float]]:
            yield {"accuracy": 0.1}
            if architecture.stages[0].operator == "local_attention":
                if dict(architecture.stages[0].options)["extent"] == 3:
                    raise RuntimeError("a bug in the user's code")
                yield {"accuracy": float("nan")}
            yield {"accuracy": 0.5}

        self.run(ledger, evaluate, 12, sampler="random", seed=3)
        trials = self.trials(ledger)
        assert len(trials) == 12
        ends = {_attention(trial): (trial.state, trial.failure_kind) for trial in trials}
        assert ends == {None: ("complete", None), 3: ("failed", "bug"), 5: ("failed", "nan")}
        texts = [trial.failure_text for trial in trials if trial.failure_kind == "bug"]
        assert all("a bug in the user's code" in text for text in texts)

    def test_a_search_whose_first_trials_all_fail_stops_with_the_last_error(self, ledger: Ledger) -> None:
        """Check: a search whose first trials all fail stops with the last error."""

        def evaluate(architecture: Architecture, settings: Settings) -> Iterator[dict[str, float]]:
            raise ValueError("no such file: images")
            yield {}

        expected = r"the first 4 trials all failed \(bug\)[\s\S]*no such file: images"
        with pytest.raises(HybridSearchError, match=expected):
            self.run(ledger, evaluate, 12, workers=1)

    def test_a_trial_that_the_pruner_stops_counts_and_frees_its_worker(self, ledger: Ledger) -> None:
        """Check: a trial that the pruner stops counts and frees its worker."""

        events: list[tuple[int, str]] = []
        contexts: list[RunContext] = []

        def watch(search: Any, context: RunContext) -> None:
            context.on_event = lambda kind, number: events.append((number, kind))
            contexts.append(context)

        self.run(ledger, scored(rungs=6), 6, workers=1, watch=watch, pruner=_stop_odd_digests)
        trials = self.trials(ledger)
        assert [trial.state == "stopped" for trial in trials] == [_is_odd(trial.digest) for trial in trials]
        stopped = [trial for trial in trials if trial.state == "stopped"]
        assert 0 < len(stopped) < len(trials) == 6
        assert sorted(number for number, kind in events if kind == "stopped") == [trial.number for trial in stopped]
        assert (contexts[0].completed, contexts[0].failed) == (6 - len(stopped), 0)
        for trial in stopped:
            assert self.rungs(ledger, trial) == list(range(1, trial.rung + 1))
            assert 2 <= trial.rung < 6
            assert trial.measurements == {}
            assert trial.facts["worker"] == trial.worker != ""

    def test_running_trials_of_a_stopped_run_are_continued_by_the_next_run(self, ledger: Ledger) -> None:
        """Check: running trials of a stopped run are continued by the next run."""

        def watch(search: Any, context: RunContext) -> None:
            context.on_event = _stopping(context)

        self.run(ledger, scored(rungs=4), 6, workers=1, watch=watch)
        assert "running" in self.states(ledger).values()
        self.run(ledger, scored(rungs=4), 6, workers=1)
        assert self.states(ledger) == dict.fromkeys(range(6), "complete")

    def test_a_stopped_trial_resumes_from_its_checkpoint(self, ledger: Ledger) -> None:
        """Check: a stopped trial resumes from its checkpoint."""

        def evaluate(architecture: Any, settings: Any, *, resume: Any = None, keep: Any = None) -> Iterator[Any]:
            import torch

            for rung in range(1 if resume is None else int(resume["rung"]) + 1, 5):
                if keep is not None:
                    keep(rung, lambda rung=rung: {"rung": torch.tensor(rung)})
                yield {"accuracy": int(architecture.digest[:4], 16) / 65536 * rung / 4}

        def every_rung(search: Any, context: RunContext) -> None:
            assert context.checkpoints is not None
            context.checkpoints = replace(context.checkpoints, interval=0.0)

        def watch(search: Any, context: RunContext) -> None:
            every_rung(search, context)
            context.on_event = _stopping(context)

        self.run(ledger, evaluate, 4, workers=1, watch=watch)
        cut = [trial.number for trial in self.trials(ledger) if trial.state == "running" and trial.rung]
        assert 2 in cut
        self.run(ledger, evaluate, 4, workers=1, watch=every_rung)
        for trial in self.trials(ledger):
            assert trial.state == "complete"
            assert self.rungs(ledger, trial) == [1, 2, 3, 4]
            assert trial.measurements["accuracy"] == score(trial.digest)
            assert ("resumed" in trial.facts) == (trial.number in cut)
        assert list(Path(f"{ledger.url.database}.checkpoints").iterdir()) == []

    def test_weights_reach_the_folder_of_the_ledger_and_facts_its_rows(self, ledger: Ledger) -> None:
        """Check: weights reach the folder of the ledger and facts its rows."""

        def evaluate(architecture: Architecture, settings: Settings) -> Iterator[Report]:
            facts = {"device": "cpu", "worker": "w"}
            yield Report(1, {"accuracy": 0.1}, facts)
            yield Report(2, {"accuracy": 0.5}, facts, last=True, weights=architecture.digest.encode())

        search = self.run(ledger, evaluate, 5, workers=1)
        stored = [trial for trial in self.trials(ledger) if trial.weights]
        assert {trial.number for trial in stored} == set(search.front())
        for trial in stored:
            assert search.weights.read(trial.number, trial.weights) == trial.digest.encode()
            assert (trial.facts["device"], trial.worker) == ("cpu", "w")

    def test_an_evaluation_without_numbers_fails_its_trial_and_not_the_search(self, ledger: Ledger) -> None:
        """Check: a word, no generator, or a list in the place of numbers fails a trial and not the search."""

        def evaluate(architecture: Architecture, settings: Settings) -> Any:
            stage = architecture.stages[0]
            if stage.operator == "conv":
                return iter([{"accuracy": 0.5}])
            options = dict(stage.options)
            if options["extent"] == 3:
                return [{"accuracy": "x"}]
            return 3 if options["heads"] == 2 else [[1, 2]]

        self.run(ledger, evaluate, 12, sampler="random", seed=3, workers=1)
        trials = self.trials(ledger)
        assert len(trials) == 12
        ends = {_attention(trial) is None: (trial.state, trial.failure_kind) for trial in trials}
        assert ends == {True: ("complete", None), False: ("failed", "bug")}

    def test_running_trials_finish_when_the_hours_are_over(self, ledger: Ledger) -> None:
        """Check: running trials finish when the hours are over."""

        def evaluate(architecture: Architecture, settings: Settings) -> Iterator[dict[str, float]]:
            time.sleep(0.2)
            yield {"accuracy": 0.5}

        self.run(ledger, evaluate, 12, hours=0.1 / 3600, workers=1)
        assert 1 <= len(self.states(ledger)) < 12
        assert set(self.states(ledger).values()) == {"complete"}

    def test_a_tuned_recipe_reaches_the_worker(self, ledger: Ledger) -> None:
        """Check: a tuned recipe reaches the worker."""

        def evaluate(architecture: Architecture, settings: Settings) -> Iterator[dict[str, float]]:
            yield {"accuracy": settings.learning_rate}

        self.run(ledger, evaluate, 8, tune_recipe=True, workers=1)
        trials = self.trials(ledger)
        assert [t.measurements["accuracy"] for t in trials] == [t.settings["learning_rate"] for t in trials]
        assert len({t.settings["learning_rate"] for t in trials}) > 1

    def test_a_trial_whose_worker_is_killed_is_retried_and_counts_once(self, ledger: Ledger, tmp_path: Path) -> None:
        """An engine without worker processes must run the trials in this process: no worker can be killed there."""
        mark, driver = tmp_path / "died", os.getpid()

        def evaluate(architecture: Architecture, settings: Settings) -> Iterator[dict[str, float]]:
            yield {"accuracy": 0.1}
            if os.getpid() != driver and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield {"accuracy": 0.5}

        self.run(ledger, evaluate, 4, workers=1)
        trials = self.trials(ledger)
        attempts = [2, 1, 1, 1] if self.has_worker_processes else [1, 1, 1, 1]
        assert [(trial.state, trial.attempt) for trial in trials] == [("complete", attempt) for attempt in attempts]
        assert [self.rungs(ledger, trial) for trial in trials] == [[1, 2]] * 4
        failures = ledger.read(reads.failures, ledger.search().id)
        lost = [(0, "lost")] if self.has_worker_processes else []
        assert [(failure.number, failure.kind) for failure in failures] == lost


class _Shown:
    """A logger that keeps the trials that it is given."""

    def __init__(self) -> None:
        self.trials: list[Mapping[str, Any]] = []

    def trial(self, fields: Mapping[str, Any]) -> None:
        self.trials.append(fields)

    def epoch(self, epoch: int, measurements: Mapping[str, float]) -> None:
        raise AssertionError("a search has no epochs of a full training")

    def close(self) -> None:
        pass


def _stopping(context: RunContext) -> Callable[[str, int], None]:
    """Return an `on_event` that stops the run after a rung of trial 2."""

    def on_event(kind: str, number: int) -> None:
        if kind == "report" and number == 2:
            context.stop.set()

    return on_event
