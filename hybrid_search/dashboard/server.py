"""The server of the page. Dash, Flask and waitress are imported when a server is made."""

import logging
import socket
import sys
import threading
import webbrowser
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from hybrid_search.dashboard.access import checked_token, is_loopback
from hybrid_search.errors import UserError

if TYPE_CHECKING:
    from dash import Dash
    from waitress.server import BaseWSGIServer

    from hybrid_search.charts import Chart

NEEDED = ("plotly", "dash", "dash_ag_grid", "waitress")
THREADS = 8


def create_app(
    url: str | None = None,
    *,
    search: str | None = None,
    host: str = "127.0.0.1",
    token: str | None = None,
    charts: "Sequence[Chart]" = (),
) -> "Dash":
    """Return the Dash application over a ledger; `.server` is its WSGI application.

    Args:
        url: the database; default: HYBRID_SEARCH_DB, otherwise the default file.
        search: the search that is shown if the address names none; default: the newest.
        host: the address that the server will listen on.
        token: the token that guards the page; default: HYBRID_SEARCH_TOKEN.
        charts: charts of your own, beside those of `hybrid_search.charts.CHARTS`.

    Returns:
        The application. Close `.server.extensions["hybrid_search"]`, its copy of the ledger, if the process continues
        after the page.

    Raises:
        UserError: a package is missing, the ledger cannot be read, or the host is not loopback and there is no token.

    Example:
        >>> app = create_app("sqlite:///results/hybrid-search.db")
        >>> app.server.test_client().get("/").status_code
        200
    """
    _check_installed()
    token = checked_token(host, token)
    from hybrid_search.dashboard.application import make_app
    from hybrid_search.dashboard.snapshot import Snapshot

    snapshot = Snapshot(url)
    try:
        return make_app(snapshot, host, token, search, charts)
    except BaseException:
        snapshot.close()
        raise


def make_server(app: "Dash", host: str, port: int) -> "BaseWSGIServer":
    """Return a server that is bound to its address and does not run yet.

    Raises:
        UserError: the port is taken, or the host is no address of this machine.
    """
    from waitress import create_server

    if not 0 <= port <= 65535:  # the system would take the remainder
        raise UserError(f"port (--port) must be a number from 0 (any free port) to 65535; got {port}.")
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, proto)  # bound here, because waitress leaks a socket that it cannot bind
    except OSError as error:
        raise UserError(f"host (--host) must be an address of this machine; got {host}: {error}.") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise UserError(f"port (--port) must be free on {host}; {port} is not: {error}.") from None
    return create_server(app.server, sockets=[bound], threads=THREADS, ident=None, clear_untrusted_proxy_headers=True)


def serve(
    url: str | None = None,
    *,
    search: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8050,
    token: str | None = None,
    open_browser: bool = False,
    charts: "Sequence[Chart]" = (),
) -> None:
    """Serve the page of a ledger until interrupted. Print its address, without the token, on stderr.

    Args:
        url: the database; default: HYBRID_SEARCH_DB, otherwise the default file.
        search: the search that the page opens with; default: the newest.
        host: the address to listen on.
        port: the port to listen on; 0: any free port.
        token: the token that guards the page; default: HYBRID_SEARCH_TOKEN.
        open_browser: open the page in the default browser.
        charts: charts of your own, beside those of `hybrid_search.charts.CHARTS`.

    Raises:
        UserError: a package is missing, the ledger cannot be read or does not have the search, the address is taken,
            or the host is not loopback and there is no token.

    Example:
        >>> serve("sqlite:///results/hybrid-search.db", port=8050)
    """
    logging.getLogger("waitress").setLevel(logging.ERROR)
    app = create_app(url, search=search, host=host, token=token, charts=charts)
    snapshot = app.server.extensions["hybrid_search"]
    try:
        query = {} if search is None else {"search": snapshot.ledger.search(search).name}
        server = make_server(app, host, port)
        checked = checked_token(host, token)

        def address(**secret: str) -> str:
            words = urlencode({**query, **secret}, safe=".")
            return f"http://{_reachable(host)}:{server.effective_port}/{'?' if words else ''}{words}"

        printed = address(token="...") if checked else address()
        print(f"{snapshot.ledger.display_url} is shown at {printed} (Ctrl-C stops the server)", file=sys.stderr)
        if open_browser:
            threading.Timer(0.3, webbrowser.open, [address(token=checked) if checked else address()]).start()
        try:
            server.run()
        finally:
            server.close()
    finally:
        snapshot.close()


def _reachable(host: str) -> str:
    """Return the name by which a browser reaches the host: the machine's name for a server on every address."""
    if is_loopback(host):
        return "localhost"
    return socket.gethostname() if host in ("0.0.0.0", "::") else host


def _check_installed() -> None:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f"the dashboard needs {', '.join(NEEDED)}; {', '.join(missing)} is not installed. "
            f"Install: pip install {' '.join(missing)}"
        )
