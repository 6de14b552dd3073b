"""Search spaces: what may be chosen, asked of anything that can choose.

A space knows no sampler. `choose` asks `suggest_categorical(name, choices)` of an Optuna trial, a seeded generator, a
dictionary of answers or a brute-force walk, and builds a frozen architecture from the answers. Only the chosen
operator's questions are asked; a question with one answer is not asked at all.
"""

import hashlib
import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from hybrid_search.errors import SpaceError, nearest
from hybrid_search.networks.architecture import Architecture, Stage
from hybrid_search.networks.stems import make_stem
from hybrid_search.records import Settings
from hybrid_search.spaces.choosers import Chooser, ExhaustiveChooser, FixedChoices, RandomChooser
from hybrid_search.spaces.schema import SpaceForm, parse_space, read_space_file

Kinds = Mapping[str, Sequence[Mapping[str, tuple[Any, ...]]]]  # operator or stem -> its variants -> options -> choices

_stage = lru_cache(maxsize=16384)(Stage)  # a space offers few stages, and a search walks it thousands of times

ENUMERABLE = 5000  # up to this many designs, extremes are found by looking at all of them


class SearchSpace:
    """A checked set of designs. Made by `load_space` or `SearchSpace.from_dict`; every design in it is legal."""

    def __init__(self, form: SpaceForm) -> None:
        self.form = form
        self.name = form.name
        self.about = form.about

    def __repr__(self) -> str:
        return f"SearchSpace({self.name!r}, {self.size():,} designs)"

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], source: str = "space") -> "SearchSpace":
        """The space of a dictionary in the form of a space file; SpaceError names the first fault."""
        return cls(parse_space(content, source))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, in the form of a space file with every default written out."""
        return self.form.model_dump(mode="json", exclude_none=True)

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits over what the space offers; its name, words, data and recipe are left out."""
        kept = {
            name: value for name, value in self.to_dict().items() if name in ("expansion", "stem", "groups", "stages")
        }
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def settings(self) -> Settings:
        """The data set and recipe that the space file names; defaults for the rest."""
        return Settings.from_dict({"data": self.form.data, **self.form.settings})

    def choose(self, chooser: Chooser) -> Architecture:
        """Ask the chooser every question on one path through the space; the architecture it chose."""

        def ask(name: str, choices: Sequence[Any]) -> Any:
            return choices[0] if len(choices) == 1 else chooser.suggest_categorical(name, tuple(choices))

        def pick(prefix: str, what: str, kinds: Kinds) -> tuple[str, dict[str, Any]]:
            kind = ask(f"{prefix}{what}", list(kinds))
            head, variants = f"{prefix or what + '.'}{kind}.", kinds[kind]
            which = ask(f"{head}variant", list(range(1, len(variants) + 1)))
            if len(variants) > 1:
                head += f"variant{which}."
            return kind, {option: ask(head + option, values) for option, values in variants[which - 1].items()}

        stem = make_stem(*pick("", "stem", self.form.stem))
        groups = {name: pick(f"{name}.", "operator", group.operator) for name, group in self._used_groups().items()}
        stages = []
        for number, form in enumerate(self.form.stages, start=1):
            prefix = f"stage{number}."
            depth, width = ask(prefix + "depth", form.depth), ask(prefix + "width", form.width)
            if form.per == "block":
                kinds = self.form.operators(form)
                runs = [(1, *pick(f"{prefix}block{block}.", "operator", kinds)) for block in range(1, depth + 1)]
            elif form.group is not None:
                runs = [(depth, *groups[form.group])]
            else:
                runs = [(depth, *pick(prefix, "operator", self.form.operators(form)))]
            for i, (blocks, operator, options) in enumerate(runs):
                stages.append(_stage(operator, blocks, width, form.stride if i == 0 else 1, tuple(options.items())))
        return Architecture(stem, tuple(stages), self.form.expansion)

    def size(self) -> int:
        """How many ways there are to answer the questions; `enumerate` walks exactly as many."""
        total = _ways(self.form.stem)
        for group in self._used_groups().values():
            total *= _ways(group.operator)
        for form in self.form.stages:
            ways = 1 if form.group is not None else _ways(self.form.operators(form))
            depths = sum(ways**depth for depth in form.depth) if form.per == "block" else len(form.depth) * ways
            total *= depths * len(form.width)
        return total

    def enumerate(self) -> Iterator[Architecture]:
        """Every design, one for each way to answer; two ways may build the same network and then share a digest."""
        for architecture, _ in self.enumerate_choices():
            yield architecture

    def enumerate_choices(self) -> Iterator[tuple[Architecture, dict[str, Any]]]:
        """Every design with the answers that lead to it."""
        chooser = ExhaustiveChooser()
        while True:
            yield self.choose(chooser), chooser.params
            if not chooser.advance():
                return

    def extreme(
        self, price: Callable[[Architecture], float], *, largest: bool = False, seed: int = 0
    ) -> tuple[Architecture, dict[str, Any]]:
        """The cheapest design by `price` (or the dearest), with the answers that lead to it.

        Exact up to 5,000 designs; beyond, changing one answer at a time from several starts until nothing gets better,
        which is exact where the price of an option does not depend on the others.
        """
        sign = -1.0 if largest else 1.0
        if self.size() <= ENUMERABLE:
            return min(self.enumerate_choices(), key=lambda pair: sign * price(pair[0]))
        dice = random.Random(seed)
        starts = [{}, *(self.random_choices(dice)[1] for _ in range(2))]
        found = [self._descend(lambda a: sign * price(a), start) for start in starts]
        _, architecture, choices = min(found, key=lambda triple: triple[0])
        return architecture, choices

    def random_choices(self, dice: random.Random) -> tuple[Architecture, dict[str, Any]]:
        """A random design with the answers that lead to it."""
        chooser = RandomChooser(dice)
        return self.choose(chooser), chooser.params

    def neighbour(self, choices: Mapping[str, Any], dice: random.Random) -> tuple[Architecture, dict[str, Any]]:
        """A design one answer away from these answers."""
        here = FixedChoices(choices)
        architecture = self.choose(here)
        open_ = [(name, choice) for name, offered in here.offered.items() for choice in offered]
        open_ = [(name, choice) for name, choice in open_ if choice != here.params[name]]
        if not open_:
            return architecture, here.params
        name, choice = dice.choice(open_)
        moved = FixedChoices({**here.params, name: choice})
        return self.choose(moved), moved.params

    def _descend(
        self, price: Callable[[Architecture], float], start: Mapping[str, Any]
    ) -> tuple[float, Architecture, dict[str, Any]]:
        def settle(given: Mapping[str, Any], names: Sequence[str]) -> tuple[float, Architecture, FixedChoices]:
            """The best way to answer `names`, the rest as given; questions that an answer opens are settled with it."""
            answers = FixedChoices(given)
            best = (price(architecture := self.choose(answers)), architecture, answers)
            for name in names:
                for answer in best[2].offered.get(name, ()):
                    if answer != best[2].params.get(name):
                        best = min(best, moved(best[2], name, answer), key=lambda found: found[0])
            return best

        def moved(here: FixedChoices, name: str, answer: Any) -> tuple[float, Architecture, FixedChoices]:
            trying = FixedChoices({**here.params, name: answer})
            self.choose(trying)
            return settle(trying.params, [new for new in trying.offered if new not in here.offered])

        best = settle(start, ())
        improved = True
        while improved:
            improved = False
            for name, choices in list(best[2].offered.items()):
                for answer in choices:
                    found = moved(best[2], name, answer)
                    if found[0] < best[0]:
                        best, improved = found, True
        return best[0], best[1], best[2].params

    def _used_groups(self) -> dict[str, Any]:
        used = {form.group for form in self.form.stages}
        return {name: group for name, group in self.form.groups.items() if name in used}


def _ways(kinds: Kinds) -> int:
    variants = [options for several in kinds.values() for options in several]
    return sum(math.prod(len(values) for values in options.values()) for options in variants)


def _shipped() -> Path:
    packed = Path(__file__).parent.parent / "_search_spaces"  # in a wheel; in a checkout the folder stands at the top
    return packed if packed.is_dir() else Path(__file__).parent.parent.parent / "search_spaces"


def shipped_spaces() -> dict[str, Path]:
    """The spaces that come with the package, by name."""
    return {path.stem: path for path in sorted(_shipped().glob("*.yaml"))}


def load_space(name_or_path: str | Path) -> SearchSpace:
    """The shipped space of this name, or the space file at this path; SpaceError where there is neither."""
    known = shipped_spaces()
    if str(name_or_path) in known:
        return SearchSpace(read_space_file(known[str(name_or_path)]))
    path = Path(name_or_path)
    try:
        there = path.is_file()
    except (OSError, ValueError):  # a name too long, or with a NUL in it
        there = False
    if path.suffix in (".yaml", ".yml") or there:
        if not there:
            raise SpaceError(f"a space must be a readable YAML file; {path} is not: no such file.")
        return SearchSpace(read_space_file(path))
    names = ", ".join(known)
    raise SpaceError(f"space must be one of {names}, or a .yaml file; got {str(name_or_path)!r}.{nearest(path, known)}")
