"""`confirm`: the front of a search trained again under fresh seeds, in one call."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from hybrid_search._internal.process_state import clean_process_state
from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.worker import Evaluate
from hybrid_search.errors import SettingsError
from hybrid_search.ledger import Ledger, SplitUse, reads, writes
from hybrid_search.records import TRAINED, Resources, SearchRecord, Settings
from hybrid_search.runs.checkpoint_root import baseline_checkpoints, search_checkpoints
from hybrid_search.runs.progress import Terminal
from hybrid_search.runs.stored_evaluation import check_same_evaluation
from hybrid_search.runs.stored_search_run import StoredSearchRun
from hybrid_search.search.baseline_run import BaselineRun, stored_baselines
from hybrid_search.search.confirmation import Confirmation
from hybrid_search.search.object_identity import check_objects
from hybrid_search.training.checkpoints import CheckpointStore


@clean_process_state()
def confirm(
    name: str | None = None,
    *,
    seeds: int = 3,
    trials: int | None = None,
    hours: float | None = None,
    references: bool = True,
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
        trials: Total number of retrainings; default: twice what the front and the known designs need, or no limit if
            `hours` is given. Trainings of baselines are not counted.
        hours: No retraining starts after so many hours.
        references: Whether the known designs of the search and its baselines get their fresh seeds too.
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
    options = StoredSearchRun.of(
        resources=resources, evaluate=evaluate, data_dir=data_dir, checkpoints=checkpoints, notice=notice,
        progress=progress, log_level=log_level,
    )  # fmt: skip

    def opened(held: Ledger) -> Confirmation:
        record = options.record(held, name)
        confirmation = Confirmation(record, held, seeds=seeds, trials=trials, hours=hours, references=references)
        check_same_evaluation(record, evaluate)
        check_objects(record, held.read(reads.registered_objects, record.id))
        confirmation.check_architectures()
        confirmation.baselines = _baselines(confirmation, held) if references else None
        if (why := confirmation.reason_to_stop()) and not (confirmation.baselines and confirmation.baselines.remaining):
            raise SettingsError(f"nothing to confirm: {why}.")
        return confirmation

    held, record = options.opened(ledger, lambda reader: opened(reader).record)
    train: Evaluate
    if evaluate is None:
        from hybrid_search.training.retraining import retrain as train
    else:
        train = evaluate
    with options.leading(record, held, train, confirms=True) as leading:
        context, confirmation = leading.context, opened(held)
        if evaluate is None:
            confirmation.begin = partial(_open_test, record, held)
        with search_checkpoints(leading.root, record, held) as context.checkpoints:
            leading.begin(confirmation, watch)
            if confirmation.reason_to_stop() is None:
                leading.drive(confirmation)
        if confirmation.baselines is not None and not context.stop.is_set():
            baselines = confirmation.baselines = _baselines(confirmation, held)
            baselines.begin = confirmation.begin  # the use of the test split, if no trial was retrained
            with baseline_checkpoints(leading.root, record) as context.checkpoints:
                if baselines.remaining:
                    leading.drive(baselines)
    return confirmation


def _baselines(confirmation: Confirmation, ledger: Ledger) -> BaselineRun:
    """Return the trainings that the baselines of a search lack: each gets as many fresh seeds as the front."""
    record = confirmation.record
    found = stored_baselines(ledger, record)
    tested = record.evaluation == TRAINED
    return BaselineRun(record, ledger, found, seeds=confirmation.seeds, tested=tested, hours=confirmation.hours_left())


def _open_test(record: SearchRecord, ledger: Ledger) -> None:
    """Write the use of the test split to the ledger, before any network is scored on it."""
    from hybrid_search.data import fingerprint_of
    from hybrid_search.training.retraining import REASON, load_test_split

    settings: Settings = record.settings
    split = load_test_split(settings)
    ledger.write(writes.add_opening, record.id, SplitUse(fingerprint_of(split, settings), len(split), REASON))
