"""`confirm`: the front of a finished search trained again over fresh seeds, in one call."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from hybrid_search._internal.event_log import level_of, log_file, print_notice
from hybrid_search.engines import engine_of
from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.worker import Evaluate
from hybrid_search.errors import LedgerError, SettingsError
from hybrid_search.ledger import Ledger, Opening, writes
from hybrid_search.ledger.urls import path_beside
from hybrid_search.records import TRAINED, Resources, SearchRecord, Settings
from hybrid_search.runs.checkpoint_root import NO_CHECKPOINTS, checkpoint_root, search_checkpoints
from hybrid_search.runs.leadership import leading
from hybrid_search.search.confirmation import Confirmation
from hybrid_search.search.data_check import check_local_data
from hybrid_search.search.stored_names import evaluation_name
from hybrid_search.training.checkpoints import CheckpointStore


def confirm(
    name: str | None = None,
    *,
    seeds: int = 3,
    trials: int | None = None,
    hours: float | None = None,
    resources: Resources | None = None,
    ledger: Ledger | str | None = None,
    evaluate: Evaluate | None = None,
    data_dir: str | Path | None = None,
    checkpoints: str | CheckpointStore | None = None,
    watch: Callable[[Confirmation, RunContext], None] | None = None,
    notice: Callable[[str], None] | None = None,
    log_level: str = "info",
) -> Confirmation:
    """Train the front of a search again over fresh seeds until it is settled; the same call goes on where it stopped.

    name: a search; default: the newest. seeds, trials, hours: see Confirmation. evaluate: the generator that scored
    the search, where that was the user's own; there is no test split then. data_dir: where the data set lies now.
    resources: see `run`. checkpoints: where a retraining goes on from when its worker or
    this process dies, as in `run`. watch: called with the confirmation and its context before the first retraining.
    notice: called with lines that the user should read, such as that another process drives the search and is waited
    for. log_level: as in `run`.
    The test split is opened, and the opening written in the ledger, with the first retraining that is asked for: not
    where the engine refuses the context. Raises UserError for a mistake, and where nothing is left to do, before
    anything is written.
    """
    resources = resources or Resources()
    level_of(log_level)
    engine = engine_of(resources.engine)

    def opened(held: Ledger) -> Confirmation:
        record = held.search(name)
        if data_dir is not None:
            record = replace(record, settings=record.settings.with_(data_dir=str(data_dir)))
        confirmation = Confirmation(record, held, seeds=seeds, trials=trials, hours=hours)
        _same_evaluation(record, evaluate)
        if why := confirmation.nothing_left():
            raise SettingsError(f"a confirmation needs something to do; for search {record.name!r}, {why}.")
        return confirmation

    if isinstance(ledger, Ledger):
        record, held = opened(ledger).record, ledger
    else:
        with Ledger(ledger, read_only=True) as reader:
            record = opened(reader).record
        held = Ledger(ledger, notice=notice or print_notice)
    if evaluate is None:
        from hybrid_search.training.retraining import retrain

        check_local_data(record, held)
        context = RunContext(retrain, resources)
    else:
        context = RunContext(evaluate, resources)
    root = checkpoint_root(checkpoints, held, resources.engine, resources.address)
    if notice is not None:
        context.notice = notice
    with (
        engine.ready(context),
        log_file(path_beside(held.url, ".log"), context.notice, log_level),
        leading(held, record, context),
    ):
        confirmation = opened(held)
        if evaluate is None:
            confirmation.begin = partial(_open_test, record, held)
        with search_checkpoints(root, record, held) as context.checkpoints:
            if watch:
                watch(confirmation, context)
            if root is None and checkpoints is None:
                context.notice(NO_CHECKPOINTS)
            engine.drive(confirmation, context)
    return confirmation


def _same_evaluation(record: SearchRecord, evaluate: Evaluate | None) -> None:
    """LedgerError unless the search was scored by this evaluation: numbers of two would not be comparable."""
    own = TRAINED if evaluate is None else evaluation_name(evaluate)
    if record.evaluation == own:
        return
    if evaluate is None:
        raise LedgerError(
            f"only trained networks can be retrained from here; search {record.name!r} was scored by "
            f"{record.evaluation}. From Python, without a test split: hybrid_search.confirm(name, evaluate=...)."
        )
    raise LedgerError(
        f"a search is confirmed by the evaluation that scored it; {record.name!r} has {record.evaluation}; got {own}."
    )


def _open_test(record: SearchRecord, ledger: Ledger) -> None:
    """Open the test split in this process and write that in the ledger, before any network is scored on it."""
    from hybrid_search.data import fingerprint_of
    from hybrid_search.training.retraining import REASON, load_test_split

    settings: Settings = record.settings
    split = load_test_split(settings)
    ledger.write(writes.add_opening, record.id, Opening(fingerprint_of(split, settings), len(split), REASON))
