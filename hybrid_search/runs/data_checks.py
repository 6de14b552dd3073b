"""The check of the images before anything is written: a mistake in the data ends the command, not its trials."""

from collections.abc import Callable, Sequence

from hybrid_search._internal.event_log import LOG, event_fields
from hybrid_search.data import prepare
from hybrid_search.ledger import Ledger, reads
from hybrid_search.ledger.search_notes import set_data_notes
from hybrid_search.records import SearchRecord


def check_data(record: SearchRecord, notice: Callable[[str], None], decode: bool = True) -> tuple[str, ...]:
    """Check the images, and say what is left out, reinterpreted or contained twice.

    Args:
        record: The search. Every image size of its space is checked.
        notice: Called with each line.
        decode: Whether the images are decoded; False for an evaluation that may not use them.

    Returns:
        The lines.

    Raises:
        DataError: An image is damaged, or the data set cannot be used for another reason.
    """
    notes = prepare(record.settings, notice, decode, record.image_sizes)
    for note in notes:
        notice(note)
    return notes


def store_data_notes(notes: Sequence[str], record: SearchRecord, ledger: Ledger) -> None:
    """Write the lines of `check_data` to the ledger and to the log of the search.

    Args:
        notes: The lines.
        record: The search, whose lease this process holds.
        ledger: Its ledger.
    """
    for note in notes:
        LOG.info("data", extra=event_fields(search=record.name, note=note))
    if tuple(notes) != ledger.read(reads.data_notes, record.id):
        ledger.write(set_data_notes, record.id, notes)
