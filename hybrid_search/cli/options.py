"""Options that several commands share. Each is defined once, as an annotated type."""

import inspect
import os
import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_search._internal.number_text import read_number
from hybrid_search._internal.paths import data_location
from hybrid_search._internal.recipes import FILLED
from hybrid_search._internal.url_secrets import ENCODE, must_be_encoded, split_password
from hybrid_search.cli.output import Format, print_nothing
from hybrid_search.errors import SettingsError, shown

if TYPE_CHECKING:
    from hybrid_search.records import Resources, Settings

# Headings of `--help`, in this order.
SEARCH, TRAINING, RESOURCES, STOP, OUTPUT = "Search", "Training", "Resources", "Stop rules", "Database and output"
PANELS = ("Commands", "Arguments", SEARCH, TRAINING, RESOURCES, STOP, "Options", OUTPUT)

DATABASES = ("sqlite", "postgres", "postgresql")
NOTHING = ("", "none", "null")  # values of --set data_dir: no folder

QUERY_PASSWORD = re.compile(r"(?i)[?&;](?:ssl)?password=[^&#]")
KEYWORD_PASSWORD = re.compile(r"(?i)^(?!\w+:).*\b(?:ssl)?password\s*=", re.DOTALL)  # a connection string of libpq


def without_password(url: str | None) -> str | None:
    """Return the URL of a database from the command line.

    Every user of a machine can list command lines, and Ray stores the one of its driver.

    Raises:
        SettingsError: The URL has a password. The message does not show it.
    """
    if url and _has_password(url):
        encode = f" {ENCODE}" if must_be_encoded(url) else ""
        raise SettingsError(
            "a database URL on the command line must not have a password, because other users can list command lines. "
            f"Put the whole URL into HYBRID_SEARCH_DB, or the password into PGPASSWORD or ~/.pgpass.{encode}"
        )
    _check_scheme(url)
    return url


def _check_scheme(url: str | None) -> None:
    """Refuse a URL of another database at once; all others are parsed later, with SQLAlchemy."""
    scheme, found, _ = (url or os.environ.get("HYBRID_SEARCH_DB", "")).partition("://")
    if found and scheme.partition("+")[0].lower() not in DATABASES:
        from hybrid_search.ledger.urls import database_url

        database_url(url)


def _has_password(url: str) -> bool:
    """Return whether a database URL has a password in any form that SQLAlchemy accepts."""
    if split_password(url) or QUERY_PASSWORD.search(url) or KEYWORD_PASSWORD.search(url):
        return True
    if "@" not in url and "%" not in url:
        return False  # no user, and no encoded key
    from hybrid_search.ledger.urls import has_password

    return has_password(url)


def absolute_data_dir(typed: str | None) -> str | None:
    """Return the `--data-dir` of the command line as an absolute path.

    Raises:
        SettingsError: The path is empty, or cannot be a path.
    """
    return None if typed is None else data_location("--data-dir", typed)


def _output(*names: str, **settings: Any) -> Any:
    return typer.Option(*names, rich_help_panel=OUTPUT, **settings)


SearchName = Annotated[str | None, typer.Argument(metavar="NAME", help="Name of a search. Default: the newest.")]
Database = Annotated[
    str | None,
    _output(
        "--db",
        metavar="URL",
        callback=without_password,
        help="Database URL without a password, or an SQLite file NAME.db. Default: HYBRID_SEARCH_DB, or "
        "sqlite:///results/hybrid-search.db.",
    ),
]
FormatOption = Annotated[
    Format, _output("--format", help="Format of the table on stdout. Everything else is printed on stderr.")
]
Quiet = Annotated[bool, _output("--quiet", "-q", help="Print the table, warnings and errors only.")]
LogLevel = Annotated[
    str | None,
    _output(
        metavar="LEVEL",
        help="Lowest level shown on stderr and written to the log file: debug (every epoch), info, warning or error. "
        "The file is beside the database. Default: nothing on stderr, info in the file.",
    ),
]
Loggers = Annotated[
    list[str] | None,
    _output(
        "--log",
        metavar="NAME[:PLACE]",
        help="Show results in tensorboard:FOLDER, wandb:PROJECT or mlflow:URI too. Repeat it for several.",
    ),
]
Checkpoints = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        rich_help_panel=RESOURCES,
        help="Folder or URL (s3://...) for checkpoints of running trials; every worker must see it. none: no "
        "checkpoints. Default: beside a database file.",
    ),
]
DataDir = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        rich_help_panel=TRAINING,
        callback=absolute_data_dir,
        help="Folder of the data set, the .npz file, or hf://owner/name. It is stored as an absolute path.",
    ),
]
DataName = Annotated[
    str | None,
    typer.Option("--data", metavar="NAME", rich_help_panel=TRAINING, help="Data set. Default: that of the space."),
]
MaxFlops = Annotated[
    str | None,
    typer.Option(
        metavar="FLOPS",
        rich_help_panel=SEARCH,
        help="Largest FLOPs (2 x MACs) of a design, such as 40M or 1.5G; none: no bound. Default: that of the space.",
    ),
]
MaxParams = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        rich_help_panel=SEARCH,
        help="Largest number of parameters of a design, such as 300k; none: no bound. Default: that of the space.",
    ),
]
SetSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        rich_help_panel=TRAINING,
        help="Any other training setting, such as learning_rate=0.01. Repeat it for several.",
    ),
]
Hours = Annotated[
    float | None,
    typer.Option(
        metavar="HOURS", rich_help_panel=STOP, help="Start no trial after this many hours; running trials finish."
    ),
]


def _resource(**settings: Any) -> Any:
    return typer.Option(rich_help_panel=RESOURCES, **settings)


def resources_of(
    engine: Annotated[str, _resource(metavar="NAME", help="What runs the trials: ray, tune or local.")] = "ray",
    workers: Annotated[
        int | None, _resource(metavar="N", help="Number of trials at a time. Default: as many as fit.")
    ] = None,
    cpus_per_trial: Annotated[float, _resource(metavar="N", help="CPUs for each trial.")] = 1.0,
    gpus_per_trial: Annotated[
        float | None,
        _resource(
            metavar="N", help="GPUs for each trial; 0.25 puts four trials on a GPU. Default: 1 if there are GPUs."
        ),
    ] = None,
    address: Annotated[
        str | None,
        _resource(metavar="ADDRESS", help="Existing Ray cluster: auto or HOST:PORT. Default: RAY_ADDRESS, if set."),
    ] = None,
    resources: Annotated[
        list[str] | None,
        _resource(metavar="NAME=AMOUNT", help="Custom Ray resource for each trial. Repeat it for several."),
    ] = None,
    lease: Annotated[
        float,
        _resource(metavar="SECONDS", help="Heartbeat timeout in seconds: the worker is killed and its trial retried."),
    ] = 60.0,
    timeout: Annotated[
        float | None, _resource(metavar="SECONDS", help="Longest time of one epoch. Default: no limit.")
    ] = None,
) -> "Resources":
    """Return the resources that the command line asks for. The parameters are the options of `run` and `confirm`."""
    from hybrid_search.records import Resources

    return Resources(
        engine=engine,
        workers=workers,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        address=address,
        custom=amounts(resources),
        lease_seconds=lease,
        timeout_seconds=timeout,
    )


def with_options(command: Callable[..., None], **groups: Callable[..., Any]) -> Callable[..., None]:
    """Replace keyword-only parameters of a command by groups of options.

    Typer reads options from a signature, so the returned command has the joined signature.

    Args:
        command: The command.
        **groups: Parameter of the command -> function that makes its value; the parameters of the function are options.
    """
    signature = inspect.signature(command)
    joined = [parameter for name, parameter in signature.parameters.items() if name not in groups]
    shared = {group: inspect.signature(make).parameters for group, make in groups.items()}
    for parameters in shared.values():
        joined += [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters.values()]

    @wraps(command)
    def wrapped(**values: Any) -> None:
        given = {group: {name: values.pop(name) for name in names} for group, names in shared.items()}
        command(**values, **{group: groups[group](**given[group]) for group in groups})

    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in joined}
    wrapped.__signature__ = signature.replace(parameters=joined)  # type: ignore[attr-defined]
    return wrapped


def amounts(pairs: list[str] | None) -> dict[str, float]:
    """Return NAME=AMOUNT pairs as a dictionary.

    Raises:
        SettingsError: A pair is not a name and a number.
    """
    parsed = {}
    for pair in pairs or []:
        name, equals, value = (part.strip() for part in pair.partition("="))
        amount = read_number(value)
        if not name or not equals or amount is None:
            raise SettingsError(f"--resources must be NAME=AMOUNT, such as --resources fast_disk=1; got {shown(pair)}.")
        if name in parsed:
            raise SettingsError(f"--resources must give a resource once; got {name} twice.")
        parsed[name] = float(amount)
    return parsed


def changed_settings(
    base: "Settings",
    named: Mapping[str, Any],
    pairs: list[str] | None,
    notice: Callable[[str], None] = print_nothing,
) -> "Settings":
    """Return the settings of a space with the changes of the command line.

    Args:
        base: The settings of the space.
        named: Values of options by name of the setting; None: no change.
        pairs: NAME=VALUE pairs of `--set`.
        notice: Called with a line if another recipe replaces settings of the space.

    Raises:
        SettingsError: A pair cannot be parsed, a setting is unknown, or a value is out of range.
    """
    changes = {name: value for name, value in named.items() if value is not None}
    for name, value in set_pairs(pairs).items():
        if name in changes and name != "seed":  # --seed is that of the proposals as well
            raise SettingsError(f"{name} must be given once; got --{name.replace('_', '-')} and --set {name}.")
        changes[name] = value
    changed = base.with_(**changes)
    own = [name for name in FILLED if name not in (*changes, *base.from_recipe)]
    values = [(name, getattr(base, name), getattr(changed, name)) for name in own]
    replaced = [f"{name} {before} (now {after})" for name, before, after in values if before != after]
    if replaced and "recipe" in changes:
        notice(f"recipe {changed.recipe} replaces settings of the space: {', '.join(replaced)}. --set keeps a value")
    return changed


def set_pairs(pairs: list[str] | None) -> dict[str, Any]:
    """Return the NAME=VALUE pairs of `--set` by name. A `data_dir` is absolute.

    Args:
        pairs: The pairs.

    Raises:
        SettingsError: A pair cannot be parsed, or a setting is given twice.
    """
    given: dict[str, Any] = {}
    for pair in pairs or []:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not name:
            raise SettingsError(f"--set must be NAME=VALUE, such as --set learning_rate=0.01; got {shown(pair)}.")
        if name in given:
            raise SettingsError(f"--set must give a setting once; got {name} twice.")
        given[name] = value
        if name == "data_dir":
            given[name] = absolute_data_dir(None if value in NOTHING else value)
    return given
