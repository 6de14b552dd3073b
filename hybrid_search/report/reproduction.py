"""The commands that repeat a search, with its space as a file."""

import shlex
from dataclasses import dataclass
from typing import Any

import hybrid_search
from hybrid_search._internal.visible_text import visible
from hybrid_search.errors import UserError
from hybrid_search.objectives import MEASURED_BY_TRAINING
from hybrid_search.pruners import PRUNERS, current_name
from hybrid_search.records import TRAINED, SearchRecord
from hybrid_search.report.report_data import ReportData
from hybrid_search.samplers import SAMPLERS
from hybrid_search.spaces.space_text import space_text
from hybrid_search.spaces.stored_space import stored_space

FILE = "space.yaml"


@dataclass(frozen=True)
class Reproduction:
    """How to repeat a search.

    Attributes:
        words: what the commands do, or why there are none.
        file: name of the file of the space.
        space: its text; None if it cannot be written.
        commands: the commands, to type in this order.
        notes: what they do not repeat.
    """

    words: str
    file: str
    space: str | None
    commands: tuple[str, ...]
    notes: tuple[str, ...]


def reproduction(data: ReportData) -> Reproduction:
    """Return how to repeat the search of a report.

    Args:
        data: what the report shows.
    """
    search = data.search
    try:
        space: str | None = space_text(stored_space(search.space), search.settings)
    except UserError as error:
        return Reproduction(f"The space cannot be written here: {error}", FILE, None, (), ())
    version = hybrid_search.__version__
    if own := _own_parts(search):
        words = (
            f"This search uses {own}, which no command can name. Repeat it in Python with hybrid-search {version}: "
            f"`run({FILE!r}, ...)` with the settings above."
        )
        return Reproduction(words, FILE, space, (), ())
    words = f"Write the space to {FILE}, then type these commands with hybrid-search {version}."
    notes = [
        "Trials that run at the same time end in another order, so later proposals differ; one worker repeats them."
    ]
    if search.settings.data_dir is not None:
        notes.append(f"The images were at {search.settings.data_dir}. Add --data-dir if they are elsewhere.")
    return Reproduction(words, FILE, space, tuple(_commands(data)), tuple(notes))


def _own_parts(search: SearchRecord) -> str:
    """Return the parts of a search that exist in Python only; "" if there are none."""
    parts = [] if search.evaluation == TRAINED else ["an evaluation"]
    parts += [] if search.sampler in SAMPLERS else ["a sampler"]
    parts += [] if current_name(search.pruner) in PRUNERS else ["a pruner"]
    parts += [] if set(search.objectives) <= set(MEASURED_BY_TRAINING) or parts else ["an objective"]
    return " and ".join(parts) + (" of its own" if parts else "")


def _commands(data: ReportData) -> list[str]:
    search = data.search
    words: list[Any] = ["run", FILE, f"--name={search.name}", "--trials", search.target, "--seed", search.seed]
    words += ["--objectives", ",".join(search.objectives), "--sampler", search.sampler]
    words += ["--pruner", current_name(search.pruner)]
    for option, bound in (("--max-flops", search.max_flops), ("--max-params", search.max_params)):
        words += [option, "none" if bound is None else repr(bound)]
    words += ["--known-designs" if search.known_designs else "--no-known-designs"]
    words += ["--tune-recipe"] if search.tuned else []
    words += [] if search.settings.seed == search.seed else ["--set", f"seed={search.settings.seed}"]
    found = [_command(words)]
    name = ["--", search.name] if search.name.startswith("-") else [search.name]
    if data.retrained:
        seeds = max(data.front.confidences[number].seeds for number in data.retrained)
        found.append(_command(["confirm", "--seeds", seeds, *name]))
    for each in data.front.trainings:
        if each.trial is not None and each.failure_kind is None:
            options = ["--pick", each.trial, "--epochs", each.settings["epochs"], "--seed", each.seed]
            found.append(_command(["train", *options, "--recipe", each.recipe, *name]))
    return [*found, _command(["report", *name, "report.html"])]


def _command(words: list[Any]) -> str:
    """Return a command in one line, as a shell reads it."""
    return visible(shlex.join(["hybrid-search", *map(str, words)]))
