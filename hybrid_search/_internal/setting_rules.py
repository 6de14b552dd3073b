"""The rules of the training settings: their possible values. `Settings` and `run --help` use this table."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any, Protocol, TypeVar

from hybrid_search._internal.number_text import real_number, whole_number
from hybrid_search._internal.recipes import OPTIMIZERS, RECIPES
from hybrid_search.errors import MOST, SettingsError, nearest, one_of, shown

T = TypeVar("T")

AUGMENTS = ("none", "shift", "shift+flip", "crop", "crop+flip")
CACHES = ("disk", "none")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")

NOTHING = ("", "none", "null", "all")  # texts for a number that is not set
DEVICE = re.compile(r"auto|cpu|cuda(?::\d{1,4})?", re.ASCII)
BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Rule(Protocol):
    """The rule of one setting: its possible values."""

    def read(self, name: str, value: object) -> object:
        """Return the value in its stored form. Raise SettingsError if it is not possible."""

    def possible(self) -> str:
        """Return the possible values in words, for `--help`."""


@dataclass(frozen=True)
class Whole:
    """A whole number, or None if `optional`."""

    least: int
    most: int
    optional: bool = False

    def read(self, name: str, value: object) -> int | None:
        """Return the number; text such as `1e3` or `10k` is one."""
        if self.optional and (value is None or (isinstance(value, str) and value.strip().lower() in NOTHING)):
            return None
        return whole_number(name, value, self.least, self.most)

    def possible(self) -> str:
        """Return the range."""
        return f"a whole number from {self.least} up"


@dataclass(frozen=True)
class Real:
    """A finite number."""

    least: float
    most: float

    def read(self, name: str, value: object) -> float:
        """Return the number as a float: 0 and 0.0 are one setting, and have one digest."""
        return real_number(name, value, self.least, self.most)

    def possible(self) -> str:
        """Return the range."""
        return f"from {self.least:g} up" if self.most >= MOST else f"{self.least:g} to {self.most:g}"


@dataclass(frozen=True)
class Word:
    """One of several words."""

    words: tuple[str, ...]

    def read(self, name: str, value: object) -> str:
        """Return the word."""
        one_of(name, value, self.words, SettingsError)
        return str(value)

    def possible(self) -> str:
        """Return the words."""
        return ", ".join(self.words)


@dataclass(frozen=True)
class Text:
    """Any text, or None if `optional`."""

    optional: bool = False

    def read(self, name: str, value: object) -> str | None:
        """Return the text."""
        if value is None and self.optional:
            return None
        if not isinstance(value, str):
            raise SettingsError(f"{name} must be text; got {shown(value)}.")
        return value

    def possible(self) -> str:
        """Return no words: any text is possible."""
        return ""


@dataclass(frozen=True)
class Device:
    """A device of torch. Whether this machine has it is checked where a network is trained."""

    def read(self, name: str, value: object) -> str:
        """Return the name of the device."""
        if not isinstance(value, str):
            raise SettingsError(f"{name} must be text; got {shown(value)}.")
        if not DEVICE.fullmatch(value):
            raise SettingsError(f"{name} must be one of {self.possible()}; got {shown(value)}.")
        return value

    def possible(self) -> str:
        """Return the names."""
        return "auto, cpu, cuda, cuda:N"


@dataclass(frozen=True)
class YesNo:
    """True or false; yes, no, on and off are the same in a file or on the command line. Or a further word."""

    more: tuple[str, ...] = ()

    def read(self, name: str, value: object) -> bool | str:
        """Return the value as a bool, or one of the further words."""
        word = value.strip().lower() if isinstance(value, str) else value
        found = BOOLEANS.get(word) if isinstance(word, str) else word
        if isinstance(word, str) and word in self.more:
            return word
        if not isinstance(found, bool):
            *first, last = "true", "false", *self.more
            raise SettingsError(f"{name} must be {', '.join(first)} or {last}; got {shown(value)}.")
        return found

    def possible(self) -> str:
        """Return the words; none if the default is one of two values."""
        return ", ".join(["true", "false", *self.more]) if self.more else ""


RULES: Mapping[str, Rule] = {
    "data": Text(),
    "data_dir": Text(optional=True),
    "image_size": Whole(1, 100_000, optional=True),
    "train_images": Whole(1, 10**12, optional=True),
    "validation_images": Whole(1, 10**12, optional=True),
    "epochs": Whole(1, MOST),
    "batch_size": Whole(1, MOST),
    "recipe": Word(tuple(RECIPES)),
    "optimizer": Word(tuple(OPTIMIZERS)),
    "learning_rate": Real(0, 100),
    "weight_decay": Real(0, 100),
    "warmup_epochs": Real(0, MOST),
    "label_smoothing": Real(0, 1),
    "ema": Real(0, 1),
    "augment": Word(AUGMENTS),
    "crop_area": Real(0.01, 1),
    "trivial_augment": Real(0, 1),
    "random_erasing": Real(0, 1),
    "stochastic_depth": Real(0, 0.9),
    "mixup": Real(0, 10),
    "cutmix": Real(0, 10),
    "accumulate": Whole(1, 10_000),
    "clip": Real(0, MOST),
    "distillation": Real(0, 1),
    "compile": YesNo(("auto",)),
    "precision": Word(PRECISIONS),
    "device": Device(),
    "threads": Whole(1, 10_000),
    "seed": Whole(0, 2**63 - 1),
    "split_seed": Whole(0, 2**63 - 1),
    "drop_duplicates": YesNo(),
    "ignore_test": YesNo(),
    "max_image_pixels": Whole(1, 10**12, optional=True),
    "stored_size": Whole(1, 100_000, optional=True),
    "cache": Word(CACHES),
    "image_column": Text(optional=True),
    "label_column": Text(optional=True),
}

# Settings that came later than the first searches. At their defaults they are neither stored nor part of the digest.
ADDED: Mapping[str, Any] = {
    "drop_duplicates": False,
    "ignore_test": False,
    "max_image_pixels": None,
    "stochastic_depth": 0.0,
    "crop_area": 0.25,
    "trivial_augment": 0.0,
    "random_erasing": 0.0,
    "stored_size": None,
    "cache": "disk",
    "image_column": None,
    "label_column": None,
    "mixup": 0.0,
    "cutmix": 0.0,
    "accumulate": 1,
    "clip": 2.0,
    "distillation": 0.5,
    "compile": False,
}


def known_names(what: str) -> Callable[[type[T]], type[T]]:
    """Return a decorator of a dataclass: an unknown argument raises SettingsError and names the nearest known one.

    Args:
        what: the fields in the plural, the first word of the message.
    """

    def decorate(kind: type[T]) -> type[T]:
        plain_init = kind.__init__

        @wraps(plain_init)
        def init(self: T, *values: Any, **named: Any) -> None:
            known = [each.name for each in fields(kind)]  # type: ignore[arg-type]
            for name in named:
                if name not in known:
                    possible = nearest(name, known) or f" They are {', '.join(known)}."
                    raise SettingsError(f"{what} must have known names; got {shown(name)}.{possible}")
            plain_init(self, *values, **named)

        del init.__wrapped__  # generated code: it has no source file
        init.__signature__ = inspect.signature(plain_init)  # type: ignore[attr-defined]
        kind.__init__ = init  # type: ignore[method-assign, assignment]
        return kind

    return decorate
