"""A damaged or partial export raises one error of this package, in one line, from Python and from `cost`."""

import json
import os
import struct

import pytest
import torch
from safetensors.torch import load_file, save, save_file
from support.exports import edit, network, renew_manifest, write_export

from hybrid_search import cli
from hybrid_search.errors import UserError
from hybrid_search.export import load_exported

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4665\nsize 12345\n"


@pytest.fixture
def net(tmp_path):
    return write_export(tmp_path / "net")


def refused(folder, message):
    """Check that loading raises UserError with this message, in one line."""
    with pytest.raises(UserError, match=message) as error:
        load_exported(folder)
    assert "\n" not in str(error.value)


def test_an_intact_folder_loads(net):
    images = torch.zeros(1, 2, 12, 20)
    with torch.inference_mode():
        assert torch.equal(load_exported(net)(images), network().model(images))


@pytest.mark.parametrize("name", ["model.safetensors", "architecture.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "bit", "pointer", "folder", "dangling", "not utf-8"])
def test_every_damage_of_a_file_is_one_line_that_names_it(net, name, damage):
    path = net / name
    content = path.read_bytes()
    place = content.find(b"model.safetensors") + 25 if name == "manifest.json" else 20  # in the checksum of the weights
    if damage in ("missing", "folder", "dangling"):
        path.unlink()
    changed = {
        "empty": b"",
        "cut": content[:-40],
        "bit": content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :],
    }
    changed |= {"pointer": POINTER, "not utf-8": b"\xff\xfe" + content}
    if damage in changed:
        path.write_bytes(changed[damage])
    elif damage == "folder":
        path.mkdir()
    elif damage == "dangling":
        path.symlink_to("nowhere")
    refused(net, name.replace(".", r"\."))


def test_a_pointer_of_git_lfs_says_how_to_fetch_the_file(net):
    (net / "model.safetensors").write_bytes(POINTER)
    refused(net, r"model\.safetensors differs .*: it is a pointer of Git LFS\. Fetch the file: git lfs pull\.$")
    (net / "manifest.json").write_bytes(POINTER)
    refused(net, r"manifest\.json: it is a pointer of Git LFS\. Fetch the file: git lfs pull\.$")


def test_readme_may_be_edited_and_other_files_may_be_added(net):
    (net / "README.md").write_text("my own text")
    (net / "notes.txt").write_text("mine")
    (net / "more").mkdir()
    load_exported(net)
    (net / "README.md").unlink()
    load_exported(net)


MANIFESTS = {
    "[]": "must be a JSON object",
    "null": "must be a JSON object",
    "{}": "files in manifest.json must be an object; .* has none",
    '{"files": []}': "files in manifest.json must be an object",
    '{"files": {}}': r"must have the sha256 of architecture\.json",
    '{"files": {"architecture.json": null, "model.safetensors": 5}}': "differs from its sha256",
    '{"files": {"architecture.json": "00", "model.safetensors": "00"}}': "differs from its sha256",
    '{"files": {"architecture.json": ': r"must be complete JSON; .* is not, at line 1: expecting .* Export the",
    "[" * 100_000: "must be complete JSON; .* is not: its lists and objects are nested too deeply. Export",
    f'{{"files": {"9" * 5000}}}': "numbers must have at most a few hundred digits",
}


@pytest.mark.parametrize("text", MANIFESTS, ids=[str(number) for number in range(len(MANIFESTS))])
def test_a_manifest_that_is_no_manifest_is_one_line(net, text):
    (net / "manifest.json").write_text(text)
    refused(net, MANIFESTS[text])


OTHER = {"stem": {"kind": "conv3x3", "width": 8}, "stages": [{"operator": "conv", "depth": 1, "width": 16}]}
DESCRIPTIONS = [
    ({"architecture": None}, "architecture in architecture.json must be an object; .* has none"),
    ({"architecture": []}, "architecture in architecture.json must be an object"),
    ({"architecture": {"stem": 1}}, "architecture.*must be|stem must be"),
    ({"architecture": OTHER}, "the digest in architecture.json must be that of its architecture"),
    ({"architecture": OTHER, "digest": None}, "weights must be those of the architecture; .* another network"),
    ({"input_size": None}, "input_size in architecture.json must be a list"),
    ({"input_size": [2, 12]}, "channels, rows and columns from 1 up"),
    ({"input_size": [2, 12, -1]}, "channels, rows and columns from 1 up"),
    ({"input_size": [2.0, 12, 20]}, "channels, rows and columns from 1 up"),
    ({"input_size": [True, 12, 20]}, "channels, rows and columns from 1 up"),
    ({"input_size": [3, 12, 20]}, "another network: stem.* must be"),
    ({"input_size": [10**30, 12, 20]}, "must be one that torch can build"),
    ({"classes": None}, "classes in architecture.json must be a list"),
    ({"classes": []}, "must be a list of names"),
    ({"classes": [1, 2, 3]}, "must be a list of names"),
    ({"classes": ["a", "b"]}, r"another network: head.weight must be \(2, 32\); got \(3, 32\)"),
    ({"classes": {"a": 1}}, "classes in architecture.json must be a list"),
]


@pytest.mark.parametrize(("changes", "message"), DESCRIPTIONS, ids=[str(n) for n in range(len(DESCRIPTIONS))])
def test_a_description_of_another_network_is_one_line(net, changes, message):
    edit(net / "architecture.json", **changes)
    refused(net, r"architecture\.json differs from its sha256")
    renew_manifest(net)
    refused(net, message)


@pytest.mark.parametrize(("key", "most"), [("depth", 990), ("width", 1_000_000)])
def test_a_network_that_is_too_large_is_refused_without_being_built(net, key, most):
    architecture = json.loads((net / "architecture.json").read_text())["architecture"]
    architecture["stages"][0][key] = most
    edit(net / "architecture.json", architecture=architecture, digest=None)
    renew_manifest(net)
    refused(net, "weights must be those of the architecture")


def header(text, length=None):
    """Return a safetensors file with this header."""
    return struct.pack("<Q", len(text) if length is None else length) + text


NAN = b'{"a":{"dtype":"NaN","shape":[1],"data_offsets":[0,4]}}'
WRONG_OFFSETS = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,99]}}'
HUGE = b'{"a":{"dtype":"F32","shape":[18446744073709551615, 4],"data_offsets":[0,4]}}'
WEIGHTS = {
    "no header": b"",
    "short": b"\x01\x02",
    "huge header": header(b"{}", 2**63),
    "negative header": b"\xff" * 8 + b"{}",
    "longer header than the file": header(b"{}", 1000),
    "no json": header(b"hello"),
    "not utf-8": header(b"\xff\xfe\xfd"),
    "unknown type": header(NAN) + b"\0" * 4,
    "offsets behind the end": header(WRONG_OFFSETS) + b"\0" * 4,
    "huge shape": header(HUGE) + b"\0" * 4,
    "zip": b"PK\x03\x04" + b"\0" * 100,
}


@pytest.mark.parametrize("content", WEIGHTS.values(), ids=WEIGHTS)
def test_weights_that_are_no_safetensors_file_are_one_line(net, content):
    (net / "model.safetensors").write_bytes(content)
    renew_manifest(net)
    refused(net, r"weights must be a complete safetensors file; .*/net/model\.safetensors is not: ")


def change_weights(net, change):
    state = load_file(net / "model.safetensors")
    change(state)
    save_file(state, net / "model.safetensors")
    renew_manifest(net)


def test_weights_of_another_network_are_one_line(net):
    change_weights(net, lambda state: state.pop("head.bias"))
    refused(net, r"those of another network: head\.bias is in the network alone")
    change_weights(net, lambda state: state.update({"head.bias": torch.zeros(3, 1)}))
    refused(net, r"head\.bias must be \(3,\); got \(3, 1\)")
    change_weights(net, lambda state: state.update({"head.bias": torch.zeros(3, dtype=torch.int64)}))
    refused(net, r"head\.bias must be torch\.float32; got torch\.int64")
    change_weights(net, lambda state: state.update({"head.bias": torch.zeros(3), "more": torch.zeros(1)}))
    refused(net, "more is in the file alone")


def test_a_folder_that_is_none_is_one_line(net, tmp_path):
    refused(tmp_path / "absent", "an exported network must be a folder; .*absent' does not exist")
    refused(net / "README.md", "README.md' is a file")
    refused(net / "README.md" / "below", "does not exist|Not a directory")
    refused(tmp_path / ("n" * 300), "File name too long")
    refused("a\0b", "NUL character")
    refused("", "got an empty one")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", r"must contain architecture\.json and model\.safetensors and manifest\.json")
    (tmp_path / "round").symlink_to("round")
    refused(tmp_path / "round", "round")


def test_a_relative_path_and_a_path_in_the_home_folder_load(net, monkeypatch):
    monkeypatch.setenv("HOME", str(net.parent))
    for path in ("net", "./net/", "~/net"):
        load_exported(path)


# -- cost --


def cost(capsys, *words):
    """Run `cost`; return the exit code and the lines on stdout and on stderr."""
    code = cli.run(["cost", *map(str, words)])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err.splitlines()


def test_cost_prints_the_same_numbers_for_a_folder_its_description_and_an_architecture(net, capsys, tmp_path):
    (tmp_path / "plain.json").write_text(json.dumps(network().architecture.to_dict()))
    code, of_folder, _ = cost(capsys, net, "--format", "csv")
    assert code == 0
    assert cost(capsys, net / "architecture.json", "--format", "csv")[1] == of_folder
    size = ("--channels", 2, "--classes", 3)
    smaller = cost(capsys, tmp_path / "plain.json", *size, "--input", 12, "--format", "csv")[1]
    assert cost(capsys, f"{net}/", "--input", 12, "--format", "csv")[1] == smaller
    params = sum(value.numel() for value in network().model.parameters())
    assert f",{params}," in of_folder[-1]


def test_cost_of_a_damaged_export_is_one_line_with_exit_code_2(net, capsys):
    os.truncate(net / "architecture.json", 100)
    code, out, err = cost(capsys, net)
    assert (code, out, len(err)) == (2, [], 1)
    assert "architecture.json differs from its sha256" in err[0]
    (net / "manifest.json").unlink()
    code, _, err = cost(capsys, net)
    assert (code, len(err)) == (2, 1)
    assert "lacks manifest.json" in err[0]
    code, _, err = cost(capsys, net / "architecture.json")
    assert (code, len(err)) == (2, 1)
    assert "must be a JSON file" in err[0]


def test_cost_of_a_folder_that_is_no_export_is_one_line(capsys, tmp_path):
    (tmp_path / "folder").mkdir()
    code, _, err = cost(capsys, "folder")
    assert (code, len(err)) == (2, 1)
    assert "folder is not: it is a folder" in err[0]


def test_weights_of_another_evaluation_are_checked_as_those_of_an_export():
    from hybrid_search.export.safetensors_format import network_of

    with pytest.raises(UserError, match="weights must be those of the architecture; mine has those of another network"):
        network_of(network().architecture, 2, 3, save({"weight": torch.zeros(1)}), "mine")
