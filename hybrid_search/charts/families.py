"""The family, label and symbol of an operator, as the operator itself declares them.

An operator whose plugin is not installed belongs to the family "other" and is shown under its name.
"""

from typing import NamedTuple

from hybrid_search.charts.theme import Theme
from hybrid_search.errors import UserError
from hybrid_search.ops import FAMILIES, OPERATORS, Family
from hybrid_search.plugins import table_cache


class OperatorLook(NamedTuple):
    """The look of one operator in charts: `label` for people, `symbol` for one-line architectures."""

    family: Family
    label: str
    symbol: str


@table_cache(maxsize=256)
def look_of(operator: str) -> OperatorLook:
    """Return the family, label and symbol of an operator.

    Args:
        operator: its name in an architecture. A name that no installed package provides is allowed.

    Returns:
        What the operator declares; for an unknown or broken operator the family "other" and its name.
    """
    try:
        declared = OPERATORS[operator]
    except UserError:
        return OperatorLook("other", operator, operator)
    return OperatorLook(declared.family, declared.label, declared.symbol)


def family_of(operator: str) -> Family:
    """Return the family of an operator: convolution, attention or other."""
    return look_of(operator).family


def label_of(operator: str) -> str:
    """Return the name of an operator for people: `local attention`."""
    return look_of(operator).label


def family_colour(family: str, theme: Theme) -> str:
    """Return the colour of a family; the neutral colour for what is no operator, such as a stem."""
    return str(getattr(theme, family)) if family in FAMILIES else theme.neutral


def count_repeated_operators(operators: tuple[str, ...] | list[str]) -> list[str]:
    """Return the labels of a network's operators with repetitions counted: `convolution`, `3 x local attention`."""
    counted: list[tuple[str, int]] = []
    for operator in operators:
        label = label_of(operator)
        if counted and counted[-1][0] == label:
            counted[-1] = (label, counted[-1][1] + 1)
        else:
            counted.append((label, 1))
    return [label if count == 1 else f"{count} x {label}" for label, count in counted]
