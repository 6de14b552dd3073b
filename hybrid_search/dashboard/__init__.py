"""The live page of a ledger: read-only, on loopback by default, without requests to other hosts and without torch."""

from hybrid_search.dashboard.server import create_app, make_server, serve

__all__ = ["create_app", "make_server", "serve"]
