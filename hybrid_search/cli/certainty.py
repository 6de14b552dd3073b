"""What the front says of a trial once some were confirmed: interval, seeds, probability of the front, test accuracy."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hybrid_search.cli.printing import Format
from hybrid_search.objectives import OBJECTIVES

if TYPE_CHECKING:
    from hybrid_search.analysis.confidence import TrialConfidence


def certainty(standing: "TrialConfidence | None", names: Sequence[str], form: Format) -> dict[str, Any]:
    """The further columns of one trial, by name. An interval is `[low, high]`, in CSV two columns; null where unknown.

    `seeds` are fresh ones: 0 for a trial that was not retrained.
    """
    found: dict[str, Any] = {}
    for name in names:
        if OBJECTIVES[name].known:
            continue
        interval = standing.intervals.get(name) if standing else None
        if form is Format.csv:
            low, high = interval or (None, None)
            found |= {f"{name}_low": low, f"{name}_high": high}
        else:
            found[f"{name}_interval"] = list(interval) if interval else None
    return found | {
        "seeds": standing.seeds if standing else 0,
        "front_probability": standing.probability if standing else 0.0,
        "test_accuracy": standing.test if standing else None,
    }


def confirmed_row(
    row: Mapping[str, Any], standing: "TrialConfidence | None", names: Sequence[str], tuned: Sequence[str] = ()
) -> dict[str, str]:
    """One line of the table as a person reads it; `tuned` are settings that differ from trial to trial."""
    found = {"trial": str(row["trial"])}
    for name in names:
        interval = standing.intervals.get(name) if standing else None
        found[name] = with_interval(name, row[name], interval)
        if name == "accuracy":
            test = row["test_accuracy"]
            found |= {"test": OBJECTIVES[name].text(test), "seeds": str(row["seeds"] or "-")}
            found["on front"] = probability_text(row["front_probability"])
    return found | {name: f"{row[name]:.3g}" for name in tuned} | {"design": row["design"]}


def aligned(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """The same lines, every column but the design flush right."""
    width = {name: max(len(row[name]) for row in rows) for name in rows[0]}
    return [{name: word if name == "design" else word.rjust(width[name]) for name, word in row.items()} for row in rows]


def with_interval(name: str, value: float | None, interval: tuple[float, float] | None) -> str:
    """A number and how far its 95 % interval reaches: `97.20 ± 0.31 %`."""
    text = OBJECTIVES[name].text(value)
    if value is None or interval is None:
        return text
    reach = max(interval[1] - value, value - interval[0])
    if OBJECTIVES[name].unit == "share":
        return f"{text.removesuffix(' %')} ± {100 * reach:.2f} %"
    return f"{text} ± {reach:.2g}"


def probability_text(probability: float | None) -> str:
    """A probability in whole per cent; the ends are never quite reached, and `-` is unknown."""
    if probability is None:
        return "-"
    return "> 99 %" if probability > 0.99 else "< 1 %" if probability < 0.01 else f"{100 * probability:.0f} %"
