"""The registered objects that a search began with, stored with its settings: "operator shift" -> identity."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from hybrid_search.ledger.tables import SearchRow

KEY = "registered_objects"  # beside the settings in the JSON of a search, so that older databases need no migration


def registered_objects(connection: Connection, search_id: int) -> dict[str, str]:
    """Return the registered objects of a search; none if it uses entries of packages only.

    Args:
        connection: The open connection.
        search_id: Row id of the search.
    """
    stored = connection.execute(select(SearchRow.settings).where(SearchRow.id == search_id)).scalar_one()
    return dict(stored.get(KEY, {}))


def with_objects(settings: Mapping[str, Any], objects: Mapping[str, str]) -> dict[str, Any]:
    """Return the JSON of a search's settings with its registered objects.

    Args:
        settings: The settings as plain JSON.
        objects: The objects; see `registered_objects`.
    """
    return {**settings, **({KEY: dict(objects)} if objects else {})}
