"""`run`: a whole search in one call."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hybrid_search import __version__, samplers
from hybrid_search import pruners as pruning
from hybrid_search._internal.event_log import LOG, about, level_of, log_file
from hybrid_search.data import input_size_and_classes
from hybrid_search.engines import Engine, engine_name, engine_of
from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.worker import Evaluate
from hybrid_search.errors import LedgerError, SettingsError, one_of, whole
from hybrid_search.ledger import Ledger, reads, writes
from hybrid_search.ledger.urls import path_beside
from hybrid_search.objectives import objectives as check_objectives
from hybrid_search.records import NOT_IN_DIGEST, TRAINED, Resources, SearchRecord, Settings, search_name
from hybrid_search.runs.checkpoint_root import NO_CHECKPOINTS, checkpoint_root, search_checkpoints
from hybrid_search.runs.evaluation_name import evaluation_name
from hybrid_search.runs.leadership import leading
from hybrid_search.search.search import Search
from hybrid_search.search.stop_rules import Stopping
from hybrid_search.spaces.budget import check_budget
from hybrid_search.spaces.recipe_tuning import tunable
from hybrid_search.spaces.space import SearchSpace, load_space
from hybrid_search.training.checkpoints import CheckpointStore


def question(
    space: SearchSpace | str | Path,
    *,
    trials: int,
    objectives: Sequence[str] = ("accuracy", "flops"),
    settings: Settings | None = None,
    sampler: str = samplers.DEFAULT,
    seed: int = 0,
    name: str | None = None,
    max_flops: float | None = None,
    max_params: float | None = None,
    evaluation: str = TRAINED,
    pruner: str = pruning.DEFAULT,
    warm_start: bool = True,
    tune_recipe: bool = False,
) -> SearchRecord:
    """What a search asks, checked in full and written nowhere: UserError for any mistake in it.

    warm_start: whether the known designs of the space come first. tune_recipe: whether learning rate and weight decay
    are sampled with the architecture.
    """
    whole("trials", trials, 1, SettingsError)
    check_objectives(tuple(objectives))
    one_of("sampler", sampler, samplers.SAMPLERS)
    pruner = pruning.current_name(pruner)
    one_of("pruner", pruner, pruning.PRUNERS)
    for what, bound in (("max-flops", max_flops), ("max-params", max_params)):
        if bound is not None and not bound > 0:
            raise SettingsError(f"{what} must be more than 0; got {bound!r}.")
    space = space if isinstance(space, SearchSpace) else load_space(space)
    settings = settings or space.settings
    input_size, classes = input_size_and_classes(settings)
    wanted = SearchRecord(
        id=0,
        name=search_name(name or space.name),
        space=space.to_dict(),
        objectives=tuple(objectives),
        settings=settings,
        sampler=sampler,
        seed=_seed(seed),
        target=trials,
        max_flops=max_flops,
        max_params=max_params,
        input_size=input_size,
        classes=classes,
        evaluation=evaluation,
        pruner=pruner,
        tuned=tunable(settings) if tune_recipe else (),
        warm_start=warm_start,
    )
    check_budget(space, wanted)
    return wanted


def _seed(seed: int) -> int:
    if whole("seed", seed, 0, SettingsError) >= 2**32:
        raise SettingsError(f"seed must be below 2^32; got {seed}.")
    return seed


def enter(wanted: SearchRecord, ledger: Ledger, as_begun: Sequence[str] = ()) -> SearchRecord:
    """The search that asks this question, made where it is new; LedgerError where its name asks another, or where the
    data set is no longer the one that its trials saw.

    Of what `as_begun` names a search keeps what it began with.
    """
    found = ledger.find_search(wanted.name)
    if found is None:
        try:
            return ledger.create_search(wanted)
        except LedgerError:  # another process may have made it since
            found = ledger.find_search(wanted.name)
            if found is None:
                raise
    _same_question(found, replace(wanted, **{name: getattr(found, name) for name in as_begun}))
    if found.evaluation == TRAINED:
        same_data(replace(found, settings=wanted.settings), ledger, "goes on with")
    return found


def go_on(
    wanted: SearchRecord, ledger: Ledger, stopping: Stopping | None = None, *, taken_over: bool | None = None
) -> Search:
    """The search of this name, ready to be driven further.

    A search that was interrupted goes on to its target; one that reached it goes on to `wanted.target` trials, or by
    that many more where it already holds as many; not so where it was `taken_over` from a driver that had not ended in
    order, as by a kill just after the last trial: nobody has asked for more since. None: that is not known.
    """
    found = ledger.search(wanted.name)
    done = sum(count for state, count in ledger.read(reads.counts, found.id).items() if state != "running")
    if taken_over or done < found.target:
        target = max(found.target, wanted.target)
    else:
        target = wanted.target if wanted.target > done else done + wanted.target
    if target != found.target:
        ledger.write(writes.set_target, found.id, target)
    here = {name: getattr(wanted.settings, name) for name in NOT_IN_DIGEST}
    return Search(
        replace(found, target=target, settings=found.settings.with_(**here)),
        ledger,
        stopping,
        clean_shutdown=taken_over is False,
    )


def open_search(
    wanted: SearchRecord, ledger: Ledger, stopping: Stopping | None = None, as_begun: Sequence[str] = ()
) -> Search:
    """The search that asks this question, new or gone on with, to be asked and told by hand; see `enter`, `go_on`.

    It takes no lead: where several processes may drive the search, use `led_search`.
    """
    enter(wanted, ledger, as_begun)
    return go_on(wanted, ledger, stopping)


@contextmanager
def led_search(
    wanted: SearchRecord,
    ledger: Ledger,
    context: RunContext,
    stopping: Stopping | None = None,
    as_begun: Sequence[str] = (),
) -> Iterator[Search]:
    """The search that asks this question, led by this process for as long as this lasts: see `lead.leading`."""
    record = enter(wanted, ledger, as_begun)
    with leading(ledger, record, context) as taken:
        search = go_on(wanted, ledger, stopping, taken_over=taken)
        search.weights.sweep()
        yield search


def _same_question(found: SearchRecord, wanted: SearchRecord) -> None:
    """LedgerError that names every difference, unless both records ask the same of the same space."""
    differences = []
    spaces = [SearchSpace.from_dict(record.space) for record in (found, wanted)]
    if spaces[0].digest != spaces[1].digest:
        keys = [
            key for key in ("stem", "groups", "stages", "expansion") if found.space.get(key) != wanted.space.get(key)
        ]
        differences.append(f"another space ({spaces[0].name}, differing in {', '.join(keys)})")
    found = replace(found, pruner=pruning.current_name(found.pruner))
    names = ["objectives", "sampler", "seed", "max_flops", "max_params", "input_size", "classes", "evaluation"]
    names += ["pruner", "tuned", "warm_start"]
    pairs = [(name, getattr(found, name), getattr(wanted, name)) for name in names]
    old, new = found.settings.to_dict(), wanted.settings.to_dict()
    pairs += [
        (name, old[name], new[name]) for name in old if name not in (*NOT_IN_DIGEST, "seed")
    ]  # which is the search's
    differences += [f"{name} {was} (asked: {now})" for name, was, now in pairs if was != now]
    if differences:
        raise LedgerError(
            f"a search goes on with the question it began with; {found.name!r} has {'; '.join(differences)}. "
            "Ask the same, or give the new search its own --name."
        )


def same_data(record: SearchRecord, ledger: Ledger, does: str) -> None:
    """LedgerError where the data set is no longer the one that the search's trials saw, by the fingerprints of both;
    DataError where it cannot be read. does: what the search does with its data, for the message."""
    from hybrid_search.data import load

    was = ledger.read(reads.fact, record.id, "fingerprint")
    if was is None:
        return
    now = load(record.settings).fingerprint
    if now != was:
        raise LedgerError(
            f"a search {does} the data that it saw; {record.settings.data} had fingerprint {was}, here it has {now}. "
            "Bring the data back, or give a new search its own --name."
        )


def run(
    space: SearchSpace | str | Path,
    *,
    trials: int,
    objectives: Sequence[str] = ("accuracy", "flops"),
    settings: Settings | None = None,
    resources: Resources | None = None,
    ledger: Ledger | str | None = None,
    evaluate: Evaluate | None = None,
    watch: Callable[[Search, RunContext], None] | None = None,
    hours: float | None = None,
    until_settled: float | None = None,
    warm_start: bool | None = None,
    notice: Callable[[str], None] | None = None,
    log_level: str = "info",
    checkpoints: str | CheckpointStore | None = None,
    **more: Any,
) -> Search:
    """Search a space and return the search, its ledger filled; the same call goes on where it stopped.

    space: a SearchSpace, a shipped name or a YAML path. trials: how many. ledger: a Ledger or a database URL.
    evaluate: the user's own generator of reports instead of training, so that any problem can be searched; its name
        is part of the question, so that its numbers never join those of another. One that takes `resume` and `keep`
        goes on from checkpoints: see `hybrid_search.engines.worker`.
    resources: the engine, the number of workers and what each trial takes; default: engine ray, as many as fit.
    watch: called with the search and its context before the first trial; it may set `context.on_event` and use
        `context.stop`.
    hours, until_settled: stop before `trials` after so many hours of this call, or when neither the last trials added
        nor the next are expected to add this share of the hypervolume; see `stopping.Stopping`.
    warm_start: whether the known designs of the space come first; None is what the search began with, True where it is
        new.
    notice: called with lines that the user should read; default: they are printed on stderr.
    log_level: debug (every rung), info, warning or error: what goes into the log, a file beside the database.
    checkpoints: where running trials are kept every few epochs, so that they go on when their worker or this process
        dies: a folder, an fsspec URL or a store that every worker can reach, or "none"; see `checkpoint_root` for None.
    more: sampler, pruner, seed, name, max_flops, max_params, tune_recipe of `question`.
    Raises UserError for a mistake in any of them, before anything is written. Waits where another process drives the
    search (a notice says so); LostLease where one took it while this one slept.
    """
    resources = resources or Resources()
    engine = engine_of(resources.engine)
    level_of(log_level)
    own = TRAINED if evaluate is None else evaluation_name(evaluate)
    stopping = Stopping(hours, until_settled)
    more |= {"evaluation": own, "warm_start": warm_start is not False}
    wanted = question(space, trials=trials, objectives=objectives, settings=settings, **more)
    if evaluate is None:
        from hybrid_search.training.evaluation import evaluate as trained

        evaluate = trained
    context = RunContext(evaluate, resources)
    if notice is not None:
        context.notice = notice
    root = checkpoint_root(checkpoints, ledger, resources.engine, resources.address)
    with engine.ready(context):
        opened = ledger if isinstance(ledger, Ledger) else Ledger(ledger, notice=context.notice)
        as_begun = ("warm_start",) if warm_start is None else ()
        with (
            log_file(path_beside(opened.url, ".log"), context.notice, log_level),
            led_search(wanted, opened, context, stopping, as_begun) as search,
            search_checkpoints(root, search.record, opened) as context.checkpoints,
        ):
            if watch:
                watch(search, context)
            if root is None and checkpoints is None:
                context.notice(NO_CHECKPOINTS)
            _drive(engine, search, context)
    return search


def _drive(engine: Engine, search: Search, context: RunContext) -> None:
    """Drive a search with an engine's module; its beginning and its end stand in the log."""
    record = search.record
    facts = {"engine": engine_name(context.resources.engine), "sampler": record.sampler, "version": __version__}
    counts = search.progress().counts
    LOG.info(
        f"search {'goes on' if any(counts.values()) else 'begins'}", extra=about(search=record.name, **facts, **counts)
    )
    try:
        if not search.over():
            engine.drive(search, context)
    finally:
        counts, why = search.progress().counts, search.stopping.why
        LOG.info("search stops", extra=about(search=record.name, asked_to=context.stop.is_set(), why=why, **counts))
