"""The cost budget of a search, and the largest costs of its space. Both are known before training.

FLOPs (2 x MACs of one image) and parameters are exact for every architecture, so a budget is checked before a trial
begins.
"""

import json
import math
from itertools import product

from hybrid_search._internal.number_text import real_number
from hybrid_search.errors import SettingsError, UserError
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.costs import cost, simplified_for, total_cost
from hybrid_search.objectives import COSTS
from hybrid_search.plugins import table_cache
from hybrid_search.records import SearchRecord
from hybrid_search.spaces.choosers import FixedChoices
from hybrid_search.spaces.space import SearchSpace
from hybrid_search.spaces.stored_space import stored_space

UNBOUNDED = ("none", "inf", "infinity")  # texts of a budget without a bound
MARGIN = 1.1  # a point exactly on the reference would add no hypervolume


def read_budget(cost_name: str, given: object, space: SearchSpace) -> float | None:
    """Return the largest FLOPs or parameters of a design in a new search.

    Args:
        cost_name: "flops" or "params".
        given: a number, a text such as `40M` or `1.5G`, or `none` (also infinity) for no bound; None: the budget of the
            space.
        space: the space.

    Returns:
        The bound; None for no bound.

    Raises:
        SettingsError: `given` is none of these.
    """
    what = f"max_{cost_name} (--max-{cost_name})"
    if given is None:
        return space.budget.get(cost_name)
    if given == math.inf or (isinstance(given, str) and given.strip().lower() in UNBOUNDED):
        return None
    bound = real_number(what, given)
    if bound <= 0:
        raise SettingsError(f"{what} must be more than 0; got {given}. Use none for no bound.")
    return bound


def budget_excess(record: SearchRecord, architecture: Architecture) -> float:
    """Return by how much an architecture exceeds the budget of a search.

    Returns:
        Cost / budget - 1, the larger one of FLOPs and parameters: 0.5 is 50 % over the budget, 0 or less is within.
        0 for a search without a budget.
    """
    budget = (record.max_flops, record.max_params)
    if budget == (None, None):
        return 0.0
    pairs = zip(total_cost(architecture, record.input_size, record.classes), budget, strict=True)
    return max(value / bound - 1.0 for value, bound in pairs if bound is not None)


def check_budget(space: SearchSpace, record: SearchRecord) -> None:
    """Check that a search can run: every stem accepts the images, and the budget allows some architecture.

    Raises:
        ArchitectureError: a stem cannot take such images.
        SettingsError: no architecture is within the budget; the message names the smallest cost of the space.
    """
    for stem, size in product(space.form.stem, space.form.image_size or (None,)):
        first = space.choose(FixedChoices({"stem": stem, "image_size": size}))
        cost(first, record.input_size, record.classes)
    budget = {"flops": record.max_flops, "params": record.max_params}
    for name, bound in budget.items():
        if bound is None:
            continue

        def one_cost(architecture: Architecture, name: str = name) -> float:
            fit = simplified_for(architecture, record.input_size)
            return float(getattr(cost(fit, record.input_size, record.classes), name))

        least = one_cost(space.extreme(one_cost)[0])
        if bound < least:
            raise SettingsError(
                f"max_{name} (--max-{name}) must allow at least one design of {space.name}; got {bound:,.0f}. "
                f"The smallest design has {least:,.0f} {name}."
            )
    if None not in budget.values():

        def largest_share(architecture: Architecture) -> float:
            costs = cost(simplified_for(architecture, record.input_size), record.input_size, record.classes)
            return max(float(getattr(costs, name)) / (bound or 1.0) for name, bound in budget.items())

        if largest_share(space.extreme(largest_share)[0]) > 1:
            raise SettingsError(
                f"max_flops (--max-flops) and max_params (--max-params) must together allow at least one design of "
                f"{space.name}; got {record.max_flops:,.0f} and {record.max_params:,.0f}. No design meets both."
            )


def reference_costs(record: SearchRecord) -> dict[str, float]:
    """Return the reference values of the hypervolume for the objectives that are known before training.

    A value is 1.1 times the largest cost of the space, or 1.1 times the budget if that is smaller. It depends only on
    the configuration of the search, so the progress bar, the page and a resumed search agree.

    Returns:
        Objective name ("flops", "params") -> value, for the objectives of the search. Empty for a record without a
        space.

    Raises:
        UserError: the space cannot be read, for example because it needs a plugin that is not installed here.
    """
    names = tuple(name for name in COSTS if name in record.objectives)
    if not names or not record.space:
        return {}
    largest = _largest_costs(json.dumps(dict(record.space)), record.input_size, record.classes, names)
    budget = {"flops": record.max_flops, "params": record.max_params}
    return {name: MARGIN * min(value, budget[name] or value) for name, value in largest.items()}


def known_reference(record: SearchRecord) -> tuple[dict[str, float] | None, str]:
    """Return the reference costs of a search and an empty text; or None and why they are unknown on this machine.

    Without them the hypervolume cannot be computed. A reference from the trials alone would give another number.
    """
    try:
        return reference_costs(record), ""
    except UserError as error:
        return None, f"its reference point needs the largest cost of the space; {error}"


@table_cache(maxsize=64)  # it takes tenths of a second, and the page needs it after every trial
def _largest_costs(
    space: str, input_size: tuple[int, int, int], classes: int, names: tuple[str, ...]
) -> dict[str, float]:
    largest = {}
    parsed = stored_space(json.loads(space))
    for index, name in enumerate(COSTS):
        if name in names:

            def one_cost(architecture: Architecture, index: int = index) -> float:
                return float(total_cost(simplified_for(architecture, input_size), input_size, classes)[index])

            largest[name] = one_cost(parsed.extreme(one_cost, largest=True)[0])
    return largest
