"""The HTML that a notebook shows for a value.

`hybrid_search.report.notebook` draws it. It comes after the packages of these values, so it is found by its name, at
the moment when a notebook asks for HTML.
"""

from importlib import import_module

DRAWN_BY = "hybrid_search.report.notebook"


def rich_html(function: str, value: object) -> str:
    """Return the HTML of a value, with every text escaped.

    Args:
        function: name of the function that draws it.
        value: the value.
    """
    return str(getattr(import_module(DRAWN_BY), function)(value))
