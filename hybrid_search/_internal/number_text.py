"""Numbers as people write them: `1e-3`, `40M`, `0.5k`, `1_000`. Space files, `--set` and options share this parser."""

import math
import re
from numbers import Integral

from hybrid_search.errors import SettingsError, UserError, shown

POWERS = {"": 0, "k": 3, "K": 3, "M": 6, "G": 9, "B": 9, "T": 12}  # suffix -> power of ten
LONGEST_NUMBER = 400  # characters
LARGEST_POWER = 400  # of ten; a float ends at 308
FAR = 10_000  # a message names an upper bound from here up only if the value is beyond it

DECIMAL = re.compile(
    r"""(?P<sign>[+-]?)
    (?P<digits>(?:0|[1-9]\d*(?:_\d+)*)(?:\.(?:\d+(?:_\d+)*)?)?|\.\d+)   # 3, 1_000, 0.5, 3., .5; not 010
    (?:[eE](?P<power>[+-]?\d{1,9}))?
    [ ]?(?P<suffix>[kKMGBT]?)""",
    re.VERBOSE | re.ASCII,
)
OTHER_BASE = re.compile(r"[+-]?0(?:x[0-9a-fA-F_]+|o[0-7_]+|b[01_]+)", re.ASCII)
NOT_FINITE = {"nan": math.nan, "inf": math.inf, "infinity": math.inf}


def read_number(text: str) -> int | float | None:
    """Return the number of a text; None if it is not a number.

    Args:
        text: a decimal number with an optional exponent and an optional suffix k, M, G (or B), T; or 0x1F, 0o17, 0b11.
            A number that begins with 0, such as 010, is none: YAML 1.1 reads it as octal 8.

    Returns:
        An int if the value is integral, unless the text has a decimal point and neither exponent nor suffix. A value
        beyond the largest float is infinite.

    Example:
        >>> [read_number(text) for text in ("1e-3", "40M", "0.5k", "1_000", "2.0", "1,5")]
        [0.001, 40000000, 500, 1000, 2.0, None]
    """
    text = text.strip()
    if len(text) > LONGEST_NUMBER:
        return None
    plain = text.lower().lstrip("+-").removeprefix(".")
    if plain in NOT_FINITE:
        return -NOT_FINITE[plain] if text.startswith("-") else NOT_FINITE[plain]
    if OTHER_BASE.fullmatch(text):
        try:
            return int(text, 0)
        except ValueError:  # an underscore at the wrong place
            return None
    found = DECIMAL.fullmatch(text)
    if found is None:
        return None
    digits, power, suffix = found["digits"].replace("_", ""), found["power"], found["suffix"]
    if power is None and not suffix:
        return float(found["sign"] + digits) if "." in digits else int(found["sign"] + digits)
    return _scaled(found["sign"] + digits, int(power or 0) + POWERS[suffix])


def _scaled(digits: str, power: int) -> int | float | None:
    """Return digits x 10^power: an int if it is integral and below 2^63, None if it is too small for a float."""
    from fractions import Fraction

    if abs(power) <= LARGEST_POWER:
        exact = Fraction(f"{digits}e{power}")
        if exact.denominator == 1 and abs(exact) < 2**63:
            return int(exact)
    value = float(f"{digits}e{power}")
    return None if value == 0 and float(digits) != 0 else value


def whole_number(
    what: str, value: object, least: int | None = None, most: int | None = None, error: type[UserError] = SettingsError
) -> int:
    """Return a whole number that is given as a number or as text.

    Args:
        what: its name, the first words of the message.
        value: an int, a float without fraction, or a text of `read_number`.
        least, most: the smallest and the largest possible value; None: no bound.
        error: class of the error.

    Raises:
        UserError: it is not a whole number, or it is out of range.

    Example:
        >>> whole_number("trials", "1e2", least=1)
        100
    """
    number = read_number(value) if isinstance(value, str) else value
    if isinstance(number, Integral) and not isinstance(number, bool):
        number = int(number)  # an integer of NumPy
    if isinstance(number, float) and math.isfinite(number) and number.is_integer() and abs(number) < 2**63:
        number = int(number)
    found = number if isinstance(number, int) and not isinstance(number, bool) else None
    above = found is not None and most is not None and found > most
    if found is None or above or (least is not None and found < least):
        shown_most = most if above or (most is not None and most < FAR) else None
        law = f"{what} must be a whole number{_range(least, shown_most)}"
        raise error(f"{law}; got {shown(value)}.{_possible(value, 'k', whole=True)}")
    return found


def real_number(
    what: str,
    value: object,
    least: float | None = None,
    most: float | None = None,
    error: type[UserError] = SettingsError,
) -> float:
    """Return a finite number that is given as a number or as text.

    Args:
        what: its name, the first words of the message.
        value: an int, a float, or a text of `read_number`.
        least, most: the smallest and the largest possible value; None: no bound.
        error: class of the error.

    Raises:
        UserError: it is not a number, it is NaN or infinite, or it is out of range.

    Example:
        >>> real_number("learning_rate", "1e-3", 0, 100)
        0.001
    """
    number = read_number(value) if isinstance(value, str) else value
    try:
        wrong = isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number)
        result = math.nan if wrong else float(number)  # type: ignore[arg-type]
    except OverflowError:  # an int beyond the largest float
        result = math.nan
    low = least is not None and result < least
    if math.isnan(result) or low or (most is not None and result > most):
        finite = "finite " if isinstance(number, float) and not math.isfinite(number) else ""
        raise error(f"{what} must be a {finite}number{_range(least, most)}; got {shown(value)}.{_possible(value, 'M')}")
    return result


def _range(least: float | None, most: float | None) -> str:
    low, high = (None if bound is None else f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"
                 for bound in (least, most))  # fmt: skip
    if low is None:
        return "" if high is None else f" up to {high}"
    return f" from {low} up" if high is None else f" from {low} to {high}"


def _possible(value: object, suffix: str, *, whole: bool = False) -> str:
    """Return how a text that is not a number can be written as one; "" if it is a number or no text."""
    if not isinstance(value, str) or not any(letter.isdigit() for letter in value):
        return ""
    text = value.strip()
    if re.fullmatch(r"[+-]?\d{1,3}(?:[, ]\d{3})+", text):
        return f" Use {re.sub('[, ]', '', text)}."
    percent = read_number(text.removesuffix("%")) if text.endswith("%") and not whole else None
    if percent is not None:
        return f" Use {percent / 100:g}."
    for wrong, right in ((",", "."), ("m", "M"), ("g", "G"), ("t", "T"), ("b", "B")):
        if whole and (wrong, right) == (",", "."):
            continue
        if wrong in text and len(text) < 20 and read_number(text.replace(wrong, right)) is not None:
            return f" Use {text.replace(wrong, right)}."
    bare = text.lstrip("0") or "0"
    if text != bare and read_number(bare) is not None and len(text) < 20:
        return f" Use {bare}: a number that begins with 0 is octal in some files."
    if read_number(text) is None:
        return f" Possible forms: 1000, 1_000, 1e3, 1{suffix}."
    return ""
