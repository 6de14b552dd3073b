"""A page served over a socket of this machine for as long as a test lasts."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from waitress import wasyncore

from hybrid_search.dashboard import create_app, make_server


@contextmanager
def served(url: str, **options: Any) -> Iterator[str]:
    """The address of the page of the ledger at `url`."""
    app = create_app(url, **options)
    server = make_server(app, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}/"
    finally:
        # The server closes its sockets in its own thread; closing them here would be a race.
        server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map))
        thread.join(10)
        server.task_dispatcher.shutdown()
        app.server.extensions["hybrid_search"].close()
