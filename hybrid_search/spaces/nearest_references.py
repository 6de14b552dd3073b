"""The designs of a space that are nearest to the small reference networks: ResNet, MobileNet, ConvNeXt.

For each family of references (resnet-basic, mobilenet, convnext) whose block and operator a space offers in every
stage, this gives one design: of all widths W, that whose widths the space meets best, within the budget of the search.
If several meet it equally, it is the largest one within a budget, and the middle one without a budget.

If the space offers image sizes, these designs have the largest one, as the baselines of its searches.

Only spaces that offer blocks have such designs: the known designs of all other spaces are as they were.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hybrid_search.networks.architecture import Architecture, Stage
from hybrid_search.networks.costs import simplified_for
from hybrid_search.networks.references import FAMILIES, reference
from hybrid_search.records import SearchRecord
from hybrid_search.spaces.budget import budget_excess
from hybrid_search.spaces.schema import StageForm
from hybrid_search.spaces.space import SearchSpace

WIDTHS = range(4, 257, 4)  # the first widths W that are compared
STEM = "conv3x3"  # of every reference
SPACE_PARAMETERS = ("width_multiplier", "image_size")  # that are of no stem or stage


@dataclass
class _Toward:
    """Choose the block and the operator of a reference, and the nearest choice of every number.

    Args:
        target: the reference.
        stages: for each stage of the space, the stage of the reference that it stands for.
    """

    target: Architecture
    stages: Sequence[Stage]
    params: dict[str, Any] = field(default_factory=dict)
    distance: float = 0.0

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        wanted = self._wanted(name)
        if wanted in choices:
            chosen = wanted
        elif _is_number(wanted) and any(_is_number(choice) and choice > 0 for choice in choices):
            possible = [choice for choice in choices if _is_number(choice) and choice > 0]
            chosen = min(possible, key=lambda choice: (abs(math.log(choice / wanted)), choice))
            self.distance += abs(math.log(chosen / wanted))
        else:
            chosen = choices[0]
        self.params[name] = chosen
        return chosen

    def _wanted(self, name: str) -> Any:
        """Return the value of the reference for a parameter; None where it has none."""
        place, *_, option = name.split(".") if "." in name else (name, name)
        if place == "stem":
            stem = self.target.stem
            return {"stem": STEM, "width": stem.width, "stride": stem.stride}.get(option)
        if name in SPACE_PARAMETERS:
            return 1.0 if name == "width_multiplier" else self.target.image_size
        number = int(place[5:]) - 1 if place.startswith("stage") and place[5:].isdecimal() else 0
        stage = self.stages[min(number, len(self.stages) - 1)]
        if option in ("block", "operator", "depth", "width"):
            return getattr(stage, option)
        return {**dict(stage.options), **dict(stage.block_options)}.get(option)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def nearest_references(
    record: SearchRecord, space: SearchSpace
) -> Iterator[tuple[str, Mapping[str, Any], Architecture]]:
    """Yield the design nearest to each family of references: its name, its choices, and its architecture.

    Args:
        record: the search, for its images and its budget.
        space: its space.
    """
    if not any(_blocks(space, form) for form in space.form.stages):
        return
    for name, family in FAMILIES.items():
        if all(
            family.block in _blocks(space, form) and family.operator in space.form.operators(form, family.block)
            for form in space.form.stages
        ):
            found = [each for width in WIDTHS if (each := _design(record, space, f"{name}-{width}")) is not None]
            least = min((distance for distance, *_ in found), default=0.0)
            best = [each for each in found if each[0] <= least + 1e-9]
            if best:
                has_budget = record.max_flops is not None or record.max_params is not None
                _, called, choices, architecture = best[-1 if has_budget else len(best) // 2]
                yield called, choices, architecture


def _blocks(space: SearchSpace, form: StageForm) -> Sequence[str]:
    return list(form.own_blocks or space.form.block or ())


def _design(
    record: SearchRecord, space: SearchSpace, name: str
) -> tuple[float, str, Mapping[str, Any], Architecture] | None:
    """Return the design nearest to one reference, with the distance of its widths; None if it is over the budget."""
    target = reference(name)
    if record.image_sizes:
        target = replace(target, image_size=record.input_size[1])
    count = len(space.form.stages)
    chooser = _Toward(target, [target.stages[len(target.stages) * number // count] for number in range(count)])
    architecture = simplified_for(space.choose(chooser), record.input_size)
    if budget_excess(record, architecture) > 0:
        return None
    same = architecture.digest == simplified_for(target, record.input_size).digest
    return chooser.distance, name if same else f"nearest to {name}", chooser.params, architecture
