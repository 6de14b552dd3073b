"""`hybrid-search export`: a trained network as an ordinary model in a folder."""

from typing import Annotated

import typer

from hybrid_search.cli.help_page import HelpCommand
from hybrid_search.cli.options import Database, DataDir
from hybrid_search.cli.output import say
from hybrid_search.cli.signals import exit_on_signals
from hybrid_search.errors import SettingsError


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(cls=HelpCommand)(export)


def export(
    targets: Annotated[
        list[str],
        typer.Argument(metavar="[NAME] OUT", help="Name of a search (default: the newest) and the folder to write."),
    ],
    pick: Annotated[
        str | None,
        typer.Option(
            metavar="TRIAL",
            help="Network: best (first objective), knee of the front, a trial number, or the best within a bound: "
            "'flops<=40M', 'params<=300k', 'latency<=5ms', 'accuracy>=92%' (the quotes are needed). training: the "
            "newest full training of the search. Default: knee.",
            show_default=False,
        ),
    ] = None,
    training: Annotated[
        int | None, typer.Option(metavar="N", help="Number of a full training, in the place of a search and --pick.")
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="File formats, several with commas, or all: safetensors (the default), timm, onnx, "
            "onnx-int8, pt2, openvino, litert, executorch.",
        ),
    ] = None,
    data_dir: DataDir = None,
    db: Database = None,
) -> None:
    """Write a trained network as a model: weights (safetensors), architecture (JSON), model card, and a proof.

    The proof compares the outputs of the loaded files with those of the trained network. OUT must be new or empty; it
    may be the current folder, a symbolic link to a folder, or a mount point. Weights that the search did not store are
    trained again, which needs the data. Otherwise, without the data, the proof uses images drawn from a seed.
    """
    from hybrid_search.export import export_training, export_trial
    from hybrid_search.export.network_export import ALL
    from hybrid_search.export.training_export import NEWEST, newest_training
    from hybrid_search.ledger import Ledger

    if len(targets) > 2:
        raise SettingsError(f"export takes [NAME] OUT; got {' '.join(targets)}.")
    name, out = (targets[0], targets[1]) if len(targets) == 2 else (None, targets[0])
    if training is not None and (name is not None or pick is not None):
        raise SettingsError(
            f"export takes one network; got --training {training} and {f'--pick {pick}' if pick else name}. Use one."
        )
    chosen = formats or ["safetensors"]
    with exit_on_signals(), Ledger(db, read_only=True) as ledger:
        if training is None and pick == NEWEST:
            training = newest_training(ledger, name)
        if training is not None:
            proofs = export_training(ledger, training, out, data_dir=data_dir, formats=chosen, notice=say)
        else:
            proofs = export_trial(ledger, name, out, pick or "knee", data_dir=data_dir, formats=chosen, notice=say)
    for proof in proofs:
        typer.echo(str(proof))
    names = {name.strip() for each in chosen for name in each.split(",")}
    if names - {proof.format for proof in proofs} - {ALL}:
        raise typer.Exit(2)  # a format that was named is not there; the notice says why
