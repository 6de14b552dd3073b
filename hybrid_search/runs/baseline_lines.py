"""The progress of running baselines as text: the totals, and one line for each training that ended."""

from hybrid_search._internal.counted import counted
from hybrid_search.engines.driver import RunContext
from hybrid_search.runs.trial_lines import Totals, last_line, values_text
from hybrid_search.search.baseline_run import BaselineRun, network_number


class FollowedBaselines:
    """The trainings of baselines.

    Args:
        run: The baselines.
    """

    title = "baselines"

    def __init__(self, run: BaselineRun) -> None:
        self._run = run
        self._baselines = {network_number(each.network): each for each in run.baselines}

    def label(self, number: int) -> str:
        """Return the name of the baseline."""
        return self._baselines[number].name

    def opening(self, context: RunContext) -> list[str]:
        """Return the first lines: the number of trainings, and each network with its changes and its cost."""
        run = self._run
        epochs = counted(run.record.settings.epochs, "epoch")
        first = f"baselines of search {run.record.name!r}: {counted(run.total, 'training')} of {epochs}"
        return [first, *(f"{each.name}: {each.network}" for each in run.baselines)]

    def totals(self) -> Totals:
        """Return the totals."""
        run = self._run
        done = len(run.results) + len(run.failures)
        return Totals(
            done, run.total, counted(len(run.failures), "failure") if run.failures else "", (run.remaining,) * 2
        )

    def started(self, number: int) -> tuple[int, float]:
        """Return the number of epochs and the FLOPs of a training that starts; of a model of timm, 1."""
        return self._run.record.settings.epochs, self._run.cost(self._baselines[number].network).get("flops", 1.0)

    def future_cost(self) -> None:
        """Return None: the cost of the trainings so far is used."""
        return

    def line(self, kind: str, number: int) -> str:
        """Return the result of a training, or why it failed."""
        if kind == "retry":
            return f"{self.label(number)} is retried"
        if kind == "failed":
            failure = self._run.failures[-1]
            return f"{failure.name} failed with seed {failure.seed} ({failure.kind}: {last_line(failure.text)})"
        done = self._run.results[-1]
        values = values_text(done.measurements, self._run.record.objective_list)
        return f"{done.name} with seed {done.seed}: {values}"
