"""`hybrid-search cost`: parameters and FLOPs of every layer of a design."""

from dataclasses import replace
from typing import Annotated

import typer

from hybrid_search.cli.help_page import HelpCommand
from hybrid_search.cli.options import Database, FormatOption
from hybrid_search.cli.output import Format, print_rows


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
    from hybrid_search.runs.designs import find_design
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
