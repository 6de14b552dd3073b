"""Find the design that a text names: a reference, an exported folder, a trial of a search, or a file."""

import os
from pathlib import Path

from hybrid_search._internal.json_text import parse_json
from hybrid_search._internal.places import one_line
from hybrid_search._internal.text_file import exists, file_name, read_text
from hybrid_search.errors import ArchitectureError, UnknownName, nearest, shown
from hybrid_search.networks.architecture import Architecture

REFERENCE_SIZE, REFERENCE_CLASSES = (3, 224, 224), 1000
EXPORT_FILES = ("architecture.json", "manifest.json")  # a folder with one of them is an exported one
REFERENCE_NAMES = (
    "resnet26, resnet38, resnet50, sasa-26-stem ... sasa-50-full, hybrid-50-CCCA ... hybrid-50-AAAC, resnet-basic-16, "
    "mobilenet-16, convnext-16 or another width"
)


def find_design(design: str, db: str | Path | None) -> tuple[Architecture, tuple[int, int, int], int]:
    """Return an architecture, its input size and its number of classes.

    Args:
        design: Name of a reference network, an exported folder or its architecture.json, `SEARCH/NUMBER` for a trial,
            or the path of a JSON file with an architecture.
        db: Database URL or path, for a trial.

    Raises:
        UnknownName: The design is none of these.
        UserError: The file or folder is damaged.
    """
    from hybrid_search.networks.references import is_reference, reference, references
    from hybrid_search.networks.stored_architecture import stored_architecture

    if is_reference(design):
        return reference(design), REFERENCE_SIZE, REFERENCE_CLASSES
    path = Path(os.path.expanduser(design))
    if any(exists(path / name) for name in EXPORT_FILES):
        return _read_export(path)
    if path.name == EXPORT_FILES[0] and exists(path.with_name(EXPORT_FILES[1])):
        return _read_export(path.parent)
    if path.suffix in (".json", ".yaml", ".yml") or exists(path):
        return _read_design(path), REFERENCE_SIZE, REFERENCE_CLASSES
    name, slash, number = design.rpartition("/")
    if slash and number.isascii() and number.isdecimal() and len(number) < 10:
        from hybrid_search.ledger import Ledger, reads

        with Ledger(db, read_only=True) as ledger:
            record = ledger.search(name)
            trial = ledger.read(reads.trial, record.id, int(number))
        return stored_architecture(trial.architecture), record.input_size, record.classes
    raise UnknownName(
        f"a design must be a reference ({REFERENCE_NAMES}), an exported folder, a trial (SEARCH/NUMBER) or a .json "
        f"file; got {shown(design)}.{nearest(design, references())}"
    )


def _read_export(folder: Path) -> tuple[Architecture, tuple[int, int, int], int]:
    """Return what the architecture.json of an exported folder describes. The weights are not read."""
    from hybrid_search.export.folder import DESCRIPTION, check_files, read_description

    check_files(folder, (DESCRIPTION,))
    content = read_description(folder)
    channels, rows, cols = content["input_size"]
    return Architecture.from_dict(content["architecture"]), (channels, rows, cols), len(content["classes"])


def _read_design(path: Path) -> Architecture:
    source = file_name(path)
    if path.suffix in (".yaml", ".yml"):
        from hybrid_search.spaces.space import load_space

        count = load_space(path).size()  # a fault of the file comes first
        text = f"{count:,}" if count < 10**9 else f"{count:.2e}"
        raise ArchitectureError(
            f"a design must be one network; {source} is a search space of {text} designs. See: "
            f"hybrid-search space {source}"
        )
    content_text = read_text(path, "a design must be a readable JSON file", ArchitectureError)
    content = parse_json(content_text, "a design must be a JSON file", source, ArchitectureError)
    try:
        return Architecture.from_dict(content)
    except ArchitectureError as error:
        raise ArchitectureError(one_line(source, None, str(error))) from None
