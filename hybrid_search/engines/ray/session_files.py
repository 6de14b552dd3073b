"""The files that a Ray session on this machine needs: its token, and a folder with its sockets and logs."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from hybrid_search._internal.cache_folder import private_folder, why_not_writable
from hybrid_search.engines.ray.address import AUTH_MODE, TOKENS, usual_token
from hybrid_search.errors import SettingsError

# A path of a socket has at most 107 bytes (103 on macOS). Ray adds this to its temporary folder.
SOCKET_BYTES = 103 if sys.platform == "darwin" else 107
SOCKET = "/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store.1"
SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")


def provide_token(notice: Callable[[str], None]) -> None:
    """Make sure that Ray has a token, and can read it.

    A new session protects itself with a token in `~/.ray/auth_token`. If Ray could not write that file, another file
    is named by RAY_AUTH_TOKEN_PATH, for this process and for the processes that it starts.

    Args:
        notice: Called with a line if another file is used.

    Raises:
        SettingsError: There is no private temporary folder.
    """
    if any(os.environ.get(name) for name in TOKENS) or os.environ.get(AUTH_MODE, "token").lower() != "token":
        return
    usual = usual_token()
    if usual is not None and os.access(usual, os.R_OK):
        return
    reason = "the user has no home folder" if usual is None else why_not_writable(usual.parent)
    if reason is None:
        return
    path = private_folder("token") / "auth_token"
    if not path.exists():
        _write_token(path)
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)
    notice(f"Ray's token cannot be written to {usual or '~/.ray/auth_token'} ({reason}): it is in {path}")


def _write_token(path: Path) -> None:
    """Write a new token in one step, because other processes may do the same."""
    from ray._private.authentication.authentication_token_generator import generate_new_authentication_token

    part = path.with_name(f"{path.name}.{os.getpid()}")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(generate_new_authentication_token())
    part.replace(path)


def session_folder(notice: Callable[[str], None] = lambda line: None) -> str | None:
    """Return the folder for the sockets and logs of a new Ray session; None for Ray's default.

    Args:
        notice: Called with a line if Ray's default cannot be used.

    Raises:
        SettingsError: No short folder can be written.
    """
    usual = Path(os.environ.get("RAY_TMPDIR", os.environ.get("TMPDIR", "/tmp")))
    reason = _why_unusable(usual)
    if reason is None:
        return None
    reasons = [f"{usual}: {reason}"]
    for base in map(Path, SHORT_FOLDERS):
        try:
            folder = private_folder(base=base) / "ray"  # Ray opens it to all users, but not the one around it
        except SettingsError as error:
            reasons.append(str(error).rstrip("."))
            continue
        notice(f"Ray cannot keep its sockets and logs in {usual} ({reason}): they are in {folder}")
        return str(folder)
    raise SettingsError(f"Ray needs a folder for its sockets; got {'; '.join(reasons)}. RAY_TMPDIR names a short one.")


def _why_unusable(base: Path) -> str | None:
    """Return why Ray cannot use a temporary folder; None if it can."""
    length = len(os.fsencode(f"{base}{SOCKET}"))
    if not base.is_absolute():
        return "the path is not absolute"
    if not base.is_dir():
        return "it is not a folder" if base.exists() else "it does not exist"
    if length > SOCKET_BYTES:
        return f"the path of a socket would have {length} bytes, and {SOCKET_BYTES} are possible"
    return why_not_writable(base / "ray")
