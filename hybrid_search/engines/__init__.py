"""The table of engines, and `run`: a whole search in one call."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from hybrid_search import pruning, samplers
from hybrid_search.data import size_of
from hybrid_search.engines.drive import Plan
from hybrid_search.engines.lead import leading
from hybrid_search.engines.worker import Evaluate
from hybrid_search.errors import LedgerError, SettingsError, one_of, whole
from hybrid_search.ledger import Ledger
from hybrid_search.objectives import objectives as check_objectives
from hybrid_search.record import NOT_IN_DIGEST, SearchRecord, Settings
from hybrid_search.search import Search, check_budget
from hybrid_search.space import SearchSpace, load_space
from hybrid_search.stopping import Stopping
from hybrid_search.tuning import tunable

# name -> the module whose `check(plan)` refuses a plan and whose `drive(search, plan)` runs trials; imported on demand.
ENGINES: dict[str, str] = {
    "local": "hybrid_search.engines.local",
    "ray": "hybrid_search.engines.ray",
}
DEFAULT = "ray"


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
    evaluation: str = "trained",
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
    one_of("pruner", pruner, pruning.PRUNERS)
    for what, bound in (("max-flops", max_flops), ("max-params", max_params)):
        if bound is not None and not bound > 0:
            raise SettingsError(f"{what} must be more than 0; got {bound!r}.")
    space = space if isinstance(space, SearchSpace) else load_space(space)
    settings = settings or space.settings
    input_size, classes = size_of(settings)
    wanted = SearchRecord(
        id=0,
        name=name or space.name,
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
    """The search that asks this question, made where it is new; LedgerError where its name asks another.

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
    return found


def go_on(wanted: SearchRecord, ledger: Ledger, stopping: Stopping | None = None, *, waited: bool = False) -> Search:
    """The search of this name, ready to be driven further.

    A search that was interrupted goes on to its target; one that reached it goes on to `wanted.target` trials, or by
    that many more where it already holds as many; not so after having waited for the driver that brought it there.
    """
    found = ledger.search(wanted.name)
    done = sum(count for state, count in ledger.counts(found.id).items() if state != "running")
    if waited or done < found.target:
        target = max(found.target, wanted.target)
    else:
        target = wanted.target if wanted.target > done else done + wanted.target
    if target != found.target:
        ledger.set_target(found.id, target)
    here = {name: getattr(wanted.settings, name) for name in NOT_IN_DIGEST}
    return Search(replace(found, target=target, settings=found.settings.with_(**here)), ledger, stopping)


def open_search(
    wanted: SearchRecord, ledger: Ledger, stopping: Stopping | None = None, as_begun: Sequence[str] = ()
) -> Search:
    """The search that asks this question, new or gone on with, to be asked and told by hand; see `enter`, `go_on`.

    It takes no lead: where several processes may drive the search, `engines.lead.leading` is to be held around it.
    """
    enter(wanted, ledger, as_begun)
    return go_on(wanted, ledger, stopping)


def _same_question(found: SearchRecord, wanted: SearchRecord) -> None:
    """LedgerError that names every difference, unless both records ask the same of the same space."""
    differences = []
    spaces = [SearchSpace.from_dict(record.space) for record in (found, wanted)]
    if spaces[0].digest != spaces[1].digest:
        keys = [
            key for key in ("stem", "groups", "stages", "expansion") if found.space.get(key) != wanted.space.get(key)
        ]
        differences.append(f"another space ({spaces[0].name}, differing in {', '.join(keys)})")
    names = ["objectives", "sampler", "seed", "max_flops", "max_params", "input_size", "classes", "evaluation"]
    names += ["pruner", "tuned", "warm_start"]
    pairs = [(name, getattr(found, name), getattr(wanted, name)) for name in names]
    old, new = found.settings.to_dict(), wanted.settings.to_dict()
    pairs += [(name, old[name], new[name]) for name in old if name not in NOT_IN_DIGEST]
    differences += [f"{name} {was} (asked: {now})" for name, was, now in pairs if was != now]
    if differences:
        raise LedgerError(
            f"a search goes on with the question it began with; {found.name!r} has {'; '.join(differences)}. "
            "Ask the same, or give the new search its own --name."
        )


def check_resources(engine: str, workers: int | None, cpus_per_trial: float, gpus_per_trial: float | None) -> None:
    """UserError for an unknown engine, or for workers and shares that nobody can have."""
    one_of("engine", engine, ENGINES)
    if workers is not None:
        whole("workers", workers, 1, SettingsError)
    for what, share in (("cpus-per-trial", cpus_per_trial), ("gpus-per-trial", gpus_per_trial)):
        if share is not None and not (math.isfinite(share) and share >= 0):
            raise SettingsError(f"{what} must be a number from 0 up; got {share:g}.")


def run(
    space: SearchSpace | str | Path,
    *,
    trials: int,
    objectives: Sequence[str] = ("accuracy", "flops"),
    settings: Settings | None = None,
    engine: str = DEFAULT,
    ledger: Ledger | str | None = None,
    evaluate: Evaluate | None = None,
    workers: int | None = None,
    cpus_per_trial: float = 1.0,
    gpus_per_trial: float | None = None,
    address: str | None = None,
    watch: Callable[[Search, Plan], None] | None = None,
    hours: float | None = None,
    until_settled: float | None = None,
    warm_start: bool | None = None,
    notice: Callable[[str], None] | None = None,
    **more: Any,
) -> Search:
    """Search a space and return the search, its ledger filled; the same call goes on where it stopped.

    space: a SearchSpace, a shipped name or a YAML path. trials: how many. ledger: a Ledger or a database URL.
    evaluate: the user's own generator of reports instead of training, so that any problem can be searched; its name
        is part of the question, so that its numbers never join those of another.
    watch: called with the search and its plan before the first trial; it may set `plan.event` and keep `plan.stop`.
    hours, until_settled: stop before `trials` after so many hours of this call, or when neither the last trials added
        nor the next are expected to add this share of the hypervolume; see `stopping.Stopping`.
    warm_start: whether the known designs of the space come first; None is what the search began with, True where it is
        new.
    notice: called with lines that the user should read; default: a warning of the log `hybrid_search`.
    more: sampler, pruner, seed, name, max_flops, max_params, tune_recipe of `question`.
    Raises UserError for a mistake in any of them, before anything is written. Waits where another process drives the
    search (a line on the log says so); LostLease where one took it while this one slept.
    """
    check_resources(engine, workers, cpus_per_trial, gpus_per_trial)
    own = "trained" if evaluate is None else f"{evaluate.__module__}.{evaluate.__qualname__}"[:200]
    stopping = Stopping(hours, until_settled)
    more |= {"evaluation": own, "warm_start": warm_start is not False}
    wanted = question(space, trials=trials, objectives=objectives, settings=settings, **more)
    if evaluate is None:
        from hybrid_search.evaluate import evaluate as trained

        evaluate = trained
    plan = Plan(evaluate, workers, cpus_per_trial, gpus_per_trial, address)
    if notice is not None:
        plan.notice = notice
    chosen = import_module(ENGINES[engine])
    chosen.check(plan)
    opened = ledger if isinstance(ledger, Ledger) else Ledger(ledger)
    record = enter(wanted, opened, ("warm_start",) if warm_start is None else ())
    with leading(opened, record, plan) as waited:
        search = go_on(wanted, opened, stopping, waited=waited)
        if watch:
            watch(search, plan)
        chosen.drive(search, plan)
    return search
