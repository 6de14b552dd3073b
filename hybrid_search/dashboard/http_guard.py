"""The checks of every request to the page, and the security headers of every answer.

They protect against other sites (Origin, SameSite, no CORS), DNS rebinding (a list of allowed Host names), framing, and
markup in names (a content security policy without inline scripts).
"""

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlencode, urlsplit

from flask import Flask, Response, redirect, request

from hybrid_search.dashboard.access import LOOPBACK, is_loopback

COOKIE = "hybrid_search_page"


def protect(server: Flask, host: str, token: str | None, script_hashes: Sequence[str] = ()) -> None:
    """Add the checks and the headers to every route of a server.

    Args:
        server: the Flask application.
        host: the address that it listens on.
        token: the token that a request needs; None: no token is needed.
        script_hashes: hashes of the inline scripts that the content security policy allows.
    """
    # The cookie is derived from the token, so that it does not reveal the token.
    cookie = hmac.new(token.encode(), b"hybrid-search page", hashlib.sha256).hexdigest() if token else None
    policy = _policy(script_hashes)

    @server.before_request
    def check() -> Response | None:
        if not _host_allowed(request.host, host):
            return _refuse(403, "This server does not answer to that host name.")
        if request.method not in ("GET", "HEAD") and not _same_origin():
            return _refuse(403, "Requests from other sites are refused.")
        if token is None or cookie is None:
            return None
        given = request.args.get("token")
        if given is not None and request.method == "GET" and _equal(given, token):
            rest = [(key, value) for key, value in request.args.items(multi=True) if key != "token"]
            answer = redirect(request.path + (f"?{urlencode(rest)}" if rest else ""), 303)
            answer.set_cookie(COOKIE, cookie, httponly=True, samesite="Strict", path="/")
            return answer  # type: ignore[return-value]
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _equal(bearer.strip(), token):
            return None
        if _equal(request.cookies.get(COOKIE, ""), cookie):
            return None
        refusal = _refuse(401, "This page needs its token: open it once with ?token=... at the end of the address.")
        refusal.headers["WWW-Authenticate"] = "Bearer"
        return refusal

    @server.after_request
    def headers(answer: Response) -> Response:
        answer.headers["Content-Security-Policy"] = policy
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["X-Frame-Options"] = "DENY"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        answer.headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
        if not request.path.startswith(("/_dash-component-suites/", "/assets/")):
            answer.headers["Cache-Control"] = "no-store"
        return answer


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())


def _refuse(status: int, text: str) -> Response:
    return Response(text + "\n", status, mimetype="text/plain")


def _host_allowed(given: str, host: str) -> bool:
    """Return whether the Host header is allowed.

    A loopback server allows loopback names. A server that is open to others has a token; it allows addresses and the
    names of this machine, because an attacker can rebind neither.
    """
    name = (urlsplit(f"//{given}").hostname or "").lower()
    if name in LOOPBACK or name == host.lower():
        return True
    if is_loopback(host):
        return is_loopback(name)
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in (socket.gethostname().lower(), socket.getfqdn().lower())
    return True


def _same_origin() -> bool:
    """Return whether a request comes from the page itself, or from no page at all (curl)."""
    origin = request.headers.get("Origin")
    if origin is not None:
        return urlsplit(origin).netloc == request.host
    return request.headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none")


def _policy(script_hashes: Sequence[str]) -> str:
    # plotly's WebGL markers call Function, which needs 'unsafe-eval'. Inline and foreign scripts are refused.
    scripts = " ".join(f"'{digest}'" if not digest.startswith("'") else digest for digest in script_hashes)
    rules = {
        "default-src": "'none'",
        "script-src": f"'self' 'unsafe-eval' {scripts}".strip(),
        "style-src": "'self' 'unsafe-inline'",  # plotly and the table set styles from scripts
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self'",
        "worker-src": "'self' blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())
