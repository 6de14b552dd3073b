"""`hybrid-search doctor`: devices, kernels, database, packages and plugins of this machine."""

import os
import platform
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_search._internal.process_limits import allowed_cpus, memory_limit
from hybrid_search.cli.help_page import HelpCommand
from hybrid_search.cli.options import Database, FormatOption
from hybrid_search.cli.output import Format, print_rows
from hybrid_search.errors import HybridSearchError, LedgerAway, LedgerError

if TYPE_CHECKING:
    from hybrid_search.plugins import Plugin

PACKAGES = ("torch", "optuna", "ray", "sqlalchemy", "psycopg", "timm", "dash", "plotly", "torchvision")
MAX_NAMES = 8  # searches that are named

# Modules whose import fills `plugins.TABLES`.
TABLE_MODULES = (
    "hybrid_search.objectives",
    "hybrid_search.ops",
    "hybrid_search.networks.blocks",
    "hybrid_search.networks.stems",
    "hybrid_search.data",
    "hybrid_search.samplers",
    "hybrid_search.pruners",
    "hybrid_search.engines",
    "hybrid_search.training.checkpoints",
    "hybrid_search.export",
    "hybrid_search.loggers",
    "hybrid_search.charts",
)


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(cls=HelpCommand)(doctor)


def doctor(
    build: Annotated[
        bool,
        typer.Option("--build", help="Compile the CPU kernels of extents 3 to 11 now. Default: on first use."),
    ] = False,
    form: FormatOption = Format.table,
    db: Database = None,
) -> None:
    """Show the devices, attention kernels, database, packages and plugins of this machine."""
    rows = [*machine_rows(db), *(kernel_rows() if build else [])]
    plugins = plugin_rows()
    if form is Format.table:
        print_rows(rows, form, columns={"item": str, "value": str})
        if plugins:
            columns = {"plugin": str, "name": str, "package": str, "version": str, "value": str}
            tables = [{"plugin": row["item"].removeprefix("plugin, "), **row} for row in plugins]
            print_rows(tables, form, title="\nPlugins", columns=columns)
        else:
            typer.echo("\nPlugins: none installed")
    else:
        print_rows([*rows, *plugins], form)


def machine_rows(db: str | None = None) -> list[dict[str, Any]]:
    """Return the facts of this machine. No server is started, and no database is written.

    The CPU kernel of one extent is compiled into the user's cache, if it is not there, to find the backend.
    """
    import torch

    from hybrid_search.ledger.urls import database_url, display_url
    from hybrid_search.ops.local_attention import which_backend

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    facts = {
        "python": f"{platform.python_version()} ({sys.executable})",
        "processor": f"{_cpus_text()}, {torch.backends.cpu.get_cpu_capability()}",
        "memory": f"{memory_limit() / 2**30:.1f} GiB that this process may use",
        "GPUs": ", ".join(gpus) or "none that torch can use",
        "local attention": f"backend {which_backend(torch.zeros(1, 1, 2, 1, 1))} on the CPU",
        **{name: _version(name) for name in PACKAGES},
        "database": f"{display_url(database_url(db))}: {_database_text(db)}",
    }
    return [_row(item, value) for item, value in facts.items()]


def kernel_rows() -> list[dict[str, Any]]:
    """Compile the CPU kernels of local attention for the usual extents, and return one row for each.

    Raises:
        HybridSearchError: There is no compiler, or it fails.
    """
    from hybrid_search.ops.local_attention.build import BuildError
    from hybrid_search.ops.local_attention.cpu import build_all

    try:
        return [_row("kernel", line) for line in build_all()]
    except BuildError as error:
        raise HybridSearchError(f"kernels are compiled by a C++ compiler; {error}.") from error


def plugins() -> "list[Plugin]":
    """Return the plugins of every table, broken ones included."""
    from hybrid_search.plugins import TABLES

    for module in TABLE_MODULES:
        import_module(module)
    return [plugin for table in TABLES.values() for plugin in table.plugins()]


def plugin_rows() -> list[dict[str, Any]]:
    """Return one row for each plugin. The value is the object that it adds, or why it cannot be used."""
    return [
        _row(
            f"plugin, {plugin.table.removeprefix('hybrid_search.')}",
            f"{plugin.target} works" if plugin.error is None else f"BROKEN: {plugin.error}",
            plugin.name,
            plugin.package,
            plugin.version,
        )
        for plugin in plugins()
    ]


def _row(item: str, value: str, name: str = "", package: str = "", version: str = "") -> dict[str, Any]:
    return {"item": item, "value": value, "name": name, "package": package, "version": version}


def _cpus_text() -> str:
    allowed, machine = allowed_cpus(), os.cpu_count() or 1
    return f"{machine} CPUs" if allowed >= machine else f"{allowed} of {machine} CPUs that this process may use"


def _database_text(db: str | None) -> str:
    from hybrid_search.ledger import Ledger

    try:
        with Ledger(db, read_only=True) as ledger:
            names = [search.name for search in ledger.searches()]
    except (LedgerAway, LedgerError) as error:
        return str(error)
    if not names:
        return "no search yet"
    count = "1 search" if len(names) == 1 else f"{len(names)} searches"
    return f"{count}: {', '.join(names[:MAX_NAMES])}{', ...' if len(names) > MAX_NAMES else ''}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
