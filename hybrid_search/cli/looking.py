"""Commands that look: spaces, space, cost, front, doctor. None of them imports torch, ray or optuna, but doctor."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_search.cli.printing import Database, Format, FormatOption, print_rows, say
from hybrid_search.errors import ArchitectureError, UnknownName, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hybrid_search.ledger import Ledger
    from hybrid_search.networks.architecture import Architecture
    from hybrid_search.records import SearchRecord

SAMPLED = 400  # random designs that the share within a budget is estimated from


def add_to(app: typer.Typer) -> None:
    """Put this room's commands on the command line."""
    for command in (spaces, space, cost, front, doctor):
        app.command()(command)


def spaces(form: FormatOption = Format.table) -> None:
    """List the spaces that come with the package."""
    from hybrid_search.spaces.space import load_space, shipped_spaces

    rows = []
    for name in shipped_spaces():
        found = load_space(name)
        rows.append({"name": name, "designs": found.size(), "data": found.settings.data, "about": found.about})
    print_rows(rows, form, shown={"name": str, "designs": _many, "data": str, "about": str})


def _many(count: int) -> str:
    return f"{count:,}" if count < 10**9 else f"{count:.2e}"


def space(
    name: Annotated[str, typer.Argument(metavar="SPACE", help="A shipped space or a YAML file.")],
    max_flops: Annotated[float | None, typer.Option(help="A budget: the share of designs within it.")] = None,
    max_params: Annotated[float | None, typer.Option(help="A budget: the share of designs within it.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data set, for its image size.")] = None,
    form: FormatOption = Format.table,
) -> None:
    """Show one space: its questions, its size, its smallest and largest cost, the share within a budget."""
    from hybrid_search.errors import DataError, SettingsError
    from hybrid_search.networks.costs import cost as price
    from hybrid_search.objectives import OBJECTIVES
    from hybrid_search.spaces.space import load_space

    for what, bound in (("max-flops", max_flops), ("max-params", max_params)):
        if bound is not None and not bound > 0:
            raise SettingsError(f"--{what} must be more than 0; got {bound:g}.")
    found = load_space(name)
    settings = found.settings.with_(data_dir=str(data_dir)) if data_dir else found.settings
    side = settings.image_size or 224
    size, classes = (3, side, side), 1000
    try:
        from hybrid_search.data import input_size_and_classes

        size, classes = input_size_and_classes(settings)
    except DataError as error:
        say(f"costs are for {size[0]}x{size[1]}x{size[2]} images and {classes} classes: {error}")

    def flops(architecture: "Architecture") -> float:
        return price(architecture, size, classes).flops

    def params(architecture: "Architecture") -> float:
        return price(architecture, size, classes).params

    ends = [found.extreme(flops, largest=largest)[0] for largest in (False, True)]
    most = [found.extreme(params, largest=largest)[0] for largest in (False, True)]
    dice = random.Random(0)
    drawn = [price(found.random_choices(dice)[0], size, classes) for _ in range(SAMPLED)]
    within = [c for c in drawn if c.flops <= (max_flops or c.flops) and c.params <= (max_params or c.params)]
    facts: dict[str, Any] = {
        "name": found.name,
        "designs": found.size(),
        "data": settings.data,
        "epochs": settings.epochs,
    }
    for word, by_flops, by_params in zip(("smallest", "largest"), ends, most, strict=True):
        facts |= {f"{word}_flops": flops(by_flops), f"{word}_params": params(by_params)}
        facts[f"{word}_design"] = str(by_flops)  # by FLOPs
    if max_flops or max_params:
        facts["share_within_budget"] = len(within) / SAMPLED
    facts["questions"] = {key: list(choices) for key, choices in _questions(found).items()}
    if form is not Format.table:
        print_rows([facts], form)
        return
    for what in ("flops", "params"):
        for word in ("smallest", "largest"):
            facts[f"{word}_{what}"] = OBJECTIVES[what].text(facts[f"{word}_{what}"])
    if "share_within_budget" in facts:
        share = facts["share_within_budget"]
        facts["share_within_budget"] = f"about {share:.1%}, by {SAMPLED} designs drawn at random"
    questions = facts.pop("questions")
    rows = [{"what": key.replace("_", " "), "": _many(v) if isinstance(v, int) else str(v)} for key, v in facts.items()]
    print_rows(rows, form, title=found.about)
    rows = [{"question": key, "choices": ", ".join(map(str, choices))} for key, choices in questions.items()]
    print_rows(rows, form, title="\nquestions (an operator's options are asked when it is chosen)")


def _questions(found: Any) -> dict[str, tuple[Any, ...]]:
    """Every question the space can ask, met by walking from each answer of each question."""
    from hybrid_search.spaces.choosers import FixedChoices

    seen: dict[str, tuple[Any, ...]] = {}
    queue: list[dict[str, Any]] = [{}]
    while queue:
        here = FixedChoices(queue.pop())
        found.choose(here)
        for name, choices in here.offered.items():
            if name not in seen:
                seen[name] = choices
                queue += [{**here.params, name: choice} for choice in choices]
    return dict(sorted(seen.items()))


def cost(
    design: Annotated[str, typer.Argument(help="A reference (resnet50), a trial (NAME/NUMBER) or a JSON file.")],
    input_size: Annotated[
        int | None, typer.Option("--input", help="Rows and columns of the image; default 224.")
    ] = None,
    channels: Annotated[int | None, typer.Option(help="Channels of the image; default 3.")] = None,
    classes: Annotated[int | None, typer.Option(help="Classes; default 1000.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Write out the arithmetic of each layer.")] = False,
    db: Database = None,
    form: FormatOption = Format.table,
) -> None:
    """Parameters and FLOPs (2 x MACs) of every layer of a design, exact, before anything is built."""
    from hybrid_search.errors import whole
    from hybrid_search.objectives import scaled

    architecture, size, count = find_design(design, db)
    rows_cols = (input_size, input_size) if input_size is not None else size[1:]
    size = (channels if channels is not None else size[0], *rows_cols)
    count = classes if classes is not None else count
    whole("--input", size[1])
    from hybrid_search.networks.costs import cost as price
    from hybrid_search.networks.costs import explain as compare

    found = price(architecture, size, count)
    rows = [
        {
            "layer": layer.name,
            "kind": layer.kind,
            "map": f"{layer.rows}x{layer.cols}",
            "params": layer.params,
            "flops": layer.flops,
            "per_pixel": layer.formula,
        }
        for layer in found.layers
    ]
    if form is not Format.table:
        total = {"layer": "total", "kind": "", "map": "", "params": found.params, "flops": found.flops, "per_pixel": ""}
        print_rows([*rows, total], form)
        return
    shown = {"layer": str, "kind": str, "map": str, "params": "{:,}".format, "flops": "{:,}".format}
    if explain:
        shown["per_pixel"] = str
    print_rows(rows, form, title=f"{design}: {architecture}", shown=shown)
    if explain:
        typer.echo("\nEach attention against the 3x3 convolution it replaces (MACs of one image; FLOPs = 2 x MACs):")
        for comparison in compare(architecture, size):
            typer.echo(f"  {comparison}")
    shape = "x".join(map(str, size))
    words = f"{scaled(found.flops)}FLOPs (2 x MACs), {scaled(found.params).strip()} parameters"
    typer.echo(f"\ntotal: {words} at {shape}, {count} classes")


def find_design(design: str, db: str | None) -> tuple["Architecture", tuple[int, int, int], int]:
    """The architecture that a word of the command line means, its input size and classes."""
    from hybrid_search.networks.architecture import Architecture
    from hybrid_search.networks.references import reference, references

    if design in references():
        return reference(design), (3, 224, 224), 1000
    path = Path(design)
    try:
        there = path.is_file()
    except (OSError, ValueError):  # a name too long, or with a NUL in it
        there = False
    if path.suffix == ".json" or there:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ArchitectureError(
                f"a design must be a readable JSON file; {design} is not: {error.strerror}."
            ) from None
        except ValueError as error:
            raise ArchitectureError(f"a design must be a JSON file; {design} is not: {error}.") from None
        return Architecture.from_dict(content), (3, 224, 224), 1000
    name, slash, number = design.rpartition("/")
    if slash and number.isascii() and number.isdecimal() and len(number) < 10:
        from hybrid_search.ledger import Ledger, reads

        with Ledger(db, read_only=True) as ledger:
            record = ledger.search(name)
            trial = ledger.read(reads.trial, record.id, int(number))
        return Architecture.from_dict(trial.architecture), record.input_size, record.classes
    names = "resnet26, resnet38, resnet50, sasa-26-stem ... sasa-50-full, hybrid-50-CCCA ... hybrid-50-AAAC"
    raise UnknownName(
        f"a design must be a reference ({names}), a trial (NAME/NUMBER) or a .json file; got {design!r}."
        f"{nearest(design, references())}"
    )


def front(
    name: Annotated[str | None, typer.Argument(help="A search; default: the newest.")] = None,
    db: Database = None,
    form: FormatOption = Format.table,
) -> None:
    """The Pareto front of a search, best accuracy first."""
    from hybrid_search.ledger import Ledger

    with Ledger(db, read_only=True) as ledger:
        print_front(ledger, ledger.search(name), form)


def print_front(ledger: "Ledger", record: "SearchRecord", form: Format, tell: Callable[[str], None] = say) -> None:
    """Print the front of one search; JSON is a list of objects with trial, objectives, digest and architecture."""
    from hybrid_search.analysis.confidence import read_confidence
    from hybrid_search.cli.certainty import aligned, certainty, confirmed_row
    from hybrid_search.ledger import reads
    from hybrid_search.networks.architecture import Architecture
    from hybrid_search.objectives import OBJECTIVES
    from hybrid_search.pareto import front_rows
    from hybrid_search.spaces.known_designs import known_names

    names = list(dict.fromkeys([*record.objectives, "accuracy", "flops", "params"]))
    found = ledger.read(reads.front_candidates, record.id, sorted(names), record.objectives)
    numbers = front_rows(list(found.items()), record.objectives)
    trials = {trial.number: trial for trial in ledger.read(reads.trials, record.id, numbers)}
    known = known_names(record)
    standings = read_confidence(ledger, record)
    rows: list[dict[str, Any]] = [
        {
            "trial": number,
            **{name: found[number].get(name) for name in names},
            **(certainty(standings.get(number), names, form) if standings else {}),
            "digest": trials[number].digest,
            "design": str(Architecture.from_dict(trials[number].architecture)),
            "architecture": dict(trials[number].architecture),
            **({"known_as": known.get(trials[number].digest)} if record.known_designs else {}),
            **{name: trials[number].settings[name] for name in record.tuned},
        }
        for number in numbers
    ]
    for row in rows:
        if form is Format.json:
            del row["design"]
        elif form is Format.table and row.get("known_as"):
            row["design"] = f"{row['known_as']}: {row['design']}"
    if not rows and form is Format.table:
        say(f"search {record.name!r} has no finished trial yet: its front is empty")
        return
    complete = ledger.read(reads.counts, record.id).get("complete", 0)
    title = f"front of {record.name}: {len(rows)} of {complete} trained networks"
    present = [name for name in names if any(row[name] is not None for row in rows)]
    if form is Format.table and standings:
        told = [name for name in present if name != "params" or name in record.objectives]  # the line is long enough
        lines = [confirmed_row(row, standings.get(row["trial"]), told, record.tuned) for row in rows]
        sure = any(standing.intervals for standing in standings.values())
        print_rows(
            aligned(lines), form, title=f"{title}, {'with 95 % intervals' if sure else 'intervals need two seeds'}"
        )
        _known_off_front(ledger, record, known, numbers, tell)
        return
    shown = {"trial": str, **{name: OBJECTIVES[name].text for name in present}}
    shown |= {**dict.fromkeys(record.tuned, "{:.3g}".format), "design": str}
    print_rows(rows, form, title=title, shown=shown)
    if form is Format.table:
        _known_off_front(ledger, record, known, numbers, tell)


def _known_off_front(
    ledger: "Ledger",
    record: "SearchRecord",
    known: "Mapping[str, str]",
    front: "Sequence[int]",
    tell: Callable[[str], None],
) -> None:
    """Say how the known designs did that are not on the front."""
    from hybrid_search.ledger import reads
    from hybrid_search.objectives import OBJECTIVES

    off = [number for number in range(4 * len(known)) if number not in front]  # they were asked for first
    for trial in ledger.read(reads.trials, record.id, off) if known else []:
        if trial.state == "complete" and trial.digest in known:
            told = ", ".join(OBJECTIVES[name].text(trial.measurements.get(name)) for name in record.objectives)
            tell(f"off the front: trial {trial.number}, {known[trial.digest]}: {told}")


def doctor(
    build: Annotated[
        bool,
        typer.Option("--build", help="First compile the CPU kernels of extents 3 to 11, else compiled on first use."),
    ] = False,
    form: FormatOption = Format.table,
    db: Database = None,
) -> None:
    """What this machine has: devices, kernels in use, database, packages."""
    from hybrid_search.cli.machine import build_kernels, findings

    built = build_kernels() if build else []
    print_rows([{"what": what, "found": found} for what, found in findings(db) + built], form)
