"""The contract of an operator: a frozen dataclass whose fields are its options.

An operator maps `width` channels to `width` channels inside a bottleneck block. Space files, architectures and the
search know it only by its name and its options. Everything else about an operator is in its own file:

    @dataclass(frozen=True)
    class Conv:
        family: ClassVar[Family] = "convolution"      # how charts group and colour it
        label: ClassVar[str] = "convolution"          # its name for people
        symbol: ClassVar[str] = "C"                   # its name where there is little room: a pattern such as CCAA
        kernel_size: int = 3                          # an option and its default
        def check(self, width): ...                   # raises ArchitectureError if an option is illegal
        def canonical(self, width, size=None): ...    # drops options without effect
        def cost(self, width, rows, cols, stride): ...    # parameters and MACs of its layers, in closed form
        def build(self, width, stride): ...           # the torch module; the only method that imports torch

A declaration does not import torch, so a space is validated and its costs are counted in milliseconds. Another package
adds an operator through the entry-point group `hybrid_search.operators`. `hybrid_search.testing.OperatorContract` tests
it against this contract.
"""

from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, get_args

from hybrid_search._internal.number_text import read_number
from hybrid_search.errors import ArchitectureError, HybridSearchError, PluginError, listed, nearest, shown

if TYPE_CHECKING:
    from torch import nn

__all__ = ["FAMILIES", "Family", "Layer", "Operator", "Options", "Value", "options_of", "stated_layers"]

Value = bool | int | float | str
Options = tuple[tuple[str, Value], ...]
Family = Literal["convolution", "attention", "other"]

FAMILIES: tuple[str, ...] = get_args(Family)
LONGEST_SYMBOL = 3
METHODS = ("check", "canonical", "cost", "build")
RESERVED = ("operator", "depth", "width", "stride", "kind", "variant")  # keys of a stage or a space beside the options


@dataclass(frozen=True)
class Layer:
    """The cost of one layer.

    Args:
        name: name of the module in the built network.
        kind: what the layer is, for tables: conv, linear, projection, attention or norm, or any other word.
        params: number of parameters.
        macs: multiply-accumulate operations for one image (FLOPs = 2 x MACs): those of convolutions, linear layers and
            the two products of attention. Norms, activations, pooling and additions have none.
        rows, cols: the map on which the layer works.
        formula: MACs per output pixel as arithmetic, for `hybrid-search cost --explain`.
    """

    name: str
    kind: str
    params: int
    macs: int
    rows: int
    cols: int
    formula: str = ""

    @property
    def flops(self) -> int:
        """FLOPs for one image: 2 x MACs."""
        return 2 * self.macs

    def within(self, prefix: str) -> "Layer":
        """Return the same layer under a longer name: `conv` within `stages.0.1` is `stages.0.1.conv`.

        Args:
            prefix: name of the module that contains the layer.
        """
        return Layer(f"{prefix}.{self.name}", self.kind, self.params, self.macs, self.rows, self.cols, self.formula)


class Operator(Protocol):
    """The methods and constants of every operator; the head of this file shows an example.

    An operator may have the attribute `can_change_channels`. If it is true, `cost` and `build` take an argument
    `channels`, the number of input channels where it is not the width.
    """

    family: ClassVar[Family]
    label: ClassVar[str]
    symbol: ClassVar[str]

    def check(self, width: int) -> None:
        """Raise ArchitectureError if an option is illegal at this width.

        Args:
            width: number of channels of the operator.
        """

    def canonical(self, width: int, size: tuple[int, int] | None = None) -> "Operator":
        """Return the same operator with every option that has no effect set to one value.

        If another built-in operator is the same one, this method may return that one.

        Args:
            width: number of channels.
            size: (rows, cols) of the largest map the operator works on; None while a space is read, which knows no
                image yet. With it, options that have no effect on this map are set to one value too, such as an extent
                that is larger than the map.
        """

    def cost(self, width: int, rows: int, cols: int, stride: int) -> list[Layer]:
        """Return the layers for an input map of rows x cols. Their names are those of the built module.

        Args:
            width: number of channels of input and output.
            rows, cols: size of the input map in pixels.
            stride: 1 to 4; the output map has ceil(rows / stride) x ceil(cols / stride) pixels.
        """

    def build(self, width: int, stride: int) -> "nn.Module":
        """Return the module: (batch, width, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride)).

        Args:
            width: number of channels of input and output.
            stride: 1 to 4.
        """


def stated_layers(thing: Any, *place: Any, **changed: int) -> list[Layer]:
    """Return what the method `cost` of an operator, a block or a stem returns, checked: a plugin may return anything.

    Args:
        thing: the operator, block or stem.
        place: the arguments of its `cost`.
        changed: its further arguments by name.

    Raises:
        PluginError: the method fails, or does not return a list of `Layer`.

    Example:
        >>> stated_layers(operator, 64, 14, 14, 1)[0].name
        'conv'
    """
    wanted = f"cost of {type(thing).__module__}.{type(thing).__qualname__} must return a list of Layer"
    try:
        layers = thing.cost(*place, **changed)
    except HybridSearchError:
        raise
    except Exception as error:  # the method of a plugin may raise anything
        raise PluginError(f"{wanted}; it raised {type(error).__name__}: {error}.") from error
    if not isinstance(layers, list | tuple) or not all(isinstance(layer, Layer) for layer in layers):
        raise PluginError(f"{wanted}; got {layers!r:.100}.")
    return list(layers)


def check_operator(name: str, thing: object) -> type[Any]:
    """Return the class that a plugin provides as the operator `name`.

    Raises:
        PluginError: the class breaks the contract; the message names the operator and the first fault.
    """
    kind = check_declaration("operator", name, thing)
    symbol = getattr(kind, "symbol", None)
    if not isinstance(symbol, str) or not 1 <= len(symbol) <= LONGEST_SYMBOL:
        law = f"must have a class constant symbol of 1 to {LONGEST_SYMBOL} characters"
        raise PluginError(f"operator {name!r} {law}; got {symbol!r}.")
    return kind


def check_declaration(table: str, name: str, thing: object) -> type[Any]:
    """Return a plugin's operator or stem class if it is a frozen dataclass with family, label and the methods.

    Args:
        table: "operator" or "stem", for the message.
        name: the name of the entry point.
        thing: the object that the entry point refers to.

    Raises:
        PluginError: the first fault.
    """

    def fault(law: str, got: object) -> PluginError:
        return PluginError(f"{table} {name!r} must {law}; got {got}.")

    if not isinstance(thing, type) or not is_dataclass(thing) or not thing.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise fault("be a frozen dataclass", repr(thing))
    missing = [method for method in METHODS if not callable(getattr(thing, method, None))]
    if missing:
        raise fault(f"have the methods {', '.join(METHODS)}", f"no {missing[0]}")
    family, label = getattr(thing, "family", None), getattr(thing, "label", None)
    if family not in FAMILIES:
        raise fault(f"have a class constant family, one of {', '.join(FAMILIES)}", repr(family))
    if not isinstance(label, str) or not label.strip() or "\n" in label:
        raise fault("have a class constant label of one line", repr(label))
    taken = [option for option in option_names(thing) if option in RESERVED and (table, option) not in STEM_FIELDS]
    if taken:
        raise fault(f"name no option {', '.join(RESERVED)}", repr(taken[0]))
    return thing


STEM_FIELDS = (("stem", "width"), ("stem", "stride"))  # a stem has these as options


def option_names(kind: type[Any]) -> list[str]:
    """Return the names of the options of an operator or stem class."""
    return [field.name for field in fields(kind)]


# The declared type of an option -> the type of its values. Annotations may be texts.
TYPES: dict[object, type] = {name: kind for kind in (bool, int, float, str) for name in (kind, kind.__name__)}
BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def declared_types(kind: type[Any]) -> dict[str, type]:
    """Return the declared type of each option of an operator or stem class, where it is bool, int, float or str."""
    found = {field.name: TYPES.get(field.type if field.default is MISSING else type(field.default))
             for field in fields(kind)}  # fmt: skip
    return {name: declared for name, declared in found.items() if declared is not None}


def as_declared(value: object, declared: type | None) -> object:
    """Return the value of an option in its declared type, if it is another way to write such a value.

    Args:
        value: the value of a file: `yes` for a bool, `1e3` or `1k` for an int.
        declared: bool, int, float or str; None if it is not known.

    Example:
        >>> as_declared("yes", bool), as_declared("1k", int), as_declared(4.0, int), as_declared("x", int)
        (True, 1000, 4, 'x')
    """
    if declared is bool and isinstance(value, str):
        return BOOLEANS.get(value.lower(), value)
    if declared in (int, float) and isinstance(value, str):
        number = read_number(value)
        value = value if number is None else number
    if declared is int and isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    return value


def options_of(value: Any) -> Options:
    """Return every option of an operator or stem with its value, in the order of declaration.

    Args:
        value: an operator or a stem.

    Example:
        >>> options_of(Conv(kernel_size=5))
        (('kernel_size', 5), ('groups', 1))
    """
    return tuple((field.name, getattr(value, field.name)) for field in fields(value))


def stored_options(kind: type[Any], options: Options) -> Options:
    """Return the options that an architecture stores: all but those of `added_options` that have their default.

    A class that gets an option in a later version names it in the class constant `added_options`. The digests of
    architectures that were stored before then stay the same.

    Args:
        kind: the class of an operator, a block or a stem.
        options: all its options.

    Example:
        >>> stored_options(Conv3x3Stem, options_of(Conv3x3Stem(width=8)))
        (('width', 8), ('stride', 1))
    """
    added = getattr(kind, "added_options", ())
    if not added:
        return options
    defaults = {field.name: field.default for field in fields(kind)}
    return tuple((name, value) for name, value in options if name not in added or value != defaults[name])


def shown_options(value: Any) -> list[str]:
    """Return `name=value` for the first option and for every other option that is not at its default."""
    shown = [field for i, field in enumerate(fields(value)) if i == 0 or getattr(value, field.name) != field.default]
    return [f"{field.name}={getattr(value, field.name)}" for field in shown]


def from_options(what: str, kind: type[Any], options: dict[str, Any]) -> Any:
    """Return an operator or stem with these options.

    Args:
        what: its name, for messages.
        kind: its class.
        options: option name -> value.

    Raises:
        ArchitectureError: an option is unknown, or one without a default is missing.
    """
    known = option_names(kind)
    for name in options:
        if name not in known:
            names = ", ".join(known) or "none"
            raise ArchitectureError(f"options of {what} are {names}; got {shown(name)}.{nearest(name, known)}")
    for field in fields(kind):
        if field.default is MISSING and field.name not in options:
            raise ArchitectureError(f"{what} needs the option {field.name}; got {listed(options)}.")
    try:
        return kind(**options)
    except HybridSearchError:
        raise
    except Exception as error:
        raise _cannot_check(what, options, error) from error


def check_options_of(what: str, checked: Any, *width: int) -> None:
    """Raise ArchitectureError if an option of an operator or stem is illegal.

    The check of a plugin may fail in another way, such as a comparison of a text with a number. This is a fault of the
    option too.

    Args:
        what: its name, for messages.
        checked: the operator or stem.
        width: the number of channels, for an operator.
    """
    try:
        checked.check(*width)
    except HybridSearchError:
        raise
    except Exception as error:
        raise _cannot_check(what, dict(options_of(checked)), error) from error


def _cannot_check(what: str, options: dict[str, Any], error: Exception) -> ArchitectureError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:100]
    got = listed(f"{name}={shown(value)}" for name, value in options.items())
    return ArchitectureError(f"options of {what} must be legal; got {got}. Its check failed: {reason}.")
