"""`hybrid-search confirm`: the front trained again over fresh seeds, with progress, signals, and what it changed."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from hybrid_search.cli.run import KINDS, SIGNALS, amounts, held_signals, stoppable

if TYPE_CHECKING:
    from hybrid_search.engines.driver import RunContext
    from hybrid_search.search.confirmation import Confirmation


def add_to(app: typer.Typer) -> None:
    """Put this room's commands on the command line."""
    app.command()(confirm)


def confirm(
    name: Annotated[str | None, typer.Argument(help="A search; default: the newest.")] = None,
    seeds: Annotated[int, typer.Option(help="Fresh seeds for every member of the front, at least.")] = 3,
    trials: Annotated[
        int | None,
        typer.Option(help="Retrainings at most, earlier ones among them; default: twice what the front is owed."),
    ] = None,
    hours: Annotated[float | None, typer.Option(help="Begin no retraining after that long.")] = None,
    engine: Annotated[str, typer.Option(help="Who trains: ray, tune or local.")] = "ray",
    workers: Annotated[int | None, typer.Option(help="Retrainings at a time; default: as many as fit.")] = None,
    cpus_per_trial: Annotated[float, typer.Option(help="CPUs of a retraining.")] = 1.0,
    gpus_per_trial: Annotated[
        float | None, typer.Option(help="GPUs of a retraining; default 1 where there are any.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="An existing Ray cluster: auto, or HOST:PORT; default: RAY_ADDRESS, if set.")
    ] = None,
    resources: Annotated[
        list[str] | None,
        typer.Option(help="Of a retraining, NAME=AMOUNT by the cluster's own names; may be given several times."),
    ] = None,
    lease: Annotated[float, typer.Option(help="Seconds of silence after which a worker is lost.")] = 60.0,
    timeout: Annotated[float | None, typer.Option(help="Seconds that an epoch may take; default: any.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of the data set, where it lies elsewhere by now.")
    ] = None,
    quiet: Quiet = False,
    log_level: LogLevel = None,
    checkpoints: Annotated[
        str | None,
        typer.Option(
            help="Where retrainings are kept every few epochs, to go on from: a folder or URL (s3://...) that all "
            "workers see, or none; default: beside a database file."
        ),
    ] = None,
    db: Database = None,
    form: FormatOption = Format.table,
) -> None:
    """Train the front again over fresh seeds until it is settled, and open the test split. Goes on where it stopped."""
    from hybrid_search.cli.looking import print_front
    from hybrid_search.records import Resources
    from hybrid_search.runs.confirm import confirm as confirm_front

    # What Ray prints of its own accord goes to stderr: stdout is for the table.
    with redirect_stdout(sys.stderr), stoppable() as stopped, _bar(quiet, log_level) as (watch, notice):

        def begin(confirmation: "Confirmation", context: "RunContext") -> None:
            watch(confirmation, context)
            stopped.context = context

        confirmation = confirm_front(
            name,
            seeds=seeds,
            trials=trials,
            hours=hours,
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
            data_dir=data_dir,
            checkpoints=checkpoints,
            watch=begin,
            notice=notice,
            log_level=log_level or "info",
        )
    tell = nothing if quiet else say
    print_front(confirmation.ledger, confirmation.record, form, tell)
    _closing(confirmation, db, address, stopped=stopped.signal is not None, tell=tell)
    confirmation.ledger.close()
    sys.stdout.flush()
    if stopped.signal is not None:
        raise typer.Exit(SIGNALS[signal.Signals(stopped.signal)])
    if not confirmation.done:
        raise typer.Exit(1)


@contextmanager
def _bar(
    quiet: bool, log_level: str | None
) -> Iterator[tuple[Callable[["Confirmation", "RunContext"], None], Callable[[str], None]]]:
    """A progress bar on stderr: retrainings, trials in doubt, time; plain lines where stderr is no terminal.

    What watches the confirmation, and what tells the user a line beside the bar; `quiet` leaves out how it goes, not
    what is to be read.
    """
    with progress_bar(left=False, quiet=quiet) as bar, shown_log(log_level, bar.console):

        def notice(text: str) -> None:
            bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

        tell = nothing if quiet else notice

        def watch(confirmation: "Confirmation", context: "RunContext") -> None:
            tell(_opening(confirmation))
            task = bar.add_task("retrained", total=confirmation.budget, completed=confirmation.done, state="")
            put_back = held_signals()

            def event(kind: str, number: int) -> None:
                put_back()
                if kind not in ("complete", "failed", "retry"):
                    return
                state = _state(confirmation)
                bar.update(task, completed=confirmation.done, state=state)
                failed = confirmation.failures and kind == "failed"
                why = f" ({_reason(confirmation.failures[-1].text)})" if failed else ""
                if why or not bar.console.is_terminal:
                    of = "" if confirmation.budget is None else f"/{confirmation.budget}"
                    begun = KINDS.get(kind, f"again {kind}")
                    tell(f"trial {number} {begun}: {confirmation.done}{of}, {state}{why}")

            context.on_event = event

        yield watch, notice


def _reason(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "nothing said"


def _opening(confirmation: "Confirmation") -> str:
    record, front = confirmation.record, confirmation.before
    bound = "until it is settled" if confirmation.budget is None else f"at most {confirmation.budget} retrainings"
    done = f", {confirmation.done} of them done" if confirmation.done else ""
    return (
        f"confirming search {record.name!r}: {len(front)} trials on the front, {confirmation.seeds} fresh seeds each "
        f"and more where there is doubt; {bound}{done}"
    )


def _state(confirmation: "Confirmation") -> str:
    doubtful = confirmation.doubtful()
    doubt = "doubt unknown yet" if doubtful is None else f"{len(doubtful)} in doubt"
    return f"front {len(confirmation.front())}, {doubt}"


def _closing(
    confirmation: "Confirmation", db: str | None, address: str | None, *, stopped: bool, tell: Callable[[str], None]
) -> None:
    """What the confirmation changed, whether the front is settled, the test split, and what to type next."""
    from shlex import quote

    name, before, now = confirmation.record.name, set(confirmation.before), confirmation.front()
    left, entered = sorted(before - set(now)), sorted(set(now) - before)
    changes = [f"{word} {_listed(numbers)}" for word, numbers in (("left:", left), ("entered:", entered)) if numbers]
    tell(f"\n{confirmation.done} retrainings; {'; '.join(changes) or 'the front has the members that it had'}")
    for failure in confirmation.failures:
        tell(f"trial {failure.number} failed with seed {failure.seed} ({failure.kind}: {_reason(failure.text)})")
    tail = f" --db {quote(confirmation.ledger.command_url)}" if db else ""
    again = f"  {called()} confirm {quote(name)} --seeds {confirmation.seeds}"
    doubtful = confirmation.doubtful()
    if doubtful == []:
        tell("the front is settled: of every trial it is certain to 95 % whether it is on it")
    elif not stopped:
        which = "no trial has two fresh seeds" if doubtful is None else f"{_listed(doubtful)} may or may not be on it"
        tell(f"the front is not settled yet ({which})")
    from hybrid_search.ledger import reads

    openings = confirmation.ledger.read(reads.openings, confirmation.record.id)
    if openings:
        last = openings[-1]
        times = "once" if len(openings) == 1 else f"{len(openings)} times"
        tell(
            f"the test split ({last.images:,} images, fingerprint {last.fingerprint}) was opened to score retrained "
            f"networks; it has been opened {times} for this search, which the ledger records"
        )
    tell("next:")
    if doubtful != []:
        more = f" --trials {2 * max(confirmation.done, confirmation.budget or 0)}" if not stopped else ""
        joined = f" --address {quote(address)}" if address else ""
        tell(f"{again}{more}{joined}{tail}      # go on")
    tell(f"  {called()} dashboard {quote(name)}{tail}      # look at it, with intervals")


def _listed(numbers: list[int]) -> str:
    """`trial 3`, `trials 3, 5 and 9`, and so on to ten of them."""
    shown = [str(number) for number in numbers[:10]]
    if len(numbers) > 10:
        return f"{len(numbers)} trials, {', '.join(shown)} among them"
    if len(shown) == 1:
        return f"trial {shown[0]}"
    return f"trials {', '.join(shown[:-1])} and {shown[-1]}"
