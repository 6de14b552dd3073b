"""`confirm`: the front of a search trained again under fresh seeds, in one call."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from hybrid_search._internal.cache_folder import cache_folder
from hybrid_search._internal.event_log import failures_shown, level_of, log_file, print_notice
from hybrid_search._internal.paths import data_location
from hybrid_search._internal.process_state import clean_process_state
from hybrid_search.engines import engine_of
from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.worker import Evaluate, check_evaluation
from hybrid_search.errors import LedgerError, SettingsError
from hybrid_search.ledger import Ledger, Opening, writes
from hybrid_search.ledger.urls import path_beside
from hybrid_search.records import TRAINED, Resources, SearchRecord, Settings
from hybrid_search.runs.checkpoint_root import NO_CHECKPOINTS, checkpoint_root, search_checkpoints
from hybrid_search.runs.data_checks import check_data
from hybrid_search.runs.leadership import leading
from hybrid_search.runs.progress import Terminal, shown_progress
from hybrid_search.search.confirmation import Confirmation
from hybrid_search.search.data_check import check_local_data
from hybrid_search.search.evaluation_record import differences
from hybrid_search.search.stored_names import evaluation_difference, evaluation_identity, evaluation_label
from hybrid_search.training.checkpoints import CheckpointStore


@clean_process_state()
def confirm(
    name: str | None = None,
    *,
    seeds: int = 3,
    trials: int | None = None,
    hours: float | None = None,
    resources: Resources | None = None,
    ledger: Ledger | str | Path | None = None,
    evaluate: Evaluate | None = None,
    data_dir: str | Path | None = None,
    checkpoints: str | Path | CheckpointStore | None = None,
    watch: Callable[[Confirmation, RunContext], None] | None = None,
    notice: Callable[[str], None] | None = None,
    progress: bool | Terminal = False,
    log_level: str = "info",
) -> Confirmation:
    """Train the front of a search again with fresh seeds until it is settled. Call it again to continue.

    The use of the test split is written to the ledger just before the first retraining.

    Args:
        name: Name of the search; default: the newest.
        seeds: Fresh seeds of every trial on the front, at least.
        trials: Total number of retrainings; default: twice what the front needs, or no limit if `hours` is given.
        hours: No retraining starts after so many hours.
        resources: The engine, the number of workers, and what each trial takes.
        ledger: A ledger, the URL of its database, or the path of an SQLite file.
        evaluate: The evaluation of the search, if it was your own; the test split is not used.
        data_dir: Folder of the data set, if it has moved.
        checkpoints: As in `run`.
        watch: Called with the confirmation and its `RunContext` before the first retraining.
        notice: Called with lines that the user should read; default: print them on stderr.
        progress: As in `run`.
        log_level: As in `run`.

    Returns:
        The confirmation, with its results in the ledger.

    Raises:
        SettingsError: An argument is wrong, or nothing is left to do. Nothing was written.
        LedgerError: The search was scored by another evaluation, or the data set has changed.
        PluginError: The search uses an operator, a stem or a data set of a plugin that is not installed here. Nothing
            was written.

    Example:
        >>> confirmation = confirm("digits", seeds=3)
        >>> confirmation.front()
    """
    resources = Resources.of(resources)
    level_of(log_level)
    engine = engine_of(resources.engine)
    if evaluate is not None:
        check_evaluation(evaluate)
    here = None if data_dir is None else data_location("data_dir (--data-dir)", data_dir)

    def opened(held: Ledger) -> Confirmation:
        record = held.search(name)
        if here is not None:
            record = replace(record, settings=record.settings.with_(data_dir=here))
        confirmation = Confirmation(record, held, seeds=seeds, trials=trials, hours=hours)
        _same_evaluation(record, evaluate)
        confirmation.check_architectures()
        if why := confirmation.reason_to_stop():
            raise SettingsError(f"nothing to confirm: {why}.")
        return confirmation

    if isinstance(ledger, Ledger):
        record, held = opened(ledger).record, ledger
    else:
        with Ledger(ledger, read_only=True) as reader:
            record = opened(reader).record
        held = Ledger(ledger, notice=notice or print_notice)
    if evaluate is None:
        from hybrid_search.data import DATASETS, clear_cache
        from hybrid_search.training.retraining import retrain

        DATASETS.stored(record.settings.data)
        cache_folder("", notice or print_notice)  # said here, because a worker writes to its log
        clear_cache()  # the files may have changed since a search of this process
        check_data(record.settings, notice or print_notice)
        check_local_data(record, held)
        context = RunContext(retrain, resources)
    else:
        context = RunContext(evaluate, resources)
        for line in differences(evaluation_identity(evaluate)[1], record, held):
            (notice or print_notice)(line)
    root = checkpoint_root(checkpoints, held, resources.engine, resources.address)
    shown = shown_progress(progress, context, notice)
    with (
        engine.ready(context),
        failures_shown(notice is None and shown is None),
        log_file(path_beside(held.url, ".log"), context.notice, log_level),
        leading(held, record, context, confirms=True),
    ):
        confirmation = opened(held)
        if evaluate is None:
            confirmation.begin = partial(_open_test, record, held)
        with search_checkpoints(root, record, held) as context.checkpoints:
            if watch:
                watch(confirmation, context)
            if root is None and checkpoints is None:
                context.notice(NO_CHECKPOINTS)
            with shown.follow(confirmation, context) if shown else nullcontext():
                engine.drive(confirmation, context)
    return confirmation


def _same_evaluation(record: SearchRecord, evaluate: Evaluate | None) -> None:
    """Raise LedgerError unless the search used this evaluation: numbers of two are not comparable."""
    own = TRAINED if evaluate is None else evaluation_identity(evaluate)[0]
    difference = evaluation_difference(record.evaluation, own)
    if difference is None:
        return
    if evaluate is None:
        raise LedgerError(
            f"only trained networks can be retrained from here; search {record.name!r} was scored by "
            f"{evaluation_label(record.evaluation)}. From Python, without a test split: "
            "hybrid_search.confirm(name, evaluate=...)."
        )
    raise LedgerError(
        f"a search is confirmed by the evaluation that scored it; in search {record.name!r}, {difference}."
    )


def _open_test(record: SearchRecord, ledger: Ledger) -> None:
    """Write the use of the test split to the ledger, before any network is scored on it."""
    from hybrid_search.data import fingerprint_of
    from hybrid_search.training.retraining import REASON, load_test_split

    settings: Settings = record.settings
    split = load_test_split(settings)
    ledger.write(writes.add_opening, record.id, Opening(fingerprint_of(split, settings), len(split), REASON))
