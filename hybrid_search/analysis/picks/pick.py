"""Choose one trial of a search, and say why. Exports, retrainings and charts use this one function."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from hybrid_search._internal.counted import counted
from hybrid_search.analysis.confidence import confirmed_front
from hybrid_search.analysis.picks.bound import Bound, read_bound
from hybrid_search.analysis.picks.knee import front_knee
from hybrid_search.errors import SettingsError, UnknownName, nearest
from hybrid_search.ledger import Ledger, reads
from hybrid_search.objectives import Objective, scaled
from hybrid_search.records import SearchRecord, TrialRecord

NAMES = ("best", "knee")
Values = Mapping[int, Mapping[str, float]]


@dataclass(frozen=True)
class Pick:
    """One chosen trial.

    Attributes:
        trial: the trial.
        numbers: its objective values as people read them, and over how many seeds they are means.
        why: why it was chosen.
    """

    trial: TrialRecord
    numbers: str
    why: str

    def __str__(self) -> str:
        return f"trial {self.trial.number} ({self.numbers}): {self.why}"


def pick_trial(ledger: Ledger, record: SearchRecord, pick: str) -> Pick:
    """Choose one completed trial of a search.

    Once trials were retrained, means over fresh seeds are compared, and only retrained trials are chosen. A trial
    number, and a bound that no retrained trial fulfils, are exceptions.

    Args:
        ledger: the ledger of the search.
        record: the search.
        pick: one of

            * `best`: the best trial in the first objective.
            * `knee`: the knee of the front; see `analysis.picks.knee`.
            * the number of a trial.
            * `NAME<=X` or `NAME>=X`, such as `flops<=40M`, `latency<=5ms` or `accuracy>=92%`: the best trial in the
              first objective within this bound. If the bound is itself one of quality in the first objective, such as
              `accuracy>=92%`, it is the best trial in the second objective, or the one with the fewest FLOPs if there
              is none. NAME is any measurement of the search except those of the test split.

    Raises:
        UnknownName: `pick` is none of these, or the search has no such measurement or trial.
        SettingsError: the trial, or every trial, is not complete, or no completed trial is within the bound.

    Example:
        >>> with Ledger(read_only=True) as ledger:
        ...     print(pick_trial(ledger, ledger.search("digits"), "flops<=1M"))
    """
    names = {each.name: each for each in (*record.all_objectives().values(), *record.objective_list)}
    measured = ledger.read(reads.measured_names, record.id)
    text = pick.strip()
    bound = read_bound(text, measured, names)
    if bound is None and text not in NAMES:
        trial = _by_number(ledger, record, text, measured)
        return Pick(trial, _numbers(ledger, record, trial, record.objective_list), "its number was given")
    read = dict.fromkeys([*record.objectives, *([bound.name, "flops"] if bound else [])])
    values = ledger.read(reads.values, record.id, list(read))
    retrained = ledger.read(reads.repeats, record.id, confirmed=True)
    members = confirmed_front(values, retrained, record.objective_list).members
    if not members:
        raise SettingsError(f"pick {pick!r} (--pick) needs a completed trial; search {record.name!r} has none yet.")
    first = record.objective_list[0]
    shown: tuple[Objective, ...] = record.objective_list
    if bound is not None:
        number, why = _within(bound, values, retrained, record, names)
        if bound.name not in record.objectives:
            shown = (*shown, names.get(bound.name, Objective(bound.name, "minimize")))
    elif text == "knee":
        number, _, why = front_knee({number: values[number] for number in members}, record.objective_list)
    else:
        number, why = members[0], f"the {_superlative(first)} {first.name} of the search"
    trial = ledger.read(reads.trial, record.id, number)
    return Pick(trial, _numbers(ledger, record, trial, shown), why)


def _within(
    bound: Bound, values: Values, retrained: Collection[int], record: SearchRecord, names: Mapping[str, Objective]
) -> tuple[int, str]:
    """Return the trial that a bound selects, and why."""
    first, *others = record.objective_list
    wanted = "<=" if first.direction == "minimize" else ">="
    aim = first if (bound.name, bound.relation) != (first.name, wanted) else others[0] if others else names["flops"]
    order = [aim, *(each for each in record.objective_list if each.name != aim.name)]
    usable = {n: row for n, row in values.items() if all(each.name in row for each in order)}
    known = {n: row for n, row in usable.items() if bound.name in row}
    inside = {n: row for n, row in known.items() if bound.holds(row[bound.name])}
    text = _text(names.get(bound.name))
    limit = f"{bound.name} {bound.relation} {text(bound.limit)}"
    if not inside:
        nearest_value = (min if bound.relation == "<=" else max)(
            known, key=lambda n: known[n][bound.name], default=None
        )
        closest = (
            "No completed trial has this value."
            if nearest_value is None
            else f"The nearest is trial {nearest_value} with {text(known[nearest_value][bound.name])}."
        )
        raise SettingsError(f"no completed trial of {record.name!r} has {limit} (--pick). {closest}")
    confirmed = {n: row for n, row in inside.items() if n in retrained}
    chosen = confirmed or inside
    number = min(chosen, key=lambda n: [*(_cost(each, chosen[n][each.name]) for each in order), n])
    kind = "retrained trial" if confirmed else "completed trial"
    why = f"the {_superlative(aim)} {aim.name} of {counted(len(chosen), kind)} with {limit}"
    if retrained and not confirmed:
        why += "; no retrained trial is within the bound, so this is a result of one seed"
    if len(usable) > len(known):
        why += f"; {counted(len(usable) - len(known), 'completed trial')} without {bound.name} left out"
    return number, why


def _by_number(ledger: Ledger, record: SearchRecord, pick: str, measured: Collection[str]) -> TrialRecord:
    if not (pick.isascii() and pick.isdecimal() and len(pick) < 10):
        quotes = f" Quote a bound: --pick '{pick}>=X'." if pick in measured else nearest(pick, NAMES)
        raise UnknownName(
            "pick (--pick) must be best, knee, the number of a trial, or a bound such as 'flops<=40M'; "
            f"got {pick!r}.{quotes}"
        )
    trial = ledger.read(reads.trial, record.id, int(pick))
    if trial.state != "complete":
        raise SettingsError(f"pick (--pick) must be a completed trial; trial {pick} of {record.name} is {trial.state}.")
    return trial


def _numbers(ledger: Ledger, record: SearchRecord, trial: TrialRecord, shown: tuple[Objective, ...]) -> str:
    """Return the values of a trial with their units, and how many fresh seeds they are means of."""
    values = trial.measurements
    texts = [f"{each.name} {_text(each)(values[each.name])}" for each in shown if each.name in values]
    repeats = ledger.read(reads.repeats, record.id, confirmed=True).get(trial.number)
    means = f", means over {counted(len(repeats.fresh), 'fresh seed')}" if repeats and repeats.fresh else ""
    return ", ".join(texts) + means


def _text(objective: Objective | None) -> Callable[[float], str]:
    """Return the function that writes a value of an objective for people."""
    return objective.text if objective else lambda value: scaled(value).rstrip()


def _superlative(objective: Objective) -> str:
    return "highest" if objective.direction == "maximize" else "lowest"


def _cost(objective: Objective, value: float) -> float:
    return -value if objective.direction == "maximize" else value
