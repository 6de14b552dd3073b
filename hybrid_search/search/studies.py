"""A stored search as an Optuna study or as a table, for notebooks and for tools that read studies."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_search.errors import UserError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.pareto import front_rows
from hybrid_search.records import SearchRecord, TrialRecord
from hybrid_search.search.results import trials_frame
from hybrid_search.spaces.choosers import FixedChoices
from hybrid_search.spaces.stored_space import stored_space

if TYPE_CHECKING:
    import optuna
    import pandas


def to_frame(name: str | None = None, ledger: Ledger | str | Path | None = None) -> "pandas.DataFrame":
    """Return the trials of a search as a table: one row for each, with its measurements and its choices.

    Args:
        name: The search; None: the newest.
        ledger: A ledger, the URL of its database, or a path; None: HYBRID_SEARCH_DB, or the default file.

    Returns:
        A pandas frame with the number of the trial as index. After a confirmation, measurements are means over fresh
        seeds.

    Raises:
        UnknownName: There is no such search.
        SettingsError: pandas is not installed.

    Example:
        >>> to_frame("digits").sort_values("accuracy").tail()
    """
    record, trials = _read(name, ledger)
    values = [(trial.number, dict(trial.measurements)) for trial in trials if trial.state == "complete"]
    return trials_frame(trials, front_rows(values, record.objective_list))


def to_optuna(name: str | None = None, ledger: Ledger | str | Path | None = None) -> "optuna.Study":
    """Return the trials of a search as an Optuna study in memory: for its importances, its plots, or another sampler.

    Complete trials have the objectives of the search as values. Stopped trials are pruned, failed ones failed; running
    ones are left out. User attributes of a trial have its number, its digest, its architecture and all
    measurements; that of the study has the names of the objectives.

    Args:
        name: The search; None: the newest.
        ledger: As for `to_frame`.

    Returns:
        A study with the directions of the search. Changes of the study do not reach the ledger.

    Raises:
        UnknownName: There is no such search.

    Example:
        >>> study = to_optuna("digits")
        >>> optuna.importance.get_param_importances(study, target=lambda trial: trial.values[0])
    """
    import optuna
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import TrialState

    record, trials = _read(name, ledger)
    objectives = record.objective_list
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name=record.name, directions=[each.direction for each in objectives])
    optuna.logging.set_verbosity(verbosity)
    study.set_user_attr("objectives", [each.name for each in objectives])
    offered = _offered(record, trials)
    states = {"complete": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
    for trial in trials:
        values = [trial.measurements.get(each.name) for each in objectives]
        complete = trial.state == "complete" and None not in values
        if trial.state not in states or (trial.state == "complete" and not complete):
            continue
        study.add_trial(
            optuna.trial.create_trial(
                state=states[trial.state],
                params=dict(trial.choices),
                distributions={parameter: CategoricalDistribution(offered[parameter]) for parameter in trial.choices},
                values=values if complete else None,  # type: ignore[arg-type]  # no value is None
                user_attrs={
                    "trial": trial.number,
                    "digest": trial.digest,
                    "architecture": dict(trial.architecture),
                    "measurements": dict(trial.measurements),
                },
            )
        )
    return study


def _read(name: str | None, ledger: Ledger | str | Path | None) -> tuple[SearchRecord, list[TrialRecord]]:
    """Return a search and its trials."""
    if isinstance(ledger, Ledger):
        record = ledger.search(name)
        return record, ledger.read(reads.trials, record.id)
    with Ledger(ledger, read_only=True) as opened:
        return _read(name, opened)


def _offered(record: SearchRecord, trials: Sequence[TrialRecord]) -> Mapping[str, tuple[Any, ...]]:
    """Return the choices of every parameter: those of the space, and others that a trial has."""
    found: dict[str, dict[Any, None]] = {}
    try:
        space = stored_space(record.space, f"search {record.name}")
    except UserError:  # it needs a plugin that is not installed
        space = None
    for trial in trials:
        if space is not None:
            chooser = FixedChoices(trial.choices)
            try:
                space.choose(chooser)
            except UserError:
                chooser.offered.clear()
            for name, choices in chooser.offered.items():
                found.setdefault(name, {}).update(dict.fromkeys(choices))
        for name, choice in trial.choices.items():
            found.setdefault(name, {})[choice] = None
    return {name: tuple(choices) for name, choices in found.items()}
