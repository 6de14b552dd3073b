"""Store the identity of the evaluation of a search, and report what differs when the search continues."""

from collections.abc import Callable, Iterator

from hybrid_search.ledger import Ledger, reads
from hybrid_search.ledger.search_notes import set_evaluation
from hybrid_search.records import SearchRecord
from hybrid_search.search.content_digest import Content
from hybrid_search.search.stored_names import evaluation_label

NOT_COMPARED = "evaluate uses objects whose content cannot be compared when the search continues: {}"


def store_evaluation(
    identity: str, content: Content, record: SearchRecord, ledger: Ledger, notice: Callable[[str], None]
) -> None:
    """Say how captured values differ from those with which a search began; store the evaluation if it is not known.

    Args:
        identity: Name and digest of the evaluation, which continues this search.
        content: What the evaluation does.
        record: The search, whose lease this process holds.
        ledger: Its ledger.
        notice: Called with each line.
    """
    for line in differences(content, record, ledger):
        notice(line)
    is_new = ledger.read(reads.captured_values, record.id) is None
    if record.evaluation != identity:
        notice(
            f"the digest of {evaluation_label(identity)} in search {record.name!r} was made by another version of "
            f"hybrid-search or Python, and is not compared. {identity} takes its place."
        )
    if is_new or record.evaluation != identity:
        ledger.write(set_evaluation, record.id, identity, content.mutable)


def differences(content: Content, record: SearchRecord, ledger: Ledger) -> Iterator[str]:
    """Yield what cannot be compared, and which captured values differ from those with which a search began.

    Args:
        content: What the evaluation does.
        record: The search.
        ledger: Its ledger.
    """
    if content.unknown:
        yield NOT_COMPARED.format(", ".join(content.unknown))
    before = ledger.read(reads.captured_values, record.id) or {}
    changed = [name for name, digest in content.mutable.items() if before.get(name, digest) != digest]
    if changed:
        yield (
            f"captured values of evaluate differ from those with which search {record.name!r} began: "
            f"{', '.join(changed)}. The search continues; choose another name if the numbers are not comparable."
        )
