"""Check what an evaluation returns or yields, and convert it to reports."""

import inspect
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from hybrid_search.records import NAME, RETRIES, Failure, Report

MAX_RUNG = 2**31 - 1  # the largest number that the column of the ledger takes
USE_YIELD = "Write `yield` in the place of `return`"


def iterator_of(returned: Any) -> Iterator[Any]:
    """Return an iterator over the reports of an evaluation.

    Args:
        returned: What the call of the evaluation returned: a generator, or a list of reports.

    Raises:
        TypeError: It is something else, such as the mapping of a function that returns instead of yielding.
    """
    if inspect.iscoroutine(returned) or inspect.isasyncgen(returned):
        if inspect.iscoroutine(returned):
            returned.close()  # otherwise Python warns that it was never awaited
        raise TypeError("evaluate must be a plain generator function; it is an async function. Use def and yield.")
    several = isinstance(returned, Iterable) and not isinstance(returned, Mapping | str | bytes)
    if isinstance(returned, list | tuple):
        several = all(isinstance(one, Mapping | Report) for one in returned)
    if not several or getattr(returned, "shape", None) is not None:  # arrays, tensors and tables are results
        raise TypeError(
            f"evaluate must yield a mapping of numbers after each rung; it returned {_with_article(returned)}. "
            f"{USE_YIELD}."
        )
    return iter(returned)


def report_of(yielded: Any, newest: Report) -> Report:
    """Return what an evaluation yielded as a report.

    Args:
        yielded: A `Report`, or a mapping of name to number.
        newest: The report before, for the number of the rung.

    Raises:
        TypeError, ValueError: It is neither, or a part of it cannot be used.
    """
    if isinstance(yielded, Report):
        return _checked(yielded)
    if not isinstance(yielded, Mapping):
        raise TypeError(
            f"an evaluation must yield a mapping of numbers per rung; got {_with_article(yielded)}: {_short(yielded)}."
        )
    if not yielded:
        raise ValueError("a report must have at least one measurement; got an empty mapping.")
    return Report(newest.rung + 1, numbers_of(yielded))


def _checked(report: Report) -> Report:
    if not isinstance(report.measurements, Mapping):
        raise TypeError(
            f"the measurements of a report must be a mapping of numbers; got {_short(report.measurements)}."
        )
    rung = report.rung
    if isinstance(rung, bool) or not isinstance(rung, int) or not 0 <= rung <= MAX_RUNG:
        raise TypeError(f"the rung of a report must be a whole number from 0 up; got {_short(rung)}.")
    failure = report.failure
    if failure is not None:
        if not isinstance(failure, Failure) or not isinstance(failure.text, str):
            raise TypeError(f"the failure of a report must be a Failure with a text; got {_short(failure)}.")
        if failure.kind not in RETRIES:
            raise ValueError(f"a failure must be one of {', '.join(RETRIES)}; got {failure.kind!r:.200}.")
    if not isinstance(report.weights, bytes | None):
        raise TypeError(f"the weights of a report must be bytes or None; got {_with_article(report.weights)}.")
    measurements = numbers_of(report.measurements)
    return replace(
        report, measurements=measurements, facts=_facts(report.facts), last=bool(report.last) or failure is not None
    )


def _facts(facts: Any) -> dict[str, str]:
    """Return facts as they can be stored; raise TypeError unless they map names to texts."""
    if not isinstance(facts, Mapping):
        raise TypeError(f"the facts of a report must be a mapping of text; got {_with_article(facts)}.")
    for name, value in facts.items():
        if not _is_name(name) or not isinstance(value, str):
            raise TypeError(f"the facts of a report must map names to text; got {_short(name)}: {_short(value)}.")
    return {str.__str__(name): str.__str__(value) for name, value in facts.items()}  # of no class of the user


def numbers_of(measurements: Mapping[Any, Any]) -> dict[str, float]:
    """Return measurements as floats. Numbers of numpy and tensors without dimensions are numbers.

    Raises:
        TypeError, ValueError: A name cannot be used, or a value is no number.
    """
    numbers = {}
    for name, value in measurements.items():
        if not isinstance(name, str) or not 0 < len(name) <= NAME:
            raise ValueError(f"a measurement needs a name of 1 to {NAME} characters; got {_short(name)}.")
        if not _is_name(name):
            raise ValueError(f"the name of a measurement must have characters that can be printed; got {name!r}.")
        numbers[str.__str__(name)] = _number(name, value)
    return numbers


def _number(name: str, value: Any) -> float:
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):  # of numpy and of torch, whose shape is a tuple too
        if shape != ():
            raise TypeError(
                f"a measurement must be a number; got {name} = {_with_article(value)} of shape {tuple(shape)}. Use "
                "one of its values, or its mean."
            )
        value = value.item()
    if isinstance(value, str | bytes):
        raise TypeError(f"a measurement must be a number; got {name} = {_short(value)}, which is text. Use float(...).")
    if isinstance(value, bool | complex) or value is None:
        raise TypeError(f"a measurement must be a number; got {name} = {_short(value)}.")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"a measurement must fit a float; got {name} = {_short(value)}.") from None
    except (TypeError, ValueError):
        raise TypeError(f"a measurement must be a number; got {name} = {_short(value)}.") from None


def _is_name(name: Any) -> bool:
    """Return whether a database can store a text as a name."""
    plain = isinstance(name, str) and 0 < len(name) <= NAME
    return plain and not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name)


def _with_article(value: object) -> str:
    """Return `a dict`, `an int` or `None`."""
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _short(value: object) -> str:
    """Return the text of a value, cut after 200 characters."""
    try:
        return repr(value)[:200]
    except BaseException:  # code of the user, or a whole number with too many digits
        return _with_article(value)
