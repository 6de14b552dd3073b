"""What this machine has: the answers of `hybrid-search doctor`."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from hybrid_search.errors import HybridSearchError, LedgerAway, LedgerError
from hybrid_search.ledger import Ledger
from hybrid_search.ledger.urls import database_url, display_url

PACKAGES = ("torch", "optuna", "ray", "sqlalchemy", "psycopg", "timm", "dash", "plotly", "torchvision")


def build_kernels() -> list[tuple[str, str]]:
    """Compile every CPU kernel of local attention that a search is likely to need; (what, found) pairs.

    HybridSearchError where there is no compiler, or it cannot.
    """
    from hybrid_search.ops.local_attention.build import BuildError
    from hybrid_search.ops.local_attention.cpu import build_all

    try:
        return [("kernel", line) for line in build_all()]
    except BuildError as error:
        raise HybridSearchError(f"kernels are compiled by a C++ compiler; {error}.") from error


def findings(db: str | None = None) -> list[tuple[str, str]]:
    """(what, found) pairs for a person; no server is started, no database written.

    To say which backend runs, the CPU kernel of one extent is compiled into the user's cache if it is not there.
    """
    import torch

    from hybrid_search.ops.local_attention import which_backend

    found = [
        ("python", f"{platform.python_version()} ({sys.executable})"),
        ("processor", f"{os.cpu_count()} CPUs, {torch.backends.cpu.get_cpu_capability()}"),
    ]
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    found.append(("GPUs", ", ".join(gpus) or "none that torch can use"))
    found.append(("local attention", f"backend {which_backend(torch.zeros(1, 1, 2, 1, 1))} on the CPU"))
    found += [(name, _version(name)) for name in PACKAGES]
    url = database_url(db)
    try:
        with Ledger(db, read_only=True) as ledger:
            names = [search.name for search in ledger.searches()]
        more = ", ..." if len(names) > 8 else ""
        count = "1 search" if len(names) == 1 else f"{len(names)} searches"
        state = f"{count}: {', '.join(names[:8])}{more}" if names else "no search yet"
    except (LedgerAway, LedgerError) as error:
        state = str(error)
    found.append(("database", f"{display_url(url)}: {state}"))
    return found


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
