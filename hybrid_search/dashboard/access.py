"""The rule for access tokens: a server that other machines can reach needs a token."""

import ipaddress
import os

from hybrid_search.errors import UserError

VARIABLE = "HYBRID_SEARCH_TOKEN"
SHORTEST = 32
LOOPBACK = ("localhost", "127.0.0.1", "::1")
MAKE_TOKEN = "python -c 'import secrets; print(secrets.token_urlsafe(32))'"


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def checked_token(host: str, token: str | None) -> str | None:
    """Return the token that guards the page: `token`, otherwise HYBRID_SEARCH_TOKEN, otherwise None.

    Raises:
        UserError: the host is not loopback and there is no token, or the token is too short.
    """
    token = token or os.environ.get(VARIABLE) or None
    if token is None and not is_loopback(host):
        raise UserError(
            f"host (--host) must be a loopback address (127.0.0.1) unless a token guards the page; got {host}. "
            f"Set {VARIABLE} to the output of: {MAKE_TOKEN}"
        )
    if token is not None and (len(token) < SHORTEST or not token.isascii()):
        raise UserError(
            f"a token must be at least {SHORTEST} ASCII characters; got {len(token)}. Make one: {MAKE_TOKEN}"
        )
    return token
