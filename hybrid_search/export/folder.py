"""The files of an exported folder that do not depend on the format.

architecture.json   architecture, input size, classes, preprocessing and origin
README.md           a model card
manifest.json       SHA-256 of every file, and the proof of every format
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hybrid_search.errors import SettingsError, UserError
from hybrid_search.export.formats import TrainedNetwork
from hybrid_search.export.proof import Proof

DESCRIPTION = "architecture.json"
MANIFEST = "manifest.json"


def check_empty(folder: Path) -> None:
    """Raise SettingsError if the folder exists and is not empty.

    Args:
        folder: where an export will be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError(f"OUT must be a new or empty folder; {folder} is not empty.")


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
        "preprocessing": {"scale": 1 / 255, "mean": list(network.mean), "std": list(network.std)},
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
    """Return the content of architecture.json.

    Args:
        folder: an exported folder.
    """
    content: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    return content


def write_manifest(folder: Path, proofs: Iterable[Proof]) -> None:
    """Write manifest.json with the checksum of every other file.

    Args:
        folder: a folder with all its other files.
        proofs: one proof for each format.
    """
    _write_json(
        folder / MANIFEST,
        {
            "files": {path.name: _sha256(path) for path in sorted(folder.iterdir())},
            "proof": {
                proof.format: {
                    "max_difference": proof.max_difference,
                    "equal_answers": proof.equal_answers,
                    "images": proof.images,
                }
                for proof in proofs
            },
        },
    )


def check_files(folder: Path, names: Iterable[str]) -> None:
    """Check that files exist and have the checksums of manifest.json. Without a manifest, only that they exist.

    Args:
        folder: an exported folder.
        names: the files that a format loads. Others, such as README.md, may be edited.

    Raises:
        UserError: a file is missing or differs.
    """
    names = tuple(names)
    for name in names:
        if not (folder / name).is_file():
            raise UserError(f"an exported folder must contain {' and '.join(names)}; {folder} lacks {name}.")
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return
    checksums = json.loads(manifest.read_text(encoding="utf-8"))["files"]
    for name in names:
        if name in checksums and _sha256(folder / name) != checksums[name]:
            raise UserError(f"an exported file must not be changed; {folder / name} differs from its sha256.")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
