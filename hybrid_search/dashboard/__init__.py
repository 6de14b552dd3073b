"""The live page of a ledger: on loopback, read-only, without torch and without a request to anyone else."""

import logging
import socket
import sys
import threading
import webbrowser
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from hybrid_search.dashboard.access import checked_token, is_loopback
from hybrid_search.errors import UserError

if TYPE_CHECKING:
    from dash import Dash
    from waitress.server import BaseWSGIServer

NEEDED = ("plotly", "dash", "dash_ag_grid", "waitress")
THREADS = 8

__all__ = ["create_app", "serve"]


def create_app(
    url: str | None = None, *, search: str | None = None, host: str = "127.0.0.1", token: str | None = None
) -> "Dash":
    """The Dash application over the ledger at `url`, guarded for a server on `host`.

    `search` is shown where an address names none; default: the newest. The WSGI side is `.server`, the watch
    `.server.extensions["hybrid_search"]`, which a caller that outlives the page closes.
    UserError where a package is missing, the ledger cannot be read, or the host is not loopback and there is no token.
    """
    _check_installed()
    token = checked_token(host, token)
    from hybrid_search.dashboard.application import make
    from hybrid_search.dashboard.snapshot import Watch

    return make(Watch(url), host, token, search)


def make_server(app: "Dash", host: str, port: int) -> "BaseWSGIServer":
    """A server that is bound and not yet running; UserError where the address cannot be had."""
    from waitress import create_server

    if not 0 <= port <= 65535:  # the system would take the remainder
        raise UserError(f"--port must be a number from 0 (any that is free) to 65535; got {port}.")
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, proto)  # bound here, because waitress leaks a socket that it cannot bind
    except OSError as error:
        raise UserError(f"--host must be an address of this machine; got {host}: {error}.") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise UserError(f"--port must be free on {host}; {port} is not: {error}.") from None
    return create_server(app.server, sockets=[bound], threads=THREADS, ident=None, clear_untrusted_proxy_headers=True)


def serve(
    url: str | None = None,
    *,
    search: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8050,
    token: str | None = None,
    open_browser: bool = False,
) -> None:
    """Serve the page of the ledger at `url` until interrupted. Says where on stderr; never says the token.

    `search` is the one that the address told opens; default: the newest. UserError where a package is missing, the
    ledger cannot be read or lacks the search, the address is taken, or a host that is not loopback has no token
    (`token`, else HYBRID_SEARCH_TOKEN).
    """
    logging.getLogger("waitress").setLevel(logging.ERROR)
    app = create_app(url, search=search, host=host, token=token)
    watch = app.server.extensions["hybrid_search"]
    try:
        query = {} if search is None else {"search": watch.ledger.search(search).name}
        server = make_server(app, host, port)
        guarded = checked_token(host, token)

        def address(**secret: str) -> str:
            words = urlencode({**query, **secret}, safe=".")
            return f"http://{_named(host)}:{server.effective_port}/{'?' if words else ''}{words}"

        told = address(token="...") if guarded else address()
        print(f"{watch.ledger.display_url} is shown at {told} (Ctrl-C ends it)", file=sys.stderr)
        if open_browser:
            threading.Timer(0.3, webbrowser.open, [address(token=guarded) if guarded else address()]).start()
        try:
            server.run()
        finally:
            server.close()
    finally:
        watch.close()


def _named(host: str) -> str:
    """How a browser calls the host: a server on every address answers to the machine's name."""
    if is_loopback(host):
        return "localhost"
    return socket.gethostname() if host in ("0.0.0.0", "::") else host


def _check_installed() -> None:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f"the dashboard needs {', '.join(NEEDED)}; {', '.join(missing)} is not installed. "
            f"Install them: pip install {' '.join(missing)}"
        )
