"""The live page of a ledger: on loopback, read-only, without torch and without a request to anyone else."""

import logging
import socket
import sys
import threading
import webbrowser
from importlib.util import find_spec
from typing import TYPE_CHECKING

from hybrid_search.dashboard.guard import checked_token, is_loopback
from hybrid_search.errors import UserError
from hybrid_search.ledger import Ledger

if TYPE_CHECKING:
    from dash import Dash
    from waitress.server import BaseWSGIServer

NEEDED = ("plotly", "dash", "dash_ag_grid", "waitress")
THREADS = 8

__all__ = ["create_app", "serve"]


def create_app(ledger: Ledger, *, host: str = "127.0.0.1", token: str | None = None) -> "Dash":
    """The Dash application over a read-only ledger, guarded for a server on `host`. Its WSGI side is `.server`.

    UserError where a package is missing, or where the host is not loopback and there is no token.
    """
    _check_installed()
    token = checked_token(host, token)
    from hybrid_search.dashboard.application import make

    return make(ledger, host, token)


def make_server(app: "Dash", host: str, port: int) -> "BaseWSGIServer":
    """A server that is bound and not yet running; UserError where the address cannot be had."""
    from waitress import create_server

    try:
        return create_server(app.server, host=host, port=port, threads=THREADS, ident=None, clear_untrusted_proxy_headers=True)
    except (OSError, ValueError) as error:
        raise UserError(f"--port must be free on {host}; {port} is not: {error}.") from None


def serve(
    url: str | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8050,
    token: str | None = None,
    open_browser: bool = False,
) -> None:
    """Serve the page of the ledger at `url` until interrupted. Says where on stderr; never says the token.

    UserError where a package is missing, the ledger cannot be read, the address is taken, or a host that is not
    loopback has no token (`token`, else HYBRID_SEARCH_TOKEN).
    """
    _check_installed()
    token = checked_token(host, token)
    logging.getLogger("waitress").setLevel(logging.ERROR)
    with Ledger(url, read_only=True) as ledger:
        server = make_server(create_app(ledger, host=host, token=token), host, port)
        shown = "localhost" if is_loopback(host) else socket.gethostname() if host in ("0.0.0.0", "::") else host
        address = f"http://{shown}:{server.effective_port}/"
        print(f"{ledger.shown} is shown at {address}{'?token=...' if token else ''} (Ctrl-C ends it)", file=sys.stderr)
        if open_browser:
            threading.Timer(0.3, webbrowser.open, [address + (f"?token={token}" if token else "")]).start()
        try:
            server.run()
        finally:
            server.close()


def _check_installed() -> None:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f"the dashboard needs {', '.join(NEEDED)}; {', '.join(missing)} is not installed. "
            "Install them: pip install 'hybrid-search[page]'"
        )
