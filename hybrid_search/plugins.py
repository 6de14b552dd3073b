"""Tables: names to built-in entries and plugin entries.

A table looks in its literal entries first, so that nothing else is read when a built-in name is used. Other packages
add entries through the entry-point group of the same name:

    # pyproject.toml of another package
    [project.entry-points."hybrid_search.operators"]
    shift = "my_package.shift:Shift"

A program adds an object of its own, such as a class in a notebook, with `Table.register`:

    OPERATORS.register("shift", Shift)

A plugin is imported when its name is used, or when the whole table is shown. A plugin that cannot be imported is
reported once; only a search that uses it stops. A built-in entry hides a plugin of the same name. If two packages offer
one name, the first package by name is used.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from hybrid_search.errors import PluginError, UnknownName, UserError, one_of

if TYPE_CHECKING:
    from functools import _lru_cache_wrapper

__all__ = [
    "TABLES",
    "Plugin",
    "Table",
    "table_cache",
]

T = TypeVar("T")
NAME = re.compile(r"[^\W\d][\w.-]*")  # of a registered object
LOG = logging.getLogger("hybrid_search.plugins")


@dataclass(frozen=True)
class Plugin:
    """One entry that an installed package adds to a table, as `hybrid-search doctor` lists it.

    Attributes:
        table: the entry-point group.
        name: name of the entry.
        package: the package that adds it.
        version: its version.
        target: module:attribute.
        error: why it cannot be used; None if it works.
    """

    table: str
    name: str
    package: str
    version: str
    target: str
    error: str | None = None


class Table(Generic[T]):
    """Map names to things of one kind: operators, stems, data sets, samplers and so on.

    Arguments:
        kind: what one entry is, in the singular, for error messages: "operator".
        group: the entry-point group, "hybrid_search.operators".
        entries: the literal table. A value that is a string "module:attribute" (or "module") is imported on first use.
        check: called with a plugin's name and object; returns the entry, or raises UserError if it is unusable.
        error: the class of the error for an unknown name.
        registers: whether `register` adds objects; a table without it has functions that take the object itself.

    Example:
        >>> OPERATORS = Table("operator", "hybrid_search.operators", {"conv": Conv})
        >>> OPERATORS["conv"]
    """

    def __init__(
        self,
        kind: str,
        group: str,
        entries: Mapping[str, T | str],
        *,
        check: Callable[[str, object], T] | None = None,
        error: type[UserError] = UnknownName,
        registers: bool = False,
    ) -> None:
        self.kind = kind
        self.group = group
        self._entries = dict(entries)
        self._check = check
        self._error = error
        self._registers = registers
        self._registered: dict[str, T] = {}
        self._loaded: dict[str, T] = {}
        self._reported: set[str] = set()
        TABLES[group] = cast("Table[object]", self)

    def __getitem__(self, name: str) -> T:
        """Return the entry of this name.

        Raises:
            UserError: the name is unknown (the message lists the known names), or its plugin cannot be used.
        """
        if name in self._registered:
            return self._registered[name]
        if name in self._loaded:
            return self._loaded[name]
        if name in self._entries:
            self._loaded[name] = self._built_in(name)
        else:
            one_of(self.kind, name, self.names(), self._error)
            self._loaded[name] = self._plugin(name)
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._points or name in self._registered

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def names(self) -> list[str]:
        """Return every name, built-in names first. No plugin is imported."""
        return [*self._entries, *(name for name in self._points if name not in self._registered), *self._registered]

    def register(self, name: str, entry: T) -> T:
        """Add an object of this program under a name, until the process ends.

        The worker processes of a search get the object too. The class or function that replaces another one of its own
        module and name, as a cell of a notebook that is run again does, takes its place.

        Args:
            name: the name in space files and settings: letters, digits, `_`, `.` and `-`.
            entry: the object; what it must be is that of an entry point of this table.

        Returns:
            The object.

        Raises:
            PluginError: the name is taken, the object breaks the contract of the table, or the table takes no names.

        Example:
            >>> OPERATORS.register("shift", Shift)
        """
        if not self._registers:
            raise PluginError(f"{self.kind} objects have no registered names; got {name!r}. Pass the object itself.")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            law = "must be a letter, then letters, digits, '_', '.' or '-'"
            raise PluginError(f"the name of a registered {self.kind} {law}; got {name!r}.")
        if name in self._entries or name in self._points:
            package = self.package_of(name)
            owner = f"the package {package[0]}" if package else "hybrid_search itself"
            raise PluginError(f"a registered {self.kind} must have a new name; got {name!r}, which {owner} provides.")
        before = self._registered.get(name)
        if before is not None and _origin(before) != _origin(entry):
            owner = f"the {self.kind} {_origin(before)} of this program"
            raise PluginError(f"a registered {self.kind} must have a new name; got {name!r}, which {owner} has.")
        checked = self._check(name, entry) if self._check else entry
        if checked is not before:
            self._registered[name] = checked
            for clear in _CLEARED:
                clear()
        return checked

    def registered(self) -> dict[str, T]:
        """Return the objects of this program by name."""
        return dict(self._registered)

    def is_built_in(self, name: str) -> bool:
        """Return whether the package itself provides this name.

        Args:
            name: any name.
        """
        return name in self._entries

    def stored(self, name: object, package: str = "") -> T:
        """Return the entry of a name that a ledger or an exported model holds, which was an entry where it was written.

        Args:
            name: the stored name.
            package: package and version of its plugin, if they were stored with the name.

        Raises:
            PluginError: no package with this entry is installed here, or its plugin cannot be used.
            UserError: the name is no text.
        """
        if isinstance(name, str) and name not in self:
            whose = f"the plugin {package}, which" if package else "a plugin that"
            other = ", or from an object that is not registered here" if self._registers and not package else ""
            raise PluginError(f"{self.kind} {name!r} comes from {whose} is not installed here{other}.")
        return self[cast("str", name)]

    def package_of(self, name: str) -> tuple[str, str] | None:
        """Return the package of a plugin and its version; None for a built-in entry and an unknown name.

        Args:
            name: any name.
        """
        known = name in self._points and name not in self._entries and name not in self._registered
        return _distribution(self._points[name]) if known else None

    def usable(self) -> dict[str, T]:
        """Return every entry that can be used. A broken plugin is left out and reported once as a warning."""
        found: dict[str, T] = {}
        for name in self.names():
            try:
                found[name] = self[name]
            except PluginError as error:
                if name not in self._reported:
                    self._reported.add(name)
                    LOG.warning("%s", error)
        return found

    def plugins(self) -> list[Plugin]:
        """Return the plugins of this table with package, version and, for one that is broken or hidden, the error."""
        found = []
        for point in self._offered():
            error = self._why_hidden(point)
            if error is None:
                try:
                    self[point.name]
                except PluginError as failed:
                    error = str(failed)
            package, version = _distribution(point)
            found.append(Plugin(self.group, point.name, package, version, point.value, error))
        return found

    @cached_property
    def _points(self) -> dict[str, EntryPoint]:
        points: dict[str, EntryPoint] = {}
        for point in self._offered():
            if point.name not in self._entries:
                points.setdefault(point.name, point)
        return points

    def _offered(self) -> list[EntryPoint]:
        """Return the entry points of all packages for this table; the first one of a name is used."""
        return sorted(entry_points(group=self.group), key=lambda point: (*_distribution(point), point.value))

    def _why_hidden(self, point: EntryPoint) -> str | None:
        """Return why another entry of this name is used instead of this plugin; None if this plugin is used."""
        if point.name in self._entries:
            return "hidden by the built-in entry of this name"
        used = self._points[point.name]
        if (_distribution(used), used.value) != (_distribution(point), point.value):
            return f"hidden by the entry of this name of the package {_distribution(used)[0]}"
        return None

    def _built_in(self, name: str) -> T:
        entry = self._entries[name]
        if not isinstance(entry, str):
            return entry
        module, _, attribute = entry.partition(":")
        loaded = import_module(module)
        return cast("T", getattr(loaded, attribute) if attribute else loaded)

    def _plugin(self, name: str) -> T:
        point = self._points[name]
        package, version = _distribution(point)
        try:
            thing = point.load()
            return self._check(name, thing) if self._check else cast("T", thing)
        except (Exception, SystemExit) as error:  # a plugin may raise anything, or call sys.exit, while it is imported
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise PluginError(
                f"{self.kind} {name!r} comes from the package {package} {version}, which cannot be used "
                f"({type(error).__name__}: {reason}). Repair or uninstall {package}."
            ) from error


# group -> table. Filled as the modules of the tables are imported; `hybrid-search doctor` imports all of them.
TABLES: dict[str, Table[object]] = {}


# What empties a cache whose values depend on the entry of a name.
_CLEARED: list[Callable[[], None]] = []


def table_cache(maxsize: int) -> "Callable[[Callable[..., T]], _lru_cache_wrapper[T]]":
    """Return `functools.lru_cache` for a function of names of tables: a new registered object empties the cache.

    Args:
        maxsize: largest number of kept results.

    Returns:
        The decorator.
    """

    def decorate(function: Callable[..., T]) -> "_lru_cache_wrapper[T]":
        cached = lru_cache(maxsize=maxsize)(function)
        _CLEARED.append(cached.cache_clear)
        return cached

    return decorate


def _origin(thing: object) -> str:
    """Return module and name of a class or function, or those of the class of an object."""
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{named.__module__}.{getattr(named, '__qualname__', '')}"


def _distribution(point: EntryPoint) -> tuple[str, str]:
    """Return the name and version of the package that an entry point belongs to."""
    return (point.dist.name, point.dist.version) if point.dist is not None else ("unknown", "unknown")
