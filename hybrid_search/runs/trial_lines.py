"""The progress of a search or confirmation as text: the totals, and one line for each trial that ended."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from statistics import fmean
from typing import Protocol

from hybrid_search._internal.counted import counted
from hybrid_search.engines.driver import RunContext
from hybrid_search.ledger import reads
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.costs import total_cost
from hybrid_search.networks.stored_architecture import readable_line
from hybrid_search.objectives import Objective
from hybrid_search.search.confirmation import Confirmation
from hybrid_search.search.search import Search

SAMPLED = 64  # random designs that give the expected cost of future trials


@dataclass(frozen=True)
class Totals:
    """The numbers that a bar shows.

    Args:
        done: Number of trials that ended.
        total: Number of trials in all; None: unknown.
        text: The state in a few words.
        remaining: Smallest and largest number of trials that have not started.
    """

    done: int
    total: int | None
    text: str
    remaining: tuple[int, int]


class Followed(Protocol):
    """A running search, confirmation or baselines, as a bar sees them."""

    title: str

    def label(self, number: int) -> str:
        """Return the words for a trial, such as `trial 3`."""
        ...

    def opening(self, context: RunContext) -> list[str]:
        """Return the first lines: what runs, and what it will cost."""
        ...

    def totals(self) -> Totals:
        """Return the totals."""
        ...

    def started(self, number: int) -> tuple[int, float]:
        """Return the number of rungs and the cost in FLOPs of a trial that starts."""
        ...

    def future_cost(self) -> float | None:
        """Return the expected cost in FLOPs of the trials that have not started; None: as the trials so far."""
        ...

    def line(self, kind: str, number: int) -> str:
        """Return the line about a trial after an event: complete, stopped, failed or retry."""
        ...


class FollowedSearch:
    """A running search.

    Args:
        search: The search.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self.title = search.record.name

    def label(self, number: int) -> str:
        """Return `trial 3`."""
        return f"trial {number}"

    def opening(self, context: RunContext) -> list[str]:
        """Return the first lines: new or resumed, the configuration, the database."""
        search, record = self._search, self._search.record
        counts = search.progress().counts
        ended = sum(counts.values()) - counts["running"]
        parts = [record.settings.data, counted(record.settings.epochs, "epoch"), f"sampler {record.sampler}"]
        if record.image_sizes:
            parts.append(f"image sizes {' and '.join(map(str, record.image_sizes))}")
        if record.tuned:
            parts.append(f"{' and '.join(name.replace('_', ' ') for name in record.tuned)} tuned")
        if record.pruner != "none":
            parts.append(f"pruner {record.pruner}")
        if search.stop_rule.hours is not None:
            parts.append(f"at most {search.stop_rule.hours:g} hours")
        if search.stop_rule.until_settled is not None:
            parts.append(f"until settled within {search.stop_rule.until_settled:.2%}")
        facts = f"{', '.join(parts)}; {counted(search.spec.space.size(), 'design')}; {search.ledger.display_url}"
        if not sum(counts.values()):
            first = f"search {record.name!r} starts: {counted(record.target, 'trial')} ({facts})"
        elif search.is_finished():
            first = f"search {record.name!r} already has its {counted(record.target, 'trial')} ({facts})"
        else:
            first = f"search {record.name!r} resumes: {ended} of {counted(record.target, 'trial')} have ended ({facts})"
        slow = "the first trials take longest: each machine loads torch and compiles the attention kernel once"
        return [first] if ended else [first, slow]

    def totals(self) -> Totals:
        """Return the totals."""
        counts, target = self._search.progress().counts, self._search.record.target
        left = max(0, target - sum(counts.values()))
        return Totals(sum(counts.values()) - counts["running"], target, progress_text(self._search), (left, left))

    def started(self, number: int) -> tuple[int, float]:
        """Return the number of epochs and the FLOPs of a trial that starts."""
        record = self._search.ledger.read(reads.trial, self._search.record.id, number)
        cost = self._search.spec.cost(Architecture.from_dict(record.architecture))["flops"]
        return int(record.settings["epochs"]), cost

    def future_cost(self) -> float | None:
        """Return the mean FLOPs of random designs within the budget."""
        return self._expected_cost

    @cached_property
    def _expected_cost(self) -> float | None:
        spec, rng = self._search.spec, random.Random(0)
        drawn = [spec.space.random_choices(rng)[0] for _ in range(SAMPLED)]
        costs = [spec.cost(design)["flops"] for design in drawn if spec.budget_excess(design) <= 0]
        return fmean(costs) if costs else None

    def line(self, kind: str, number: int) -> str:
        """Return the result, seconds and design of a trial that ended, or why an attempt failed."""
        search = self._search
        if kind == "retry":
            failure = search.ledger.read(reads.failures, search.record.id, number)[-1]
            return f"trial {number} is retried ({failure.kind}: {last_line(failure.text)})"
        trial = search.ledger.read(reads.trial, search.record.id, number)
        seconds = "" if trial.seconds is None else f", {trial.seconds:.1f} s"
        design = readable_line(trial.architecture)
        if kind == "failed":
            why = f"{trial.failure_kind}: {last_line(trial.failure_text or '')}"
            return f"trial {number} failed ({why}){seconds}, {design}"
        if kind == "stopped":
            epochs = counted(trial.settings["epochs"], "epoch")
            return f"trial {number} pruned after {trial.rung} of {epochs}{seconds}, {design}"
        return f"trial {number} complete: {values_text(trial.measurements, search.spec.objectives)}{seconds}, {design}"


class FollowedConfirmation:
    """A running confirmation.

    Args:
        confirmation: The confirmation.
    """

    title = "retrained"

    def __init__(self, confirmation: Confirmation) -> None:
        self._confirmation = confirmation

    def label(self, number: int) -> str:
        """Return `trial 3`."""
        return f"trial {number}"

    def opening(self, context: RunContext) -> list[str]:
        """Return the first lines: the front, the number of retrainings, and the training time that they take."""
        confirmation = self._confirmation
        done = f", {confirmation.done} done already" if confirmation.done else ""
        needed, most = confirmation.remaining()
        seeds, wanted = counted(confirmation.seeds, "fresh seed"), confirmation.missing()
        each = f"at least {seeds} each, more for uncertain trials"
        if wanted > most:
            each = f"{seeds} each would take {counted(wanted, 'retraining')}, the limit is {most}"
        first = (
            f"confirming search {confirmation.record.name!r}: {counted(len(confirmation.before), 'trial')} on the "
            f"front{_references(confirmation)}, {each}{done}"
        )
        seconds = confirmation.mean_seconds()
        limit = f", at most {most}" if confirmation.budget is not None else ""
        if seconds is None:
            return [first, f"it takes {counted(needed, 'retraining')}{limit}"]
        workers = context.resources.workers or 1
        times = [duration_text(count * seconds / workers) for count in (needed, most)]
        together = f" with {workers} workers" if workers > 1 else " one after the other"
        return [
            first,
            f"it takes {counted(needed, 'retraining')} ({times[0]}{together})"
            + (f"{limit} ({times[1]})" if confirmation.budget is not None else ""),
        ]

    def totals(self) -> Totals:
        """Return the totals; the number of retrainings is between what the front needs and the budget."""
        confirmation = self._confirmation
        uncertain = confirmation.uncertain_trials()
        text = "uncertain trials not known yet" if uncertain is None else f"{len(uncertain)} uncertain"
        return Totals(
            confirmation.done,
            confirmation.budget,
            f"{len(confirmation.front())} on the front, {text}",
            confirmation.remaining(),
        )

    def started(self, number: int) -> tuple[int, float]:
        """Return the number of epochs and the FLOPs of a trial that is trained again."""
        confirmation = self._confirmation
        record = confirmation.ledger.read(reads.trial, confirmation.record.id, number)
        architecture = Architecture.from_dict(record.architecture)
        flops, _ = total_cost(architecture, confirmation.record.input_size, confirmation.record.classes)
        return int(record.settings["epochs"]), float(flops)

    def future_cost(self) -> None:
        """Return None: the same trials are trained again."""
        return

    def line(self, kind: str, number: int) -> str:
        """Return the result of a retraining, or why it failed."""
        confirmation = self._confirmation
        if kind == "retry":
            return f"the retraining of trial {number} is retried"
        if kind == "failed":
            failure = confirmation.failures[-1]
            return f"trial {number} failed with seed {failure.seed} ({failure.kind}: {last_line(failure.text)})"
        seed, values = confirmation.newest(number)
        return f"trial {number} with seed {seed}: {values_text(values, confirmation.objectives)}"


def _references(confirmation: Confirmation) -> str:
    """Return the known designs beside the front in words: ` and 1 known design (all convolution)`."""
    beside = [name for number, name in confirmation.references.items() if number not in confirmation.before]
    return f" and {counted(len(beside), 'known design')} ({', '.join(beside)})" if beside else ""


def duration_text(seconds: float) -> str:
    """Return a duration as hours, minutes and seconds, such as `0:02:10`."""
    return str(timedelta(seconds=round(seconds)))


def values_text(values: Mapping[str, float], objectives: Sequence[Objective]) -> str:
    """Return the values of objectives as people read them: `accuracy 97.20 %, 1.2 MFLOPs`."""
    texts = {each.name: each.text(values.get(each.name)) for each in objectives}
    return ", ".join(text if name in text.lower() else f"{name} {text}" for name, text in texts.items())


def progress_text(search: Search) -> str:
    """Return the state of a search in one line: front, best value, hypervolume, and what happened to proposals."""
    progress = search.progress()
    first = search.spec.objectives[0]
    parts = [
        f"{progress.front} on the front",
        f"best {first.name} {first.text(progress.best)}",
        f"hypervolume {progress.hypervolume:.4g}",
    ]
    counted = {
        "duplicates skipped": progress.duplicates,
        "over budget skipped": progress.over_budget,
        "deferred": progress.deferred,
        "pruned": progress.counts["stopped"],
        "failed": progress.counts["failed"],
        "retried": progress.retried,
        "epochs saved": progress.saved_epochs,
    }
    return ", ".join([*parts, *(f"{count:,} {what}" for what, count in counted.items() if count)])


def last_line(text: str) -> str:
    """Return the last line of an error text."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no error text"
