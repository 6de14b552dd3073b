"""`hybrid-search run`: a search with its progress bar, signals, and the front at the end."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_search.cli.printing import (
    Database,
    Format,
    FormatOption,
    LogLevel,
    Quiet,
    called,
    nothing,
    progress_bar,
    say,
    shown_log,
)
from hybrid_search.errors import LedgerAway, SettingsError

if TYPE_CHECKING:
    from hybrid_search.engines.driver import RunContext
    from hybrid_search.records import Settings
    from hybrid_search.search.search import Search
    from hybrid_search.search.trial import Progress as Standing

KINDS = {"retry": "is retried"}  # how an event is told, where its name does not say it
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}


def add_to(app: typer.Typer) -> None:
    """Put this room's commands on the command line."""
    app.command()(run)


def run(
    space: Annotated[
        str, typer.Argument(help="A shipped space (see: hybrid-search spaces) or a YAML file.")
    ] = "digits",
    trials: Annotated[
        int, typer.Option(help="Go on to this many trials; a finished search goes on by this many.")
    ] = 32,
    objectives: Annotated[str, typer.Option(help="What to trade, separated by commas.")] = "accuracy,flops",
    data: Annotated[str | None, typer.Option(help="Data set; default: the one the space names.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data set, or the .npz file.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs a trial; default: the space's.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any other setting, NAME=VALUE; may be given several times.")
    ] = None,
    engine: Annotated[str, typer.Option(help="Who runs trials: ray, tune or local.")] = "ray",
    workers: Annotated[int | None, typer.Option(help="Trials at a time; default: as many as fit.")] = None,
    cpus_per_trial: Annotated[float, typer.Option(help="CPUs of a trial.")] = 1.0,
    gpus_per_trial: Annotated[
        float | None, typer.Option(help="GPUs of a trial; default 1 where there are any.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="An existing Ray cluster: auto, or HOST:PORT; default: RAY_ADDRESS, if set.")
    ] = None,
    resources: Annotated[
        list[str] | None,
        typer.Option(help="Of a trial, NAME=AMOUNT by the cluster's own names; may be given several times."),
    ] = None,
    lease: Annotated[float, typer.Option(help="Seconds of silence after which a worker is lost.")] = 60.0,
    timeout: Annotated[float | None, typer.Option(help="Seconds that an epoch may take; default: any.")] = None,
    sampler: Annotated[str | None, typer.Option(help="Who proposes: known-cost, tpe, nsga2, random, gp, grid.")] = None,
    pruner: Annotated[
        str,
        typer.Option(help="Stop trials that will probably not reach the front: none or front-probability."),
    ] = "none",
    max_flops: Annotated[
        float | None, typer.Option(help="Budget: no design of more FLOPs (2 x MACs) is trained.")
    ] = None,
    max_params: Annotated[float | None, typer.Option(help="Budget: no design of more parameters is trained.")] = None,
    hours: Annotated[
        float | None, typer.Option(help="Stop after so many hours of this run; trials that run then finish.")
    ] = None,
    until_settled: Annotated[
        bool, typer.Option("--until-settled", help="Stop once the front has settled: see --settled-share.")
    ] = False,
    settled_share: Annotated[
        float | None,
        typer.Option(
            help="Share of the hypervolume that neither the last 8 trials added nor the next 8 are expected to add; "
            "implies --until-settled, whose own share is 0.01."
        ),
    ] = None,
    warm_start: Annotated[
        bool | None,
        typer.Option(
            "--warm-start/--no-warm-start",
            help="Try the known designs first (all convolution, all attention, one then the other); default: yes.",
            show_default=False,
        ),
    ] = None,
    tune_recipe: Annotated[
        bool, typer.Option("--tune-recipe", help="Sample learning rate and weight decay with each architecture.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the proposals, weights and order of images.")] = 0,
    name: Annotated[str | None, typer.Option(help="Name of the search; default: the space's.")] = None,
    quiet: Quiet = False,
    log_level: LogLevel = None,
    checkpoints: Annotated[
        str | None,
        typer.Option(
            help="Where running trials are kept every few epochs, to go on from: a folder or URL (s3://...) that all "
            "workers see, or none; default: beside a database file."
        ),
    ] = None,
    db: Database = None,
    form: FormatOption = Format.table,
) -> None:
    """Search a space for the accuracy / cost front. The same command goes on where it stopped."""
    from hybrid_search.records import Resources
    from hybrid_search.runs.run import run as search_space
    from hybrid_search.samplers import DEFAULT
    from hybrid_search.search.stop_rules import DEFAULT_SHARE
    from hybrid_search.spaces.space import load_space

    loaded = load_space(space)
    recipe = _settings(
        loaded.settings,
        {"data": data, "data_dir": str(data_dir) if data_dir else None, "epochs": epochs, "seed": seed},
        settings,
    )
    # What Ray prints of its own accord goes to stderr: stdout is for the table.
    with redirect_stdout(sys.stderr), stoppable() as stopped, _bar(quiet, log_level) as (watch, notice):

        def begin(search: "Search", context: "RunContext") -> None:
            watch(search, context)
            stopped.context = context

        search = search_space(
            loaded,
            trials=trials,
            objectives=tuple(part.strip() for part in objectives.split(",")),
            settings=recipe,
            ledger=db,
            resources=Resources(
                engine=engine,
                workers=workers,
                cpus_per_trial=cpus_per_trial,
                gpus_per_trial=gpus_per_trial,
                address=address,
                custom=amounts(resources),
                lease_seconds=lease,
                timeout_seconds=timeout,
            ),
            watch=begin,
            notice=notice,
            log_level=log_level or "info",
            sampler=sampler or DEFAULT,
            pruner=pruner,
            seed=seed,
            name=name,
            max_flops=max_flops,
            max_params=max_params,
            hours=hours,
            until_settled=settled_share if settled_share is not None else DEFAULT_SHARE if until_settled else None,
            known_designs=warm_start,
            tune_recipe=tune_recipe,
            checkpoints=checkpoints,
        )
    _closing(search, form, db, stopped=stopped.signal is not None, tell=nothing if quiet else say)
    search.ledger.close()
    if stopped.signal is not None:
        raise typer.Exit(SIGNALS[stopped.signal])
    if not search.progress().counts["complete"] and search.stop_rule.why is None:
        raise typer.Exit(1)


def _settings(base: "Settings", named: dict[str, Any], pairs: list[str] | None) -> "Settings":
    """The space's recipe with what the command line changes; SettingsError for a pair that does not parse."""
    import yaml

    from hybrid_search.records import Settings

    changes = {key: value for key, value in named.items() if value is not None}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise SettingsError(f"--set must be NAME=VALUE, such as --set learning_rate=0.01; got {pair!r}.")
        # YAML reads 4e-3 as text: numbers are tried first.
        try:
            changes[key.strip()] = _number(value) if _number(value) is not None else yaml.safe_load(value)
        except yaml.YAMLError:
            raise SettingsError(f"--set must be NAME=VALUE, with a number or a word; got {pair!r}.") from None
    return Settings.from_dict({**base.to_dict(), **changes})


def amounts(pairs: list[str] | None) -> dict[str, float]:
    """NAME=AMOUNT pairs as a dictionary; SettingsError for one that does not parse."""
    found = {}
    for pair in pairs or []:
        key, _, value = pair.partition("=")
        amount = _number(value)
        if not key.strip() or amount is None:
            raise SettingsError(f"--resources must be NAME=AMOUNT, such as --resources fast_disk=1; got {pair!r}.")
        found[key.strip()] = float(amount)
    return found


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


class _Stopped:
    """Which signal stopped the search, if any. The first lets go gracefully, a second ends the process at once."""

    def __init__(self) -> None:
        self.context: RunContext | None = None
        self.signal: signal.Signals | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None or self.context is None:
            os._exit(SIGNALS[signal.Signals(number)])
        self.signal = signal.Signals(number)
        self.context.stop.set()
        say("\nstopping: finished trials are kept, running ones go on with the same command (once more: at once)")


@contextmanager
def stoppable() -> Iterator[_Stopped]:
    """Signals taken for as long as this lasts: they stop the context that `context` is set to."""
    stopped = _Stopped()
    before = {number: signal.signal(number, stopped) for number in SIGNALS}
    try:
        yield stopped
    except LedgerAway as error:
        if stopped.signal is None:
            raise
        say(f"hybrid-search: {error}")  # the database was away when the search was to stop
        raise typer.Exit(SIGNALS[stopped.signal]) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def held_signals() -> Callable[[], None]:
    """A call that puts the present handlers back: Ray takes SIGTERM for itself when it starts."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}

    def put_back() -> None:
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)

    return put_back


@contextmanager
def _bar(
    quiet: bool, log_level: str | None
) -> Iterator[tuple[Callable[["Search", "RunContext"], None], Callable[[str], None]]]:
    """A progress bar on stderr: trials, front, hypervolume, time left; plain lines where stderr is no terminal.

    What watches the search, and what tells the user a line beside the bar; `quiet` leaves out how it goes, and not
    what is to be read.
    """
    with progress_bar(quiet=quiet) as bar, shown_log(log_level, bar.console):

        def notice(text: str) -> None:
            bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

        tell = nothing if quiet else notice

        def watch(search: "Search", context: "RunContext") -> None:
            done = _done(search)
            tell(_opening(search, done))
            if not done:
                tell(
                    "the first trials take longest: workers load torch and compile the attention kernel once a machine"
                )
            task = bar.add_task(search.record.name, total=search.record.target, completed=done, state="")
            put_back = held_signals()

            def event(kind: str, number: int) -> None:
                put_back()
                if kind in ("complete", "stopped", "failed", "retry"):
                    state = _state(search)
                    bar.update(task, completed=_done(search), state=state)
                    why = _why(search, number) if kind in ("failed", "retry") else ""
                    if why or not bar.console.is_terminal:
                        done = f"{_done(search)}/{search.record.target}"
                        tell(f"trial {number} {KINDS.get(kind, kind)}: {done}, {state}{why}")

            context.on_event = event

        yield watch, notice


def _done(search: "Search") -> int:
    counts = search.progress().counts
    return sum(counts.values()) - counts["running"]


def _why(search: "Search", number: int) -> str:
    """The last line of what the last failed attempt at a trial said."""
    from hybrid_search.ledger import reads

    failed = search.ledger.read(reads.failures, search.record.id, number)[-1]
    lines = failed.text.strip().splitlines()
    return f" ({failed.kind}: {lines[-1] if lines else 'nothing said'})"


def _opening(search: "Search", done: int) -> str:
    record = search.record
    what = f"{record.settings.data}, {record.settings.epochs} epochs, sampler {record.sampler}"
    if record.tuned:
        what += f", {' and '.join(name.replace('_', ' ') for name in record.tuned)} tuned"
    if record.pruner != "none":
        what += f", pruner {record.pruner}"
    if search.stop_rule.hours is not None:
        what += f", at most {search.stop_rule.hours:g} hours"
    if search.stop_rule.until_settled is not None:
        what += f", until settled within {search.stop_rule.until_settled:.2%}"
    where = f"{search.spec.space.size():,} designs, {search.ledger.display_url}"
    if not done and not search.progress().counts["running"]:
        return f"search {record.name!r} begins: {record.target} trials ({what}; {where})"
    if search.is_finished():
        return f"search {record.name!r} has its {record.target} trials ({what}; {where})"
    return f"search {record.name!r} goes on from {done} to {record.target} trials ({what}; {where})"


def _state(search: "Search") -> str:
    progress = search.progress()
    first = search.spec.objectives[0]
    parts = [
        f"front {progress.front}",
        f"best {first.name} {first.text(progress.best)}",
        f"hv {progress.hypervolume:.4g}",
    ]
    spent = _spent(progress)
    parts += [f"{count:,} {what}" for what, count in list(spent.items())[1:] if count]
    if progress.retried:
        parts.append(f"{progress.retried:,} begun again")
    if progress.saved_epochs:
        parts.append(f"{progress.saved_epochs:,} epochs saved")
    return ", ".join(parts)


def _spent(progress: "Standing") -> dict[str, int]:
    """What became of proposals and trials; the first of these are the useful ones."""
    return {
        "useful": progress.counts["complete"],
        "duplicates avoided": progress.duplicates,
        "over budget avoided": progress.over_budget,
        **({"passed over": progress.deferred} if progress.deferred else {}),
        "pruned": progress.counts["stopped"],
        "failed": progress.counts["failed"],
    }


def _closing(search: "Search", form: Format, db: str | None, *, stopped: bool, tell: Callable[[str], None]) -> None:
    """The front, what it cost to find, and the next commands to type."""
    from hybrid_search.cli.looking import print_front

    progress, name = search.progress(), search.record.name
    if progress.counts["complete"]:
        print_front(search.ledger, search.record, form, tell)
    spent = ", ".join(f"{count:,} {what}" for what, count in _spent(progress).items())
    reference = ", ".join(o.text(value) for o, value in zip(search.spec.objectives, progress.reference, strict=True))
    tell(f"\ntrials: {spent}; hypervolume {progress.hypervolume:.4g} against ({reference})")
    if saved := search.avoided_by_equivalence():
        tell(f"{saved:,} more designs of the space are networks among these, written otherwise: none was trained again")
    if search.record.pruner != "none":
        for line in search.audit().lines():
            tell(line)
    if search.stop_rule.why is not None:
        tell(f"the search stops: {search.stop_rule.why}. The same command goes on to {search.record.target} trials")
    elif not stopped and _done(search) < search.record.target and progress.counts["running"] == 0:
        tell("every design of the space within the budget has been tried: there is nothing left to ask")
    from shlex import quote

    if not progress.counts["complete"]:
        return
    tail = f" --db {quote(search.ledger.command_url)}" if db else ""
    command = called()
    tell("next: the same command, which goes on with it; or" if stopped else "next:")
    tell(f"  {command} dashboard {quote(name)}{tail}      # look at it")
    tell(f"  {command} confirm {quote(name)}{tail}      # how sure is it? opens the test split")
    tell(f"  {command} export {quote(name)} my-network --pick knee{tail}      # take a model home")
    sys.stdout.flush()
