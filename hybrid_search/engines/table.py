"""ENGINES, the table of engines. It loads no engine until one is used.

Another package adds an engine through the entry-point group `hybrid_search.engines`:

    [project.entry-points."hybrid_search.engines"]
    slurm = "my_package.slurm_engine"
"""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, cast

from hybrid_search.errors import PluginError, SettingsError
from hybrid_search.plugins import Table

if TYPE_CHECKING:
    from hybrid_search.engines.driver import RunContext, TrialSource


class Engine(Protocol):
    """A module or an object that runs the trials of a search.

    Example:
        >>> run(space, trials=20, resources=Resources(engine=MyEngine()))
    """

    def ready(self, context: "RunContext") -> AbstractContextManager[None]:
        """Return a context manager that holds what `drive` needs, such as a connection to a cluster.

        Args:
            context: The context of this run.

        Raises:
            SettingsError: This engine cannot use these resources. Nothing is written in that case.
        """
        ...

    def drive(self, search: "TrialSource", context: "RunContext") -> None:
        """Run trials until the search has none left, or until `context.stop` is set.

        Args:
            search: A search, a confirmation or baselines.
            context: The context of this run.
        """
        ...


def _checked(name: str, thing: object) -> Engine:
    """Return a plugin as an engine; raise PluginError if it has no `ready` and `drive`."""
    missing = _missing(thing)
    if missing:
        raise PluginError(f"an engine must have the functions ready and drive; {name} has no {missing}.")
    return cast("Engine", thing)


def _missing(thing: object) -> str:
    return " and no ".join(name for name in ("ready", "drive") if not callable(getattr(thing, name, None)))


ENGINES: Table[Engine] = Table(
    "engine",
    "hybrid_search.engines",
    {
        "local": "hybrid_search.engines.local",
        "ray": "hybrid_search.engines.ray",
        "tune": "hybrid_search.engines.tune",
    },
    check=_checked,
)


def engine_of(engine: object) -> Engine:
    """Return the engine of this name, or the object itself if it is an engine.

    Args:
        engine: A name in ENGINES, or an object with `ready(context)` and `drive(search, context)`.

    Returns:
        The engine.

    Raises:
        UnknownName: No engine has this name.
        SettingsError: The object is not an engine, or it is a class.
    """
    if isinstance(engine, str):
        return ENGINES[engine]
    if isinstance(engine, type):
        raise SettingsError(
            f"engine must be a name or an object; got the class {engine.__name__}. Use engine={engine.__name__}()."
        )
    if missing := _missing(engine):
        raise SettingsError(
            f"engine must be one of {', '.join(ENGINES)}, or an object with ready and drive; got a "
            f"{type(engine).__name__}, which has no {missing}."
        )
    return cast("Engine", engine)


def engine_name(engine: object) -> str:
    """Return the name of an engine for the log: the name itself, or the class of an object.

    Args:
        engine: A name, or an engine.
    """
    return engine if isinstance(engine, str) else getattr(engine, "__name__", type(engine).__name__).rpartition(".")[2]
