"""The options of `run` that define the search; they are passed on to `SearchSpec.create`."""

from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_search.cli.options import SEARCH, MaxFlops, MaxParams

if TYPE_CHECKING:
    from hybrid_search.search.spec import SearchOptions


def search_options_of(
    objectives: Annotated[
        str, typer.Option(metavar="NAMES", rich_help_panel=SEARCH, help="Objectives, separated by commas.")
    ] = "accuracy,flops",
    sampler: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            rich_help_panel=SEARCH,
            help="What proposes architectures: known-cost, tpe, nsga2, random, gp or grid.",
        ),
    ] = "known-cost",
    pruner: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            rich_help_panel=SEARCH,
            help="none: train every trial to its last epoch. front-probability: defer proposals and stop trials that "
            "are unlikely to reach the front.",
        ),
    ] = "none",
    max_flops: MaxFlops = None,
    max_params: MaxParams = None,
    known_designs: Annotated[
        bool | None,
        typer.Option(
            "--known-designs/--no-known-designs",
            rich_help_panel=SEARCH,
            help="Train known designs first: all convolution, all attention, and convolution followed by attention. "
            "Default: yes.",
            show_default=False,
        ),
    ] = None,
    tune_recipe: Annotated[
        bool,
        typer.Option(
            "--tune-recipe", rich_help_panel=SEARCH, help="Sample learning rate and weight decay for each architecture."
        ),
    ] = False,
    seed: Annotated[
        int,
        typer.Option(metavar="N", rich_help_panel=SEARCH, help="Seed of proposals, weights and order of images."),
    ] = 0,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", rich_help_panel=SEARCH, help="Name of the search. Default: that of the space."),
    ] = None,
) -> "SearchOptions":
    """Return what the command line says of the search. The parameters are options of `run`."""
    return {
        "objectives": tuple(part.strip() for part in objectives.split(",")),
        "sampler": sampler,
        "pruner": pruner,
        "seed": seed,
        "name": name,
        "max_flops": max_flops,
        "max_params": max_params,
        "known_designs": known_designs,
        "tune_recipe": tune_recipe,
    }
