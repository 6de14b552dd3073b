"""The check that all trials of a search use the same data."""

from collections.abc import Mapping

from hybrid_search.errors import LedgerError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.records import SearchRecord
from hybrid_search.search.trial import Trial

REMEDY = "Restore the data, or choose another name (--name) for a new search."


class SeenData:
    """The data that the trials of a search saw, as one fingerprint for each image size.

    A fingerprint is that of the resized images. So the trials of one size are compared with each other.

    Args:
        record: The search.
        ledger: Its ledger.
    """

    def __init__(self, record: SearchRecord, ledger: Ledger) -> None:
        self._fingerprints = ledger.read(reads.fingerprints, record.id)

    def check(self, facts: Mapping[str, str], trial: Trial) -> None:
        """Compare the facts of a report with those of the reports before it, at the image size of the trial.

        Args:
            facts: The facts of the report.
            trial: The trial that reported.

        Raises:
            LedgerError: The worker of the trial has other data.
        """
        now, size = facts.get("fingerprint"), trial.settings.image_size
        if now is None:
            return
        before = self._fingerprints.setdefault(size, now)
        if now != before:
            raise LedgerError(
                f"all trials of a search must see the same data; {trial.settings.data} had fingerprint {before}"
                f"{_at(size, self._fingerprints)}, trial {trial.number} saw {now} on "
                f"{facts.get('worker', 'its worker')}. {REMEDY}"
            )


def check_local_data(record: SearchRecord, ledger: Ledger) -> None:
    """Compare the data set on this machine with the one that the trials of a search saw.

    If they saw several image sizes, the smallest is compared: other data differs at each of them.

    Raises:
        LedgerError: The fingerprints differ.
        DataError: The data set cannot be read.
    """
    from hybrid_search.data import load

    seen = ledger.read(reads.fingerprints, record.id)
    if not seen:
        return
    size = min(seen, key=lambda each: each or 0)
    now = load(record.settings.with_(image_size=size)).fingerprint
    if now != seen[size]:
        raise LedgerError(
            f"all trials of a search must see the same data; {record.settings.data} had fingerprint {seen[size]}"
            f"{_at(size, seen)}, here it has {now}. {REMEDY}"
        )


def _at(size: int | None, seen: Mapping[int | None, str]) -> str:
    """Return the image size in words, if the search has several."""
    return f" at image size {size}" if len(seen) > 1 else ""
