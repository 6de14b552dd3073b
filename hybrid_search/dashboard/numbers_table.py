"""The table of the numbers of one trial, or of two trials with their differences."""

from collections.abc import Mapping, Sequence

from dash import html

from hybrid_search.analysis.confidence import TEST_ACCURACY, TrialConfidence
from hybrid_search.charts.axes import objectives_of
from hybrid_search.dashboard.summary import SYMBOLS, state_word
from hybrid_search.objectives import OBJECTIVES, Objective
from hybrid_search.records import SearchRecord, TrialRecord
from hybrid_search.spaces.known_designs import known_names

Cells = tuple[str, Sequence[str], int | None]  # heading, one text a trial, the index of the better trial


def facts_table(
    search: SearchRecord, trials: Sequence[TrialRecord], standings: Mapping[int, TrialConfidence]
) -> html.Table:
    """Return the table of numbers.

    Args:
        search: the search of the trials.
        trials: one or two trials.
        standings: what retraining has shown, by trial.
    """
    two = len(trials) == 2
    titles = [f"{'AB'[i]}: trial {t.number}" if two else f"trial {t.number}" for i, t in enumerate(trials)]
    head = html.Tr([html.Th("", scope="col"), *(html.Th(title, scope="col") for title in titles)])
    of_trials = [standings.get(trial.number) for trial in trials]
    rows: list[Cells] = [("state", [f"{SYMBOLS[t.state]} {state_word(t.state)}" for t in trials], None)]
    rows += _measured(search, trials, of_trials)
    rows += _confirmed(of_trials)
    rows += _training(search, trials)
    body = html.Tbody([_row(heading, texts, two, better) for heading, texts, better in rows])
    return html.Table([html.Thead(head), body], className="facts")


def _measured(
    search: SearchRecord, trials: Sequence[TrialRecord], standings: Sequence[TrialConfidence | None]
) -> list[Cells]:
    kinds = objectives_of(search)
    rows: list[Cells] = []
    for name, kind in kinds.items():
        values = [trial.measurements.get(name) for trial in trials]
        if name not in search.objectives and all(value is None for value in values):
            continue
        pairs = zip(standings, values, strict=True)
        texts = [kind.text(value) + _interval(kind, standing) for standing, value in pairs]
        rows.append((kind.label, texts, _better(kind, values) if len(trials) == 2 else None))
    return rows


def _confirmed(standings: Sequence[TrialConfidence | None]) -> list[Cells]:
    """Return what a confirmation adds; nothing if none of these trials was retrained."""
    if not any(standing and standing.seeds for standing in standings):
        return []
    tests, seeds, probabilities = [], [], []
    for standing in standings:
        retrained = standing if standing and standing.seeds else None
        test = retrained.intervals.get(TEST_ACCURACY) if retrained else None
        interval = "" if test is None else f" ({100 * test[0]:.2f} to {100 * test[1]:.2f} %)"
        tests.append(OBJECTIVES["accuracy"].text(retrained.test if retrained else None) + interval)
        seeds.append(f"mean over {retrained.seeds} fresh" if retrained else "only that of the search")
        probability = standing.probability if standing else 0.0
        probabilities.append("-" if probability is None else f"{100 * probability:.0f} %")
    return [
        ("test accuracy", tests, None),
        ("probability of the front", probabilities, None),
        ("seeds", seeds, None),
    ]


def _training(search: SearchRecord, trials: Sequence[TrialRecord]) -> list[Cells]:
    """Return how and where the trials were trained."""
    rows: list[Cells] = [
        ("epochs", [f"{t.rung} of {t.settings.get('epochs', '?')}" for t in trials], None),
        ("time", ["-" if t.seconds is None else f"{t.seconds:.3g} s" for t in trials], None),
        ("seed", [str(t.seed) for t in trials], None),
    ]
    if search.image_sizes:
        rows.append(("image size", [f"{t.settings.get('image_size', '?')} px" for t in trials], None))
    rows += [(name.replace("_", " "), [f"{t.settings[name]:.3g}" for t in trials], None) for name in search.tuned]
    names = known_names(search)
    if any(trial.digest in names for trial in trials):
        rows.append(("known design", [names.get(trial.digest, "-") for trial in trials], None))
    rows.append(("attempt", [str(trial.attempt) for trial in trials], None))
    rows.append(("worker", [trial.worker or "-" for trial in trials], None))
    others = dict.fromkeys(name for trial in trials for name, fact in trial.facts.items() if name != "worker" and fact)
    rows += [(name.replace("_", " "), [str(trial.facts.get(name) or "-") for trial in trials], None) for name in others]
    return rows


def _interval(kind: Objective, standing: TrialConfidence | None) -> str:
    """Return the 95 % interval of a number in brackets, empty if there is none."""
    interval = standing.intervals.get(kind.name) if standing else None
    if interval is None:
        return ""
    low, high = (kind.text(end) for end in interval)
    return f" ({low.removesuffix(' %')} to {high})"


def _better(kind: Objective, values: Sequence[float | None]) -> int | None:
    """Return the index of the better of two values, None if there is none."""
    one, other = values
    if one is None or other is None or one == other:
        return None
    return int((other > one) == (kind.direction == "maximize"))


def _row(heading: str, texts: Sequence[str], two: bool, better: int | None) -> html.Tr:
    cells = [
        html.Td([text, html.Span(" better", className="better") if better == i else None])
        for i, text in enumerate(texts)
    ]
    differs = two and len(set(texts)) > 1
    return html.Tr([html.Th(heading, scope="row"), *cells], className="differs" if differs else "")
