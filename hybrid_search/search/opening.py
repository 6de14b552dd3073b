"""Open a search in a ledger: store it if it is new, otherwise resume it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hybrid_search._internal.search_names import search_name
from hybrid_search.errors import LedgerError
from hybrid_search.ledger import Ledger, reads, writes
from hybrid_search.pruners import PRUNERS, current_name, make_pruner
from hybrid_search.records import TRAINED, SearchRecord
from hybrid_search.samplers import SAMPLERS
from hybrid_search.search.data_check import check_local_data
from hybrid_search.search.index import TrialIndex
from hybrid_search.search.object_identity import check_objects, object_identities
from hybrid_search.search.proposer import Proposer
from hybrid_search.search.search import Search
from hybrid_search.search.spec import SearchSpec
from hybrid_search.search.stop_rules import StopRule
from hybrid_search.settings import NOT_IN_DIGEST


def open_search(spec: SearchSpec, ledger: Ledger, stop_rule: StopRule | None = None) -> Search:
    """Return the search of this configuration, new or resumed, to use `ask` and `tell` directly.

    It does not acquire the lease of the search. If several processes may drive the search, use
    `hybrid_search.runs.run.lead_search`.

    Args:
        spec: The configuration.
        ledger: The ledger.
        stop_rule: When the search stops before its number of trials.

    Raises:
        LedgerError: The name belongs to a search with another configuration.

    Example:
        >>> search = open_search(SearchSpec.create("digits", trials=3), Ledger())
        >>> trial = search.ask()
    """
    store_search(spec, ledger)
    return resume_search(spec, ledger, stop_rule)


def store_search(spec: SearchSpec, ledger: Ledger) -> SearchRecord:
    """Return the search of this configuration in the ledger, stored if it is new.

    Raises:
        LedgerError: The name belongs to a search with another configuration, or the data set has changed.
        SettingsError: The factory of the sampler or the pruner cannot be used, or a new search cannot have the name.
    """
    found = ledger.find_search(spec.name)
    if found is None:
        search_name(spec.name)
        _check_factories(spec)
        try:
            return ledger.create_search(spec.record, object_identities(spec.record))
        except LedgerError:  # another process may have stored it since
            found = ledger.find_search(spec.name)
            if found is None:
                raise
    _check_configuration(found, ledger.read(reads.registered_objects, found.id), spec)
    if found.evaluation == TRAINED:
        check_local_data(replace(found, settings=spec.settings), ledger)
    return found


def check_stored(spec: SearchSpec, ledger: Ledger | str | Path | None) -> str | None:
    """Check, before long work, that a configuration continues the stored search of its name. Nothing is written.

    Args:
        spec: The configuration.
        ledger: The ledger, the URL of its database, or the path of an SQLite file.

    Returns:
        A line for the user if the search keeps a recipe that differs from the default one; otherwise None.

    Raises:
        LedgerError: The name belongs to a search with another configuration.
    """
    if isinstance(ledger, Ledger):
        found = _found(spec, ledger)
    else:
        try:
            with Ledger(ledger, read_only=True) as reader:
                found = _found(spec, reader)
        except LedgerError:  # there is no database yet, or its opening for the search says what is wrong with it
            found = None
    if found is None:
        return None
    _check_configuration(*found, spec)
    kept = SearchSpec.from_record(found[0]).kept_recipe(spec)
    values = ", ".join(f"{name} {was} (default now: {now})" for name, was, now in kept)
    return f"search {spec.name} keeps the recipe that it began with: {values}" if kept else None


def _found(spec: SearchSpec, ledger: Ledger) -> tuple[SearchRecord, dict[str, str]] | None:
    """Return the stored search of this name with its registered objects, or None."""
    found = ledger.find_search(spec.name)
    return None if found is None else (found, ledger.read(reads.registered_objects, found.id))


def _check_configuration(found: SearchRecord, objects: Mapping[str, str], spec: SearchSpec) -> None:
    if differences := SearchSpec.from_record(found).differences(spec):
        raise LedgerError(
            f"a search must be continued with its own configuration; in search {found.name!r}, "
            f"{'; '.join(differences)}. Use the same options, or choose another name (--name) for a new search."
        )
    check_objects(found, objects)


def _check_factories(spec: SearchSpec) -> None:
    """Build a sampler and a pruner from outside once, so that a wrong factory leaves no search in the ledger."""
    if not isinstance(spec.pruner, str) or not PRUNERS.is_built_in(current_name(spec.pruner)):
        make_pruner(spec.pruner, spec.objectives, spec.seed)
    if not isinstance(spec.sampler, str) or not SAMPLERS.is_built_in(spec.sampler):
        Proposer(spec, TrialIndex(spec.objectives), 0, set())


def resume_search(
    spec: SearchSpec, ledger: Ledger, stop_rule: StopRule | None = None, *, clean_shutdown: bool | None = None
) -> Search:
    """Return a stored search, ready to continue.

    An interrupted search continues to its number of trials. A search that has reached it continues to `spec.trials`
    trials, or by that many more if it already has as many. After a crash it is not extended: the crash may have come
    just after the last trial, and nothing more was requested since.

    Args:
        spec: The configuration; the sampler and pruner factories are taken from it.
        ledger: The ledger.
        stop_rule: When the search stops before its number of trials.
        clean_shutdown: Whether the previous driver exited on request; None: unknown.
    """
    found = ledger.search(spec.name)
    done = sum(count for state, count in ledger.read(reads.counts, found.id).items() if state != "running")
    if clean_shutdown is False or done < found.target:
        target = max(found.target, spec.trials)
    else:
        target = spec.trials if spec.trials > done else done + spec.trials
    if target != found.target:
        ledger.write(writes.set_target, found.id, target)
    here = {name: getattr(spec.settings, name) for name in NOT_IN_DIGEST}
    record = replace(found, target=target, settings=found.settings.with_(**here))
    # The space comes from the ledger: two spaces with one digest may list their choices in another order.
    stored = SearchSpec.from_record(record, sampler=spec.sampler, pruner=spec.pruner)
    return Search(stored, record, ledger, stop_rule, clean_shutdown=clean_shutdown is True)
