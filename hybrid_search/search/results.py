"""The results of a search: its text, its front, a table of its trials, the number of equivalent designs it avoided."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hybrid_search._internal.rich_html import rich_html
from hybrid_search.errors import SettingsError
from hybrid_search.objectives import Objective
from hybrid_search.records import TrialRecord
from hybrid_search.spaces.equivalence import count_equivalent
from hybrid_search.spaces.recipe_tuning import without_recipe

if TYPE_CHECKING:
    import pandas

    from hybrid_search.search.spec import SearchSpec
    from hybrid_search.search.trial import Progress

SHOWN = 10  # trials of a front that its text lists
MAX_COUNTED = 500  # networks whose equivalent designs are counted, at some milliseconds each


class Front(list[int]):
    """The numbers of the trials on a front. It is a list; its text has the values of the objectives too.

    Args:
        name: Name of the search.
        rows: Trial number -> values of the objectives.
        objectives: The objectives, in order.
    """

    def __init__(self, name: str, rows: Mapping[int, Sequence[float]], objectives: Sequence[Objective]) -> None:
        super().__init__(rows)
        self.name, self.rows, self.objectives = name, rows, objectives

    def __repr__(self) -> str:
        lines = [f"front of {self.name!r}: {len(self)} {'trial' if len(self) == 1 else 'trials'}"]
        for number in [number for number in self if number in self.rows][:SHOWN]:
            values = zip(self.objectives, self.rows[number], strict=True)
            lines.append(f"  trial {number}: {', '.join(f'{one.label} {one.text(value)}' for one, value in values)}")
        return "\n".join([*lines, *(["  ..."] if len(self) > SHOWN else [])])

    def _repr_html_(self) -> str:
        return rich_html("front_html", self)


def search_text(name: str, progress: "Progress", front: Sequence[int], database: str) -> str:
    """Return a search on one line: its counts, its front and its database.

    Args:
        name: Name of the search.
        progress: Its progress.
        front: The numbers of the trials on its front.
        database: Its database, without secrets.
    """
    counts = progress.counts
    others = [f"{counts[state]} {state}" for state in ("running", "stopped", "failed") if counts[state]]
    shown = ", ".join(str(number) for number in front[:SHOWN]) + (", ..." if len(front) > SHOWN else "")
    done = ", ".join([f"{counts['complete']} of {progress.target} trials complete", *others])
    return f"<Search {name!r}: {done}; front of {len(front)}: {shown or 'none'}; {database}>"


def trials_frame(trials: Iterable[TrialRecord], front: Sequence[int]) -> "pandas.DataFrame":
    """Return a table of trials: one row for each, with its measurements and its choices.

    Args:
        trials: The trials.
        front: The numbers of the trials on the front.

    Raises:
        SettingsError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise SettingsError(
            "a frame needs pandas, which is not installed; got no module of this name. pip install pandas"
        ) from None
    rows = [_row(trial, front) for trial in trials]
    return pandas.DataFrame(rows, columns=None if rows else ["number", "state"]).set_index("number")


def _row(trial: TrialRecord, front: Sequence[int]) -> dict[str, Any]:
    facts = {"number": trial.number, "state": trial.state, "front": trial.number in front, "seconds": trial.seconds}
    ended = {"digest": trial.digest, "attempt": trial.attempt, "rung": trial.rung, "failure": trial.failure_kind}
    return {**facts, **trial.measurements, **ended, **{f"choice {name}": one for name, one in trial.choices.items()}}


def equivalent_designs(spec: "SearchSpec", trained: Iterable[TrialRecord]) -> int:
    """Return how many other designs of a space are networks that were trained already.

    Args:
        spec: The configuration of the search.
        trained: Completed trials.
    """
    choices = (without_recipe(trial.choices) for trial in trained)
    return sum(count_equivalent(spec.space, one, spec.input_size) - 1 for one in choices)
