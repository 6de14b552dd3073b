"""`hybrid-search cost`: parameters and FLOPs of every layer of a design."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_search._internal.json_text import parse_json
from hybrid_search._internal.places import one_line
from hybrid_search._internal.text_file import exists, file_name, read_text
from hybrid_search.cli.help_page import HelpCommand
from hybrid_search.cli.options import Database, FormatOption
from hybrid_search.cli.output import Format, count_text, print_rows
from hybrid_search.errors import ArchitectureError, UnknownName, nearest, shown

if TYPE_CHECKING:
    from hybrid_search.networks.architecture import Architecture

REFERENCE_SIZE, REFERENCE_CLASSES = (3, 224, 224), 1000
EXPORT_FILES = ("architecture.json", "manifest.json")  # a folder with one of them is an exported one
REFERENCE_NAMES = (
    "resnet26, resnet38, resnet50, sasa-26-stem ... sasa-50-full, hybrid-50-CCCA ... hybrid-50-AAAC, resnet-basic-16, "
    "mobilenet-16, convnext-16 or another width"
)


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(cls=HelpCommand)(cost)


def cost(
    design: Annotated[
        str,
        typer.Argument(
            metavar="DESIGN",
            help="A reference network (resnet50), an exported folder, a trial (SEARCH/NUMBER), or a JSON file.",
        ),
    ],
    input_size: Annotated[
        int | None,
        typer.Option(
            "--input",
            metavar="N",
            help="Rows and columns of the image. Default: of the design, trial or export, or 224.",
        ),
    ] = None,
    channels: Annotated[
        int | None, typer.Option(metavar="N", help="Channels of the image. Default: of the trial or export, or 3.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(metavar="N", help="Number of classes. Default: of the trial or export, or 1000.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show the formula of each layer, and attention against convolution.")
    ] = False,
    db: Database = None,
    form: FormatOption = Format.table,
) -> None:
    """Print the exact parameters and FLOPs (2 x MACs) of every layer of a design, without building it."""
    from hybrid_search.errors import whole
    from hybrid_search.networks import costs
    from hybrid_search.objectives import scaled
    from hybrid_search.spaces.plugin_costs import check_network_costs

    architecture, size, trained_classes = find_design(design, db)
    if input_size is not None:
        size = (size[0], whole("--input", input_size), input_size)
        architecture = replace(architecture, image_size=None)
    size = costs.input_size_of(architecture, (channels if channels is not None else size[0], *size[1:]))
    count = classes if classes is not None else trained_classes
    total = costs.cost(architecture, size, count)
    check_network_costs(architecture, size)
    rows = [
        {
            "layer": layer.name,
            "kind": layer.kind,
            "map": f"{layer.rows}x{layer.cols}",
            "params": layer.params,
            "flops": layer.flops,
            "per_pixel": layer.formula,
        }
        for layer in total.layers
    ]
    if form is not Format.table:
        last = {"layer": "total", "kind": "", "map": "", "params": total.params, "flops": total.flops, "per_pixel": ""}
        print_rows([*rows, last], form)
        return
    columns = {"layer": str, "kind": str, "map": str, "params": "{:,}".format, "flops": "{:,}".format}
    if explain:
        columns["per_pixel"] = str
    print_rows(rows, form, title=f"{design}: {architecture}", columns=columns)
    if explain:
        typer.echo("\nEach attention layer and the 3x3 convolution that it replaces (MACs of one image):")
        for comparison in costs.explain(architecture, size):
            typer.echo(f"  {comparison}")
    image = "x".join(map(str, size))
    amounts = f"{scaled(total.flops)}FLOPs (2 x MACs), {scaled(total.params).strip()} parameters"
    typer.echo(f"\ntotal: {amounts} at {image}, {count} classes")


def find_design(design: str, db: str | None) -> tuple["Architecture", tuple[int, int, int], int]:
    """Return an architecture, its input size and its number of classes.

    Args:
        design: Name of a reference network, an exported folder or its architecture.json, `SEARCH/NUMBER` for a trial,
            or the path of a JSON file with an architecture.
        db: Database URL, for a trial.

    Raises:
        UnknownName: The design is none of these.
        UserError: The file or folder is damaged.
    """
    from hybrid_search.networks.references import is_reference, reference, references
    from hybrid_search.networks.stored_architecture import stored_architecture

    if is_reference(design):
        return reference(design), REFERENCE_SIZE, REFERENCE_CLASSES
    path = Path(os.path.expanduser(design))
    if any(exists(path / name) for name in EXPORT_FILES):
        return _read_export(path)
    if path.name == EXPORT_FILES[0] and exists(path.with_name(EXPORT_FILES[1])):
        return _read_export(path.parent)
    if path.suffix in (".json", ".yaml", ".yml") or exists(path):
        return _read_design(path), REFERENCE_SIZE, REFERENCE_CLASSES
    name, slash, number = design.rpartition("/")
    if slash and number.isascii() and number.isdecimal() and len(number) < 10:
        from hybrid_search.ledger import Ledger, reads

        with Ledger(db, read_only=True) as ledger:
            record = ledger.search(name)
            trial = ledger.read(reads.trial, record.id, int(number))
        return stored_architecture(trial.architecture), record.input_size, record.classes
    raise UnknownName(
        f"a design must be a reference ({REFERENCE_NAMES}), an exported folder, a trial (SEARCH/NUMBER) or a .json "
        f"file; got {shown(design)}.{nearest(design, references())}"
    )


def _read_export(folder: Path) -> tuple["Architecture", tuple[int, int, int], int]:
    """Return what the architecture.json of an exported folder describes. The weights are not read."""
    from hybrid_search.export.folder import DESCRIPTION, check_files, read_description
    from hybrid_search.networks.architecture import Architecture

    check_files(folder, (DESCRIPTION,))
    content = read_description(folder)
    channels, rows, cols = content["input_size"]
    return Architecture.from_dict(content["architecture"]), (channels, rows, cols), len(content["classes"])


def _read_design(path: Path) -> "Architecture":
    from hybrid_search.networks.architecture import Architecture

    source = file_name(path)
    if path.suffix in (".yaml", ".yml"):
        from hybrid_search.spaces.space import load_space

        count = load_space(path).size()  # a fault of the file comes first
        raise ArchitectureError(
            f"a design must be one network; {source} is a search space of {count_text(count)} designs. See: "
            f"hybrid-search space {source}"
        )
    text = read_text(path, "a design must be a readable JSON file", ArchitectureError)
    content = parse_json(text, "a design must be a JSON file", source, ArchitectureError)
    try:
        return Architecture.from_dict(content)
    except ArchitectureError as error:
        raise ArchitectureError(one_line(source, None, str(error))) from None
