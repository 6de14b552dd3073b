"""`hybrid-search train`: train one design of a search in full, and keep the result beside the search."""

import sys
from contextlib import redirect_stdout
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_search.cli.help_page import HelpCommand
from hybrid_search.cli.next_commands import command_line, print_commands
from hybrid_search.cli.options import (
    OUTPUT,
    RESOURCES,
    TRAINING,
    Checkpoints,
    Database,
    DataDir,
    DataName,
    FormatOption,
    Loggers,
    LogLevel,
    Quiet,
    SetSettings,
    set_pairs,
)
from hybrid_search.cli.output import Format, print_nothing, say
from hybrid_search.cli.progress import progress_on_stderr
from hybrid_search.cli.signals import stop_on_signals
from hybrid_search.cli.training_table import print_trainings
from hybrid_search.errors import SettingsError

if TYPE_CHECKING:
    from hybrid_search.engines.driver import RunContext
    from hybrid_search.runs.train import TrainingResult

STOPPING = "\nstopping after this step. The same command continues (again: exit at once)"


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(cls=HelpCommand)(train)


def train(
    design: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Name of a search (default: the newest). Or a design: a reference network (resnet-basic-16), an "
            "exported folder, a trial (SEARCH/NUMBER), or a JSON file; it needs --data.",
        ),
    ] = None,
    pick: Annotated[
        str | None,
        typer.Option(
            metavar="TRIAL",
            help="Network: best (first objective), knee of the front, a trial number, or the best within a bound: "
            "'flops<=40M', 'accuracy>=92%', 'latency<=5ms' (the quotes are needed). Default: knee.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N", rich_help_panel=TRAINING, help="Epochs. Default: those of the recipe file or search."
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=TRAINING,
            show_default=False,
            help="search (the default of a search): its settings, with warm-up and learning rate for these epochs and "
            "this batch size. Another name of `run --help`, or a .yaml file with settings.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", rich_help_panel=TRAINING, help="Seed. Default: that of the trial.")
    ] = None,
    set_: SetSettings = None,
    data_all: Annotated[
        bool,
        typer.Option(
            "--data-all",
            rich_help_panel=TRAINING,
            help="Train on the validation images too. Then no validation accuracy is measured, only that of the test "
            "split.",
        ),
    ] = False,
    init_from: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            rich_help_panel=TRAINING,
            help="Start from the weights of an exported folder (fine-tuning). Other classes get a new classifier.",
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=TRAINING,
            help="Learn the logits of a teacher too: timm:NAME (pretrained), or an exported folder. It must have the "
            "classes of the data.",
        ),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", rich_help_panel=TRAINING, help="Delete checkpoints of an unfinished training.")
    ] = False,
    data: DataName = None,
    data_dir: DataDir = None,
    devices: Annotated[
        int,
        typer.Option(
            metavar="N",
            rich_help_panel=RESOURCES,
            help="Devices that share each batch: GPUs, or processes on CPUs. The batch size stays that of the recipe.",
        ),
    ] = 1,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            rich_help_panel=RESOURCES,
            help="Existing Ray cluster with the devices: auto or HOST:PORT. Default: this machine; for several devices "
            "RAY_ADDRESS, if set.",
        ),
    ] = None,
    checkpoints: Checkpoints = None,
    log_dir: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            rich_help_panel=OUTPUT,
            help="Folder of the CSV file with a line for each epoch. Default: beside the database.",
        ),
    ] = None,
    log: Loggers = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", hidden=True, help="The same as --log tensorboard.")] = (
        False
    ),
    quiet: Quiet = False,
    log_level: LogLevel = None,
    db: Database = None,
    form: FormatOption = Format.table,
) -> None:
    """Train one design in full, in the loop of a search. Run the same command to continue.

    The test split is used once, at the end; the ledger records this use. Weights, curve, recipe and facts are kept.
    Write the network with `export NAME OUT --pick training`.
    """
    from hybrid_search.runs.train import train as train_design

    with (
        redirect_stdout(sys.stderr),
        stop_on_signals(STOPPING) as stop,
        progress_on_stderr(quiet, log_level) as shown,
    ):

        def watch(context: "RunContext") -> None:
            stop.context = context

        done = train_design(
            design,
            pick=pick,
            epochs=epochs,
            recipe=recipe,
            seed=seed,
            settings=_settings(data, set_),
            data_all=data_all,
            init_from=init_from,
            teacher=teacher,
            restart=restart,
            devices=devices,
            address=address,
            ledger=db,
            data_dir=data_dir,
            checkpoints=checkpoints,
            log_dir=log_dir,
            loggers=[*(log or ()), *(["tensorboard"] if tensorboard else [])],
            watch=watch,
            progress=shown,
            log_level=log_level or "info",
        )
    _print_result(done, form, db, quiet=quiet)
    done.ledger.close()
    sys.stdout.flush()
    stop.exit_if_stopped()


def _settings(data: str | None, pairs: list[str] | None) -> dict[str, str]:
    """Return the settings of the command line by name."""
    given = set_pairs(pairs)
    if data is not None and "data" in given:
        raise SettingsError(f"data must be given once; got --data {data} and --set data={given['data']}.")
    return given if data is None else {"data": data, **given}


def _print_result(done: "TrainingResult", form: Format, db: str | None, *, quiet: bool) -> None:
    """Print the training as a table, and the command that exports it."""
    notice, record = (print_nothing if quiet else say), done.record
    if record is None:
        notice("stopped before the end; the same command continues")
        return
    if done.was_complete:
        notice(f"training {record.number} is complete already; another one needs other options or another --seed")
    print_trainings([record], form)
    if "test_images" in record.facts:
        notice(
            f"the test split ({record.facts['test_images']} images, fingerprint {record.facts['test_fingerprint']}) "
            "was used once, to score this network"
        )
    tail = f" --db {quote(done.ledger.command_url)}" if db else ""
    notice("next:")
    export = command_line("export", ["my-network"], f" --training {record.number}{tail}")
    print_commands([(export, "write the network as a model")], notice)
