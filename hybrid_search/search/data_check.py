"""The check that all trials of a search use the same data."""

from collections.abc import Mapping

from hybrid_search.errors import LedgerError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.records import SearchRecord
from hybrid_search.search.trial import Trial

REMEDY = "Restore the data, or choose another name (--name) for a new search."


def check_same_data(fingerprint: str | None, facts: Mapping[str, str], trial: Trial) -> str | None:
    """Return the fingerprint of the data of a search after a report with these facts.

    Args:
        fingerprint: The fingerprint of the data so far; None before the first report.
        facts: The facts of the report.
        trial: The trial that reported.

    Raises:
        LedgerError: The worker of the trial has other data.
    """
    now = facts.get("fingerprint")
    if fingerprint is not None and now not in (None, fingerprint):
        raise LedgerError(
            f"all trials of a search must see the same data; {trial.settings.data} had fingerprint {fingerprint}, "
            f"trial {trial.number} saw {now} on {facts.get('worker', 'its worker')}. {REMEDY}"
        )
    return fingerprint or now


def check_local_data(record: SearchRecord, ledger: Ledger) -> None:
    """Compare the data set on this machine with the one that the trials of a search saw.

    Raises:
        LedgerError: The fingerprints differ.
        DataError: The data set cannot be read.
    """
    from hybrid_search.data import load

    before = ledger.read(reads.fact, record.id, "fingerprint")
    if before is None:
        return
    now = load(record.settings).fingerprint
    if now != before:
        raise LedgerError(
            f"all trials of a search must see the same data; {record.settings.data} had fingerprint {before}, here it "
            f"has {now}. {REMEDY}"
        )
