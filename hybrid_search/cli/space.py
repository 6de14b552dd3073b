"""`hybrid-search space`: one search space, its parameters, its range of costs and the share within a budget."""

import random
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_search.cli.help_page import HelpCommand
from hybrid_search.cli.options import (
    DataDir,
    DataName,
    FormatOption,
    MaxFlops,
    MaxParams,
    SetSettings,
    changed_settings,
)
from hybrid_search.cli.output import Format, count_text, print_rows, say

if TYPE_CHECKING:
    from hybrid_search.networks.architecture import Architecture
    from hybrid_search.records import Settings
    from hybrid_search.spaces.space import SearchSpace

SAMPLES = 400  # random designs from which the share within a budget is estimated


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(cls=HelpCommand)(space)


def space(
    name: Annotated[str, typer.Argument(metavar="SPACE", help="Name of a shipped space, or a YAML file.")],
    max_flops: MaxFlops = None,
    max_params: MaxParams = None,
    data: DataName = None,
    data_dir: DataDir = None,
    changes: SetSettings = None,
    form: FormatOption = Format.table,
) -> None:
    """Show one search space: its size, its parameters, its smallest and largest design, the share within its budget.

    Costs are those of `run` with the same data and settings: the data set fixes image size and classes. They are left
    out if the space has no data of its own and none is given.
    """
    from hybrid_search.spaces.space import load_space

    loaded = load_space(name)
    settings = changed_settings(loaded.settings, {"data": data, "data_dir": data_dir}, changes, say)
    facts = _facts(loaded, settings) | _cost_facts(loaded, settings, max_flops, max_params)
    facts["parameters"] = {name: list(choices) for name, choices in _parameters(loaded).items()}
    if form is Format.table:
        _print_tables(loaded, facts)
    else:
        print_rows([facts], form)


def _facts(space: "SearchSpace", settings: "Settings") -> dict[str, Any]:
    """Return what is known without the data, by name."""
    return {"name": space.name, "designs": space.size(), "data": settings.data, "epochs": settings.epochs}


def _cost_facts(
    space: "SearchSpace", settings: "Settings", max_flops: str | None, max_params: str | None
) -> dict[str, Any]:
    """Return images, classes and costs by name; nothing, with a notice, if the space has no data of its own."""
    from hybrid_search.data.table import DATASETS
    from hybrid_search.errors import DataError
    from hybrid_search.networks.costs import simplified_for, total_cost
    from hybrid_search.search.spec import SearchSpec

    DATASETS[settings.data]  # an unknown name is a fault of the space; missing data is none
    try:
        spec = SearchSpec.create(space, trials=1, settings=settings, max_flops=max_flops, max_params=max_params)
    except DataError as error:
        if settings != space.settings or settings.data_dir is not None or max_flops or max_params:
            raise
        say(f"costs are left out, because they depend on the images: {error}")
        return {}
    size, classes = spec.input_size, spec.classes

    def costs(architecture: "Architecture") -> tuple[int, int]:
        return total_cost(simplified_for(architecture, size), size, classes)

    def flops(architecture: "Architecture") -> float:
        return costs(architecture)[0]

    def params(architecture: "Architecture") -> float:
        return costs(architecture)[1]

    sides = [(side, side) for side in sorted(spec.record.image_sizes)] or [size[1:]]
    images = ", ".join("x".join(map(str, (size[0], *side))) for side in sides)
    facts: dict[str, Any] = {"images": images, "classes": classes}
    for word, largest in (("smallest", False), ("largest", True)):
        by_flops = space.extreme(flops, largest=largest)[0]
        by_params = space.extreme(params, largest=largest)[0]
        facts |= {f"{word}_flops": flops(by_flops), f"{word}_params": params(by_params)}
        facts[f"{word}_design"] = str(simplified_for(by_flops, size))
    bounds = {"flops": spec.max_flops, "params": spec.max_params}
    budget = {name: bound for name, bound in bounds.items() if bound is not None}
    if budget:
        facts |= {f"max_{name}": bound for name, bound in budget.items()}
        rng = random.Random(0)
        exact = space.size() <= SAMPLES
        networks = space.enumerate() if exact else (space.random_choices(rng)[0] for _ in range(SAMPLES))
        pairs = [dict(zip(("flops", "params"), costs(network), strict=True)) for network in networks]
        within = [pair for pair in pairs if all(pair[name] <= bound for name, bound in budget.items())]
        facts["share_within_budget"] = len(within) / len(pairs)
    return facts


def _parameters(space: "SearchSpace") -> dict[str, tuple[Any, ...]]:
    """Return the choices of every parameter of the space, conditional parameters included.

    A breadth-first walk fixes one choice after the other and collects the parameters that appear.
    """
    from hybrid_search.spaces.choosers import FixedChoices

    seen: dict[str, tuple[Any, ...]] = {}
    queue: list[dict[str, Any]] = [{}]
    while queue:
        chooser = FixedChoices(queue.pop())
        space.choose(chooser)
        for name, choices in chooser.offered.items():
            if name not in seen:
                seen[name] = choices
                queue += [{**chooser.params, name: choice} for choice in choices]
    return dict(sorted(seen.items()))


def _print_tables(space: "SearchSpace", facts: dict[str, Any]) -> None:
    """Print the facts, then the parameters with their choices."""
    from hybrid_search.objectives import OBJECTIVES

    texts = {name: count_text(value) if isinstance(value, int) else str(value) for name, value in facts.items()}
    for what in ("flops", "params"):
        for word in ("smallest", "largest", "max"):
            if f"{word}_{what}" in facts:
                texts[f"{word}_{what}"] = OBJECTIVES[what].text(facts[f"{word}_{what}"])
    if "share_within_budget" in facts:
        share = facts["share_within_budget"]
        exact = facts["designs"] <= SAMPLES
        texts["share_within_budget"] = (
            f"{share:.1%}" if exact else f"about {share:.1%}, estimated from {SAMPLES} random designs"
        )
    del texts["parameters"]
    rows = [{"property": name.replace("_", " "), "value": text} for name, text in texts.items()]
    print_rows(rows, Format.table, title=space.about)
    rows = [
        {"parameter": name, "choices": ", ".join(map(str, choices))} for name, choices in facts["parameters"].items()
    ]
    title = "\nParameters (options of an operator are parameters only if that operator is chosen)"
    print_rows(rows, Format.table, title=title)
