"""An exported folder without its proof, so that a test need not start a process."""

import json
import tempfile
from pathlib import Path

from safetensors.torch import save

from hybrid_search.export.folder import write_description, write_manifest
from hybrid_search.export.proof import Proof, compare
from hybrid_search.export.safetensors_format import SAFETENSORS
from hybrid_search.testing import ExportFormatContract


def network():
    """Return a small trained network with convolution and attention: images of 2 x 12 x 20, 3 classes."""
    return ExportFormatContract.network()


def write_export(folder):
    """Write an exported folder whose files are intact; return it."""
    folder.mkdir()
    SAFETENSORS.write(network(), folder)
    write_description(folder, network())
    (folder / "README.md").write_text("a model card\n")
    write_manifest(folder, (), {})
    return folder


def renew_manifest(folder):
    """Write the manifest of a folder whose files were changed, so that every checksum is right."""
    write_manifest(folder, (), {})


def edit(path, **changes):
    """Change entries of a JSON file; a value of None removes the entry."""
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def prove_in_this_process(folder, name, expected, image_source):
    """Do the work of `prove` without its new process."""
    with tempfile.TemporaryDirectory() as scratch:
        inputs, result = Path(scratch, "inputs"), Path(scratch, "result")
        inputs.write_bytes(save({name: value for name, value in vars(expected).items() if value is not None}))
        compare(str(folder), name, str(inputs), str(result))
        found = json.loads(result.read_text())
    return Proof(folder, name, found["max_difference"], found["equal_answers"], len(expected.images), image_source)
