"""One driver a search: a second one would take the first one's running trials for interrupted ones."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybrid_search.errors import LedgerError
from hybrid_search.ledger import Ledger

try:
    import fcntl
except ImportError:  # Windows has no such lock: two drivers there are the user's to avoid
    fcntl = None  # type: ignore[assignment]


@contextmanager
def one_driver(ledger: Ledger, name: str) -> Iterator[None]:
    """Hold the search of this name; LedgerError while another process of this machine runs it.

    The lock is the kernel's: however its holder ends, it is free again. Databases that are not files are not locked.
    """
    if fcntl is None or ledger.url.get_backend_name() != "sqlite":
        yield
        return
    folder = Path(f"{ledger.url.database}.weights")
    folder.mkdir(exist_ok=True)
    path = folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock"
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LedgerError(
                f"a search has one driver at a time; {name!r} of {ledger.shown} is being run by another process."
            ) from None
        yield
