"""Check that an evaluation is that of a stored search, before networks of the search are trained again."""

from collections.abc import Callable

from hybrid_search._internal.cache_folder import cache_folder
from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.worker import Evaluate
from hybrid_search.errors import LedgerError
from hybrid_search.ledger import Ledger
from hybrid_search.records import TRAINED, Resources, SearchRecord
from hybrid_search.runs.data_checks import check_data
from hybrid_search.search.data_check import check_local_data
from hybrid_search.search.evaluation_record import differences
from hybrid_search.search.stored_names import evaluation_difference, evaluation_identity, evaluation_label


def check_same_evaluation(record: SearchRecord, evaluate: Evaluate | None, call: str = "confirm(name, ") -> None:
    """Check that the search used this evaluation, because numbers of two evaluations are not comparable.

    Args:
        record: The search.
        evaluate: The user's own evaluation; None: the training of this package.
        call: The start of the Python call that takes an own evaluation.

    Raises:
        LedgerError: The search was scored by another evaluation.
    """
    own = TRAINED if evaluate is None else evaluation_identity(evaluate)[0]
    difference = evaluation_difference(record.evaluation, own)
    if difference is None:
        return
    if evaluate is None:
        raise LedgerError(
            f"only trained networks can be retrained from here; search {record.name!r} was scored by "
            f"{evaluation_label(record.evaluation)}. From Python, without a test split: "
            f"hybrid_search.{call}evaluate=...)."
        )
    raise LedgerError(
        f"a search is confirmed by the evaluation that scored it; in search {record.name!r}, {difference}."
    )


def context_of(
    record: SearchRecord, ledger: Ledger, evaluate: Evaluate, resources: Resources, notice: Callable[[str], None]
) -> RunContext:
    """Return the context of a run that trains networks of a stored search, after a check of its data.

    Captured values of an own evaluation that differ from those of the search are said.

    Args:
        record: The search.
        ledger: Its ledger.
        evaluate: What the workers run.
        resources: Where trials run, and what each of them takes.
        notice: Called with lines that the user should read.

    Raises:
        LedgerError: The data set has changed since the search.
        PluginError: The data set comes from a plugin that is not installed here.
    """
    if record.evaluation == TRAINED:
        from hybrid_search.data import DATASETS, clear_cache

        DATASETS.stored(record.settings.data)
        cache_folder("", notice)  # said here, because a worker writes to its log
        clear_cache()  # the files may have changed since a search of this process
        check_data(record, notice)
        check_local_data(record, ledger)
    else:
        for line in differences(evaluation_identity(evaluate)[1], record, ledger):
            notice(line)
    return RunContext(evaluate, resources)
