"""The files of an exported folder that do not depend on the format.

architecture.json   architecture, input size, classes, preprocessing and origin
architecture.svg    a drawing of the architecture, for the model card
README.md           a model card
manifest.json       SHA-256 of every file, the proof of every format, and the packages of plugins; it is written last
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_search._internal.json_text import parse_json
from hybrid_search._internal.paths import reason, shown_path
from hybrid_search.errors import UserError
from hybrid_search.export.formats import TrainedNetwork
from hybrid_search.export.proof import Proof

if TYPE_CHECKING:
    from hybrid_search.networks.architecture import Architecture

DESCRIPTION = "architecture.json"
MANIFEST = "manifest.json"
GIT_LFS = b"version https://git-lfs.github.com/spec/"  # the first bytes of a file that Git LFS has not fetched
KINDS: dict[type[Any], str] = {dict: "an object", list: "a list", str: "text"}


def describe(network: TrainedNetwork) -> dict[str, Any]:
    """Return the content of architecture.json as plain JSON.

    Args:
        network: what is exported.
    """
    return {
        "architecture": network.architecture.to_dict(),
        "digest": network.architecture.digest,
        "input_size": list(network.input_size),
        "classes": list(network.classes),
        "preprocessing": {"scale": 1 / 255, "mean": list(network.mean) or None, "std": list(network.std) or None},
        "origin": dict(network.origin),
    }


def write_description(folder: Path, network: TrainedNetwork) -> None:
    """Write architecture.json.

    Args:
        folder: an existing folder.
        network: what is exported.
    """
    _write_json(folder / DESCRIPTION, describe(network))


def read_description(folder: Path) -> dict[str, Any]:
    """Return the content of architecture.json. Its architecture, input size and classes have been checked.

    Args:
        folder: an exported folder.

    Raises:
        UserError: the file is missing, damaged, or not a description of a network.
        PluginError: an operator or the stem comes from a plugin that is not installed here.
    """
    path = folder / DESCRIPTION
    content = _read_object(path)
    _entry(path, content, "architecture", dict)
    architecture = described_architecture(folder, content)
    if (digest := content.get("digest", architecture.digest)) != architecture.digest:
        raise UserError(
            f"the digest in {DESCRIPTION} must be that of its architecture, {architecture.digest}; {shown_path(path)} "
            f"has {digest!r}. Export the network again."
        )
    size = _entry(path, content, "input_size", list)
    if len(size) != 3 or not all(type(each) is int and each > 0 for each in size):
        raise UserError(f"input_size in {shown_path(path)} must be channels, rows and columns from 1 up; got {size!r}.")
    classes = _entry(path, content, "classes", list)
    if not classes or not all(isinstance(each, str) for each in classes):
        raise UserError(f"classes in {shown_path(path)} must be a list of names; got {str(classes)[:80]}.")
    return content


def described_architecture(folder: Path, description: Mapping[str, Any]) -> "Architecture":
    """Return the architecture of architecture.json.

    Args:
        folder: the exported folder; its manifest names the packages of plugins.
        description: the content of architecture.json.

    Raises:
        PluginError: an operator or the stem comes from a plugin that is not installed here.
        ArchitectureError: the description breaks a rule.
    """
    from hybrid_search.networks.stored_architecture import stored_architecture

    manifest = folder / MANIFEST
    listed = _read_object(manifest).get("plugins") if _is_file(manifest) else None
    packages = {str(name): str(package) for name, package in (listed if isinstance(listed, dict) else {}).items()}
    return stored_architecture(description["architecture"], packages)


def plugin_packages(network: TrainedNetwork) -> dict[str, str]:
    """Return the plugins that a network needs when it is loaded: operator or stem -> package and version.

    Args:
        network: what is exported.
    """
    from hybrid_search.networks.stored_architecture import plugins_of

    return {name: " ".join(package) for name, package in plugins_of(network.architecture).items()}


def write_manifest(
    folder: Path, proofs: Iterable[Proof], packages: Mapping[str, str], not_written: Mapping[str, str] | None = None
) -> None:
    """Write manifest.json with the checksum of every other file.

    Args:
        folder: a folder with all its other files.
        proofs: one proof for each format.
        packages: the plugins that the network needs, see `plugin_packages`.
        not_written: format -> why it could not be written.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    _write_json(
        folder / MANIFEST,
        {
            "files": {path.relative_to(folder).as_posix(): sha256_of(path) for path in paths},
            "proof": {proof.format: proof.to_dict() for proof in proofs},
            **({"plugins": dict(packages)} if packages else {}),
            **({"not_written": dict(not_written)} if not_written else {}),
        },
    )


def proven_formats(folder: Path) -> list[str]:
    """Return the names of the formats that an exported folder has, with a proof each.

    Args:
        folder: an exported folder.

    Raises:
        UserError: it is no folder, or manifest.json is missing, damaged, or has no proof.
    """
    check_files(folder, [DESCRIPTION])
    path = folder / MANIFEST
    formats = list(_entry(path, _read_object(path), "proof", dict))
    if not formats:
        raise UserError(f"{MANIFEST} must have the proof of a format; {shown_path(path)} has none. Export it again.")
    return formats


def check_files(folder: Path, names: Iterable[str]) -> None:
    """Check that files exist and have the checksums of manifest.json.

    Args:
        folder: an exported folder.
        names: the files that a format loads. Others, such as README.md, may be edited.

    Raises:
        UserError: a file is missing, differs, or is not in the manifest.
    """
    names = tuple(names)
    check_folder(folder)
    for name in (*names, MANIFEST):
        if not _is_file(folder / name):
            every = " and ".join((*names, MANIFEST))
            raise UserError(
                f"an exported folder must contain {every}; {shown_path(folder)} lacks {name}. Export the network again."
            )
    path = folder / MANIFEST
    checksums = _entry(path, _read_object(path), "files", dict)
    for name in names:
        if name not in checksums:
            raise UserError(
                f"{MANIFEST} must have the sha256 of {name}; {shown_path(path)} has none. Export the network again."
            )
        if sha256_of(folder / name) != checksums[name]:
            path, pointer = folder / name, _pointer(folder / name)
            raise UserError(
                f"an exported file must not be changed; {shown_path(path)} differs from its sha256 in "
                f"{MANIFEST}{pointer}."
            )


def check_folder(folder: Path) -> None:
    """Raise UserError unless the path is a folder that exists.

    Args:
        folder: the path of an exported folder.
    """
    try:
        if folder.is_dir():
            return
        what = "is a file" if folder.exists() else "does not exist"
    except (OSError, ValueError) as error:  # the name is too long, has a NUL, or may not be read
        what = f"cannot be read: {reason(error) if isinstance(error, OSError) else error}"
    raise UserError(f"an exported network must be a folder; {str(folder)!r} {what}.")


def read_file(path: Path) -> bytes:
    """Return the content of a file.

    Args:
        path: a file of an exported folder.

    Raises:
        UserError: it cannot be read, or Git LFS has not fetched it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"an exported file must be readable; {shown_path(path)} is not: {reason(error)}.") from None
    if content.startswith(GIT_LFS):
        raise UserError(f"an exported file must be complete; {shown_path(path)}{_pointer(path)}.")
    return content


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits.

    Args:
        path: a file of an exported folder.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"an exported file must be readable; {shown_path(path)} is not: {reason(error)}.") from None


def _pointer(path: Path) -> str:
    """Return how to fetch a file that is a pointer of Git LFS; an empty string for any other file."""
    with path.open("rb") as file:
        fetched = file.read(len(GIT_LFS)) != GIT_LFS
    return "" if fetched else ": it is a pointer of Git LFS. Fetch the file: git lfs pull"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise UserError(f"an exported file must be readable; {shown_path(path)} is not: {reason(error)}.") from None


def _read_object(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file that must be an object."""
    content, law, what = read_file(path), f"{path.name} must be complete JSON", shown_path(path)
    try:
        found = parse_json(content.decode("utf-8"), law, what, UserError)
    except UnicodeDecodeError:
        raise UserError(f"{law}; {what} is not: it is not UTF-8. Export the network again.") from None
    except UserError as error:
        raise UserError(f"{error} Export the network again.") from None
    if not isinstance(found, dict):
        raise UserError(f"{path.name} must be a JSON object; {what} is {str(found)[:60]!r}. Export the network again.")
    return found


def _entry(path: Path, content: dict[str, Any], key: str, kind: type[Any]) -> Any:
    """Return the entry of a JSON object; raise UserError unless it has this type."""
    if not isinstance(content.get(key), kind):
        got = f"{str(content[key])[:60]!r}" if key in content else "none"
        raise UserError(
            f"{key} in {path.name} must be {KINDS[kind]}; {shown_path(path)} has {got}. Export the network again."
        )
    return content[key]


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
