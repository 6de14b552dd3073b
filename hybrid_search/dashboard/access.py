"""Whether a page needs a token, and whether the one given will do. Without Flask, so that an error comes before it."""

import ipaddress
import os

from hybrid_search.errors import UserError

VARIABLE = "HYBRID_SEARCH_TOKEN"
SHORTEST = 32
LOOPBACK = ("localhost", "127.0.0.1", "::1")
MAKE_ONE = "python -c 'import secrets; print(secrets.token_urlsafe(32))'"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def checked_token(host: str, token: str | None) -> str | None:
    """The token to ask for: given, else from HYBRID_SEARCH_TOKEN, else none. UserError where the host needs one."""
    token = token or os.environ.get(VARIABLE) or None
    if token is None and not is_loopback(host):
        raise UserError(
            f"--host must be a loopback address (127.0.0.1) unless a token guards the page; got {host}. "
            f"Set {VARIABLE}, for instance to what this prints: {MAKE_ONE}"
        )
    if token is not None and (len(token) < SHORTEST or not token.isascii()):
        raise UserError(f"a token must be at least {SHORTEST} ASCII characters; got {len(token)}. Make one: {MAKE_ONE}")
    return token
