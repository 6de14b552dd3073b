"""`hybrid-search baseline`: train standard networks (ResNet, timm models) under the settings of a search."""

import sys
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_search._internal.counted import counted
from hybrid_search.cli.engine_run import engine_run
from hybrid_search.cli.help_page import HelpCommand
from hybrid_search.cli.next_commands import command_line, print_commands
from hybrid_search.cli.options import (
    STOP,
    TRAINING,
    Checkpoints,
    Database,
    DataDir,
    FormatOption,
    Hours,
    LogLevel,
    Quiet,
    resources_of,
    with_options,
)
from hybrid_search.cli.output import Format, last_line, print_nothing, say

if TYPE_CHECKING:
    from hybrid_search.records import Resources


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(cls=HelpCommand)(with_options(baseline, resources=resources_of))


def baseline(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a search.")],
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="Networks: resnet-basic-16, mobilenet-16, convnext-16 in any width, another reference, or a model of "
            "timm (resnet18, mobilenetv3_small_050). Default: the baselines that the search has.",
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            metavar="N", rich_help_panel=STOP, help="Trainings of each network under different seeds, earlier included."
        ),
    ] = 1,
    width: Annotated[
        float | None,
        typer.Option(
            metavar="FACTOR",
            rich_help_panel=TRAINING,
            help="Scale the widths of models of timm: ResNet, ConvNeXt and MetaFormer families. Others have names for "
            "their widths.",
        ),
    ] = None,
    hours: Hours = None,
    data_dir: DataDir = None,
    checkpoints: Checkpoints = None,
    quiet: Quiet = False,
    log_level: LogLevel = None,
    db: Database = None,
    form: FormatOption = Format.table,
    *,
    resources: "Resources",
) -> None:
    """Train standard networks, such as ResNet, under the settings of a search. Run the same command to continue.

    They are kept beside the search and shown with its front, and are never proposals. The stem of a model of timm is
    adapted to small images, and the change is printed.
    """
    from hybrid_search.cli.front import print_front
    from hybrid_search.runs.baseline import baseline as train_baselines

    with engine_run(quiet, log_level) as (stop, shown):
        run = train_baselines(
            name,
            models or (),
            seeds=seeds,
            width=width,
            hours=hours,
            ledger=db,
            resources=resources,
            data_dir=data_dir,
            checkpoints=checkpoints,
            **shown,
        )
    notice = print_nothing if quiet else say
    if not run.total:
        notice(f"every baseline has {counted(run.seeds, 'seed')} already; more: --seeds {run.seeds + 1}")
    print_front(run.ledger, run.record, form, notice)
    for failure in run.failures:
        say(f"{failure.name} failed with seed {failure.seed} ({failure.kind}: {last_line(failure.text)})")
    tail = f" --db {quote(run.ledger.command_url)}" if db else ""
    if run.total:
        notice("next:")
        commands = [
            ("dashboard", "explore the front beside the baselines"),
            ("confirm", "retrain the front and the baselines"),
        ]
        print_commands([(command_line(word, [name], tail), comment) for word, comment in commands], notice)
    run.ledger.close()
    sys.stdout.flush()
    stop.exit_if_stopped()
    if run.failures:
        raise typer.Exit(1)
