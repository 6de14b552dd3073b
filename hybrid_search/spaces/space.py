"""Search spaces: sets of architectures, each given by the choices of named parameters.

`SearchSpace.choose` takes any chooser: an Optuna trial, or one of `spaces.choosers`. It calls
`suggest_categorical(name, choices)` for one parameter after the other and builds an architecture. Parameters of an
operator exist only if the operator is chosen. A parameter with a single choice is not suggested.
"""

import hashlib
import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hybrid_search._internal.text_file import exists
from hybrid_search.errors import SpaceError, nearest, shown
from hybrid_search.networks.architecture import DEFAULT_EXPANSION, Architecture, Stage
from hybrid_search.networks.blocks import BOTTLENECK
from hybrid_search.networks.stems import make_stem
from hybrid_search.plugins import table_cache
from hybrid_search.records import Settings
from hybrid_search.spaces.choosers import Chooser, ExhaustiveChooser, FixedChoices, RandomChooser
from hybrid_search.spaces.coordinate_descent import descend
from hybrid_search.spaces.schema import SpaceForm, StageForm, parse_space, read_space_file
from hybrid_search.spaces.shipped import shipped_spaces
from hybrid_search.spaces.width_multiplier import scaled_stem, scaled_width

Kinds = Mapping[str, Sequence[Mapping[str, tuple[Any, ...]]]]  # operator or stem -> its variants -> options -> choices

_stage = table_cache(maxsize=16384)(Stage)  # a space offers few stages, and a search walks it thousands of times

# The keys of a space that define its architectures. A key that came later is left out where a space does not have it.
IDENTITY = ("expansion", "block", "stem", "groups", "stages", "width_multiplier", "image_size")
MOST_DESIGNS = 10**300  # a float ends at 10^308
ENUMERABLE = 5000  # the largest space whose extremes are found by a search through all architectures


class SearchSpace:
    """A set of legal architectures. `load_space` and `SearchSpace.from_dict` return it.

    Args:
        form: the checked contents of a space file.

    Example:
        >>> space = load_space("digits")
        >>> architecture = space.choose(RandomChooser(random.Random(0)))
        >>> print(architecture)
    """

    def __init__(self, form: SpaceForm) -> None:
        self.form = form
        self.name = form.name
        self.about = form.about
        if (size := self.size()) > MOST_DESIGNS:
            law = f"a space must have at most 10^{round(math.log10(MOST_DESIGNS))} designs"
            raise SpaceError(
                f"{law}; got about 10^{round(math.log10(size))} in {shown(self.name)}. Offer fewer choices."
            )

    def __repr__(self) -> str:
        return f"SearchSpace({self.name!r}, {self.size():,} designs)"

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], source: str = "space") -> "SearchSpace":
        """Return the space of a dictionary with the keys of a space file.

        Args:
            content: the keys; `spaces.schema` explains them.
            source: name of the file, for messages.

        Raises:
            SpaceError: the first fault and its place.
        """
        return cls(parse_space(content, source))

    def to_dict(self) -> dict[str, Any]:
        """Return the space as plain JSON values, with every default written out."""
        return self.form.model_dump(mode="json", exclude_none=True)

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that identify the architectures; settings, budget and texts do not count."""
        content = self.to_dict()
        parts = {name: content[name] for name in content if name in IDENTITY}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def settings(self) -> Settings:
        """The settings of the space file, with defaults for the rest."""
        return Settings.from_dict({"data": self.form.data, **self.form.settings})

    @property
    def budget(self) -> dict[str, float]:
        """The default budget of searches of this space by cost: `flops`, `params`; empty without one."""
        return dict(self.form.budget or {})

    def choose(self, chooser: Chooser) -> Architecture:
        """Build the architecture that a chooser selects.

        Args:
            chooser: an Optuna trial, or any other `Chooser`. Each parameter is suggested at most once, in a fixed
                order.

        Returns:
            A legal architecture.

        Raises:
            ArchitectureError: the chooser returned a value that is none of the choices.
        """

        def suggest(name: str, choices: Sequence[Any]) -> Any:
            return choices[0] if len(choices) == 1 else chooser.suggest_categorical(name, tuple(choices))

        def pick(name: str, prefix: str, kinds: Kinds) -> tuple[str, dict[str, Any]]:
            kind = suggest(name, list(kinds))
            head, variants = f"{prefix}{kind}.", kinds[kind]
            which = suggest(f"{head}variant", list(range(1, len(variants) + 1)))
            if len(variants) > 1:
                head += f"variant{which}."
            return kind, {option: suggest(head + option, values) for option, values in variants[which - 1].items()}

        image_size = suggest("image_size", self.form.image_size) if self.form.image_size else None
        multiplier = suggest("width_multiplier", self.form.width_multiplier or (1.0,))
        stem = scaled_stem(make_stem(*pick("stem", "stem.", self.form.stem)), multiplier)
        shared = pick("block", "block.", self.form.block) if self._shares_block() and self.form.block else None
        used = self._used_groups().items()
        groups = {name: pick(f"{name}.operator", f"{name}.", group.operator) for name, group in used}
        stages = []
        for number, form in enumerate(self.form.stages, start=1):
            prefix = f"stage{number}."
            if (depth := suggest(prefix + "depth", form.depth)) == 0:
                continue
            width = scaled_width(suggest(prefix + "width", form.width), multiplier)
            own = pick(prefix + "block", prefix + "block.", form.own_blocks) if form.own_blocks else None
            block, block_options = own or shared or (BOTTLENECK, {})
            kinds, inner = self.form.operators(form, block), f"{block}." if form.by_block else ""
            if form.per == "block":
                places = [f"{prefix}block{number}.{inner}" for number in range(1, depth + 1)]
                runs = [(1, *pick(f"{place}operator", place, kinds)) for place in places]
            elif form.group is not None:
                runs = [(depth, *groups[form.group])]
            else:
                runs = [(depth, *pick(f"{prefix}{inner}operator", f"{prefix}{inner}", kinds))]
            for i, (blocks, operator, options) in enumerate(runs):
                stride = form.stride if i == 0 else 1
                more = (tuple(options.items()), block, tuple(block_options.items()))
                stages.append(_stage(operator, blocks, width, stride, *more))
        has_bottleneck = any(stage.block == BOTTLENECK for stage in stages)
        expansion = suggest("expansion", self.form.expansion) if has_bottleneck else DEFAULT_EXPANSION
        return Architecture(stem, tuple(stages), expansion, image_size)

    def size(self) -> int:
        """Return the number of combinations of choices. `enumerate` yields as many architectures."""
        total, without_bottleneck = self._ways(), self._ways(without=BOTTLENECK)
        return (total - without_bottleneck) * len(self.form.expansion) + without_bottleneck

    def _ways(self, without: str = "") -> int:
        """Return the number of combinations of all choices but the expansion, leaving out one block."""
        total = _ways(self.form.stem) * len(self.form.width_multiplier or (1.0,)) * len(self.form.image_size or (None,))
        for group in self._used_groups().values():
            total *= _ways(group.operator)
        if not self._shares_block():
            return total * math.prod(self._stage_ways(form, without, 1) for form in self.form.stages)
        shared = self.form.block or {}
        left = _ways({name: variants for name, variants in shared.items() if name != without})
        kept = math.prod(self._stage_ways(form, without, 1) for form in self.form.stages)
        if left == _ways(shared):
            return total * left * kept
        # With the block left out as the shared one, only stages with a block of their own, or of depth 0, remain.
        dropped = math.prod(self._stage_ways(form, without, 0) for form in self.form.stages)
        return total * (left * kept + (_ways(shared) - left) * dropped)

    def _stage_ways(self, form: StageForm, without: str, shared: int) -> int:
        """Return the number of combinations of a stage; `shared` is 0 if the shared block is the one to leave out."""
        if (own := form.own_blocks) is not None:
            blocks = {name: _ways({name: variants}) for name, variants in own.items() if name != without}
        elif self.form.block is not None:
            blocks = {"": shared}
        else:
            blocks = {"": int(without != BOTTLENECK)}
        total = int(0 in form.depth)
        for name, count in blocks.items():
            ways = 1 if form.group is not None else _ways(self.form.operators(form, name))
            depths = [ways**depth if form.per == "block" else ways for depth in form.depth if depth]
            total += sum(depths) * len(form.width) * count
        return total

    def _shares_block(self) -> bool:
        """Return whether the space has blocks of which one is chosen for all stages without blocks of their own."""
        return self.form.block is not None and any(form.own_blocks is None for form in self.form.stages)

    def enumerate(self) -> Iterator[Architecture]:
        """Yield the architecture of every combination. Two combinations may build the same network, with one digest."""
        for architecture, _ in self.enumerate_choices():
            yield architecture

    def enumerate_choices(self) -> Iterator[tuple[Architecture, dict[str, Any]]]:
        """Yield every architecture with its choices (parameter name -> choice)."""
        chooser = ExhaustiveChooser()
        while True:
            yield self.choose(chooser), chooser.params
            if not chooser.advance():
                return

    def extreme(
        self, cost: Callable[[Architecture], float], *, largest: bool = False, seed: int = 0
    ) -> tuple[Architecture, dict[str, Any]]:
        """Return the architecture with the smallest cost, or the largest one, with its choices.

        The result is exact for up to 5,000 architectures. In larger spaces, one choice at a time is changed until none
        improves the cost, from several starts. This is exact if the cost of an option does not depend on the others.

        Args:
            cost: a function of the architecture.
            largest: whether to maximize the cost.
            seed: seed of the random starts.
        """
        sign = -1.0 if largest else 1.0
        if self.size() <= ENUMERABLE:
            return min(self.enumerate_choices(), key=lambda pair: sign * cost(pair[0]))
        rng = random.Random(seed)
        starts = [{}, *(self.random_choices(rng)[1] for _ in range(2))]
        ends = [descend(self.choose, lambda a: sign * cost(a), start) for start in starts]
        _, architecture, choices = min(ends, key=lambda end: end[0])
        return architecture, choices

    def random_choices(self, rng: random.Random) -> tuple[Architecture, dict[str, Any]]:
        """Return a random architecture with its choices (parameter name -> choice).

        Args:
            rng: random generator; each choice of a parameter is equally likely.
        """
        chooser = RandomChooser(rng)
        return self.choose(chooser), chooser.params

    def neighbour(self, choices: Mapping[str, Any], rng: random.Random) -> tuple[Architecture, dict[str, Any]]:
        """Return a random architecture that differs in one choice, with its choices.

        Args:
            choices: parameter name -> choice of the architecture to start from.
            rng: random generator.
        """
        here = FixedChoices(choices)
        architecture = self.choose(here)
        steps = [(name, choice) for name, offered in here.offered.items() for choice in offered]
        steps = [(name, choice) for name, choice in steps if choice != here.params[name]]
        if not steps:
            return architecture, here.params
        name, choice = rng.choice(steps)
        changed = FixedChoices({**here.params, name: choice})
        return self.choose(changed), changed.params

    def _used_groups(self) -> dict[str, Any]:
        used = {form.group for form in self.form.stages}
        return {name: group for name, group in self.form.groups.items() if name in used}


def _ways(kinds: Kinds) -> int:
    variants = [options for several in kinds.values() for options in several]
    return sum(math.prod(len(values) for values in options.values()) for options in variants)


def load_space(name_or_path: str | Path) -> SearchSpace:
    """Return a shipped space, or the space of a file.

    Args:
        name_or_path: the name of a shipped space, or the path of a YAML file.

    Raises:
        SpaceError: there is neither, or the file is wrong.

    Example:
        >>> load_space("digits").size()
        110592
    """
    known = shipped_spaces()
    if str(name_or_path) in known:
        return SearchSpace(read_space_file(known[str(name_or_path)]))
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or exists(path):
        return SearchSpace(read_space_file(path))
    names = ", ".join(known)
    raise SpaceError(
        f"space must be one of {names}, or a .yaml file; got {shown(str(name_or_path))}.{nearest(path, known)}"
    )
