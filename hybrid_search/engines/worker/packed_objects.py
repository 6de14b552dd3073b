"""PackedObjects: the registered operators, blocks, stems, data sets and formats of a program, for another process."""

import pickle
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module

from hybrid_search._internal.exception_text import message_of
from hybrid_search.errors import PluginError
from hybrid_search.plugins import TABLES

# group -> the module that fills its table. A process that registers nothing imports none of them for this.
WORKER_TABLES = {
    "hybrid_search.operators": "hybrid_search.ops",
    "hybrid_search.blocks": "hybrid_search.networks.blocks",
    "hybrid_search.stems": "hybrid_search.networks.stems",
    "hybrid_search.datasets": "hybrid_search.data",
}
EXPORT_TABLES = {**WORKER_TABLES, "hybrid_search.export_formats": "hybrid_search.export.formats"}


@dataclass(frozen=True)
class PackedObjects:
    """Registered objects as bytes.

    Attributes:
        content: (group, name, pickled object) of each.
    """

    content: tuple[tuple[str, str, bytes], ...] = ()

    @classmethod
    def of_process(cls, groups: Iterable[str] = tuple(WORKER_TABLES)) -> "PackedObjects":
        """Return the objects that this process has registered.

        Args:
            groups: The entry-point groups of the tables.

        Raises:
            PluginError: An object cannot be pickled. The message names it.
        """
        objects = [(TABLES[group], name) for group in groups if group in TABLES for name in TABLES[group].registered()]
        if not objects:
            return cls()
        from ray import cloudpickle

        packed = []
        for table, name in objects:
            try:
                packed.append((table.group, name, cloudpickle.dumps(table[name])))  # type: ignore[no-untyped-call]
            except Exception as error:  # of any class: pickling runs code of the objects
                raise PluginError(
                    f"a registered {table.kind} must be sent to worker processes, so all of it must be pickled; got "
                    f"{name!r}: {message_of(error)}. Create it inside its methods, or use engine local."
                ) from error
        return cls(tuple(packed))

    def to_bytes(self) -> bytes:
        """Return the objects as the content of a file."""
        return pickle.dumps(self.content)

    @classmethod
    def from_bytes(cls, content: bytes) -> "PackedObjects":
        """Return the objects of a file that another process of the same command wrote."""
        return cls(pickle.loads(content))  # noqa: S301

    def register(self) -> None:
        """Register the objects in this process.

        Raises:
            PluginError: An object cannot be imported here, or its name is taken.
        """
        for group, name, content in self.content:
            import_module(EXPORT_TABLES[group])
            table = TABLES[group]
            try:
                entry = pickle.loads(content)  # noqa: S301  (the driver of this search wrote it)
            except (Exception, SystemExit) as error:
                raise PluginError(
                    f"a registered {table.kind} must be importable in other processes; {name!r} is not: "
                    f"{type(error).__name__}: {message_of(error)}. Put its module beside your script, or install it."
                ) from error
            table.register(name, entry)
