"""`run`: a whole search in one call."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from hybrid_search import __version__
from hybrid_search._internal.cache_folder import cache_folder
from hybrid_search._internal.counted import counted
from hybrid_search._internal.event_log import LOG, event_fields, failures_shown, level_of, log_file
from hybrid_search._internal.passed_options import passes_options
from hybrid_search._internal.process_state import clean_process_state
from hybrid_search.engines import Engine, engine_name, engine_of
from hybrid_search.engines.driver import RunContext, check_results
from hybrid_search.engines.worker import Evaluate, check_evaluation
from hybrid_search.errors import UserError
from hybrid_search.ledger import Ledger
from hybrid_search.ledger.new_name import check_new_name
from hybrid_search.ledger.urls import path_beside
from hybrid_search.ledger.withdrawal import withdraw_search
from hybrid_search.loggers import ChosenLoggers, Logger
from hybrid_search.objectives import check_measured
from hybrid_search.records import TRAINED, Resources
from hybrid_search.runs.checkpoint_root import NO_CHECKPOINTS, checkpoint_root, search_checkpoints
from hybrid_search.runs.data_checks import check_data, store_data_notes
from hybrid_search.runs.leadership import leading
from hybrid_search.runs.logged_run import trials_logged
from hybrid_search.runs.progress import Terminal, shown_progress
from hybrid_search.search.enqueued import Designs, enqueued_designs
from hybrid_search.search.evaluation_record import store_evaluation
from hybrid_search.search.opening import check_stored, resume_search, store_search
from hybrid_search.search.search import Search
from hybrid_search.search.spec import SearchOptions, SearchSpec
from hybrid_search.search.stop_rules import StopRule
from hybrid_search.search.stored_names import evaluation_identity
from hybrid_search.spaces.space import SearchSpace
from hybrid_search.training.checkpoints import CheckpointStore


@passes_options(SearchSpec.create, SearchOptions.__annotations__)
@clean_process_state()
def run(
    space: SearchSpace | str | Path,
    *,
    trials: int,
    hours: float | None = None,
    until_settled: float | None = None,
    resources: Resources | None = None,
    ledger: Ledger | str | Path | None = None,
    evaluate: Evaluate | None = None,
    checkpoints: str | Path | CheckpointStore | None = None,
    enqueue: Designs | Path | None = None,
    loggers: Sequence[str | Logger] = (),
    watch: Callable[[Search, RunContext], None] | None = None,
    notice: Callable[[str], None] | None = None,
    progress: bool | Terminal = False,
    log_level: str = "info",
    **options: Unpack[SearchOptions],
) -> Search:
    """Search a space and return the search. The same call continues where it stopped.

    If another process drives the search, this call waits for it.

    Args:
        space: A search space, the name of a shipped one, or the path of a YAML file.
        trials: Total number of trials. A search that already has as many runs that many more.
        hours: Stop after so many hours of this call; running trials finish.
        until_settled: Stop when the front has settled within this share of its hypervolume; see `StopRule`.
        resources: The engine, the number of workers, and what each trial takes; default: `Resources()`.
        ledger: A ledger, the URL of its database, or the path of an SQLite file; default: HYBRID_SEARCH_DB, or
            sqlite:///results/hybrid-search.db.
        evaluate: Your own evaluation, a generator of reports that takes the place of training. It may be a function, a
            `functools.partial` or a callable object. The ledger stores its name and a digest of what it does, so that
            numbers of two evaluations never mix. See `hybrid_search.engines.worker` for checkpoints.
        checkpoints: Folder, fsspec URL or checkpoint store that every worker can reach; "none": no
            checkpoints; None: beside a database file.
        enqueue: Designs to train before every other one: the choices of each, or the path of a JSON file with them.
            Those that were proposed before are left out. They count among the trials.
        loggers: What shows results besides the ledger: "tensorboard:FOLDER", "wandb:PROJECT", "mlflow:URI", each also
            without its place, another name in LOGGERS, or an object; see `hybrid_search.loggers.Logger`.
        watch: Called with the search and its `RunContext` before the first trial.
        notice: Called with lines that the user should read; default: print them on stderr.
        progress: Whether progress is shown on stderr, or in the output of a notebook cell.
        log_level: Lowest level of the log file beside the database: debug, info, warning or error.
        **options: What is searched, as in `SearchSpec.create`: objectives, settings, sampler, pruner, budget and so on.

    Returns:
        The search, with its results in the ledger.

    Raises:
        UserError: An argument is wrong; nothing was written. Or a worker met a mistake in the data, the settings or the
            environment: it cost no trial, and the same call continues after the correction.
        HybridSearchError: Every trial failed. The message ends with the first traceback.
        LostLease: Another process acquired the search while this machine slept.

    Example:
        >>> search = run("digits", trials=32, resources=Resources(workers=4))
        >>> search.front()
    """
    spec, stop_rule = SearchSpec.create(space, trials=trials, **options), StopRule(hours, until_settled)
    resources = Resources.of(resources)
    engine = engine_of(resources.engine)
    if evaluate is not None:
        check_evaluation(evaluate)
    level_of(log_level)
    chosen = ChosenLoggers.of(loggers)
    check_new_name(spec.name, ledger)
    identity, content = (TRAINED, None) if evaluate is None else evaluation_identity(evaluate)
    spec = replace(spec, evaluation=identity)
    if evaluate is None:
        check_measured(spec.objectives)
        from hybrid_search.training.evaluation import evaluate as trained

        evaluate = trained
    kept_recipe = check_stored(spec, ledger)
    context = RunContext(evaluate, resources)
    shown = shown_progress(progress, context, notice)
    if spec.evaluation == TRAINED:
        cache_folder("", context.notice)  # said here, because a worker writes to its log
    if kept_recipe:
        context.notice(kept_recipe)
    designs = [] if enqueue is None else enqueued_designs(spec, enqueue)
    notes = check_data(spec.record, context.notice, decode=spec.evaluation == TRAINED)
    root = checkpoint_root(checkpoints, ledger, resources.engine, resources.address)
    with engine.ready(context):
        opened = ledger if isinstance(ledger, Ledger) else Ledger(ledger, notice=context.notice)
        with (
            failures_shown(notice is None and shown is None),
            log_file(path_beside(opened.url, ".log"), context.notice, log_level),
            lead_search(spec, opened, context, stop_rule) as search,
            search_checkpoints(root, search.record, opened) as context.checkpoints,
        ):
            store_data_notes(notes, search.record, opened)
            if designs:
                _enqueue(search, designs, context)
            if content is not None:
                store_evaluation(identity, content, search.record, opened, context.notice)
            if watch:
                watch(search, context)
            if root is None and checkpoints is None:
                context.notice(NO_CHECKPOINTS)
            with trials_logged(search, context, chosen), shown.follow(search, context) if shown else nullcontext():
                _drive(engine, search, context)
            check_results(search.progress().counts, context)
    return search


@contextmanager
def lead_search(
    spec: SearchSpec, ledger: Ledger, context: RunContext, stop_rule: StopRule | None = None
) -> Iterator[Search]:
    """Hold the lease of the search of this configuration, new or resumed, while the block runs.

    If a mistake of the user ends the block, a new search in which no trial has ended is removed from the ledger. The
    running trials of another search stay "running"; the next run retries them.

    Args:
        spec: The configuration.
        ledger: The ledger.
        context: The context of this run; it is stopped if the lease is lost.
        stop_rule: When the search stops before its number of trials.
    """
    is_new = ledger.find_search(spec.name) is None
    record = store_search(spec, ledger)
    try:
        with leading(ledger, record, context) as after_crash:
            search = resume_search(spec, ledger, stop_rule, clean_shutdown=not after_crash)
            search.weights.remove_partial_files()
            yield search
    except UserError:
        if is_new and ledger.write(withdraw_search, record.id) and context.checkpoints is not None:
            context.checkpoints.drop_all()
        raise


def _enqueue(search: Search, designs: Designs, context: RunContext) -> None:
    """Enqueue designs; say how many are left out, and how many the search has no trials left for."""
    new, of = search.enqueue(designs), f"of {counted(len(designs), 'enqueued design')}"
    if left_out := len(designs) - new:
        context.notice(f"{left_out} {of} proposed before or given twice, left out")
    if (waiting := new - max(0, search.record.target - search.index.next_number)) > 0:
        context.notice(f"{waiting} {of} not trained: the search has {counted(search.record.target, 'trial')} in all")


def _drive(engine: Engine, search: Search, context: RunContext) -> None:
    """Drive a search with an engine, and log its start and its end."""
    record = search.record
    facts = {"engine": engine_name(context.resources.engine), "sampler": record.sampler, "version": __version__}
    counts = search.progress().counts
    event = "search resumed" if any(counts.values()) else "search started"
    LOG.info(event, extra=event_fields(search=record.name, **facts, **counts))
    try:
        if not search.is_finished():
            engine.drive(search, context)
    finally:
        counts, why = search.progress().counts, search.stop_rule.why
        LOG.info(
            "search stopped", extra=event_fields(search=record.name, requested=context.stop.is_set(), why=why, **counts)
        )
