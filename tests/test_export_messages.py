"""The whole message of every fault of an exported folder and of an export, and the exact content of its JSON files."""

import errno
import hashlib
import json
import os
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from support.exports import edit, network, renew_manifest, write_export

from hybrid_search.errors import SettingsError, UserError
from hybrid_search.export import export_network, load_exported, network_export, proof
from hybrid_search.export.folder import check_files, check_folder, describe, plugin_packages, read_file, write_manifest
from hybrid_search.export.formats import EXPORT_FORMATS
from hybrid_search.export.network_export import export_model, format_entries
from hybrid_search.export.output_folder import UNFINISHED, output_folder
from hybrid_search.export.proof import Expected, Proof, compare, prove
from hybrid_search.export.safetensors_format import SAFETENSORS, network_of
from hybrid_search.testing import ExportFormatContract

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4665\nsize 12345\n"
AGAIN = "Export the network again."
IMAGES = ExportFormatContract.images(4)


@pytest.fixture
def net(tmp_path):
    return write_export(tmp_path / "net")


def message_of(call, *arguments, error=UserError):
    """Return the message of the error that a call raises."""
    with pytest.raises(error) as caught:
        call(*arguments)
    return str(caught.value)


# -- an exported folder --


def test_the_json_files_have_exactly_this_content(net):
    trained = replace(network(), origin={"trial": 3})
    described = describe(trained)
    assert described == {
        "architecture": trained.architecture.to_dict(),
        "digest": trained.architecture.digest,
        "input_size": [2, 12, 20],
        "classes": ["left", "right", "none"],
        "preprocessing": {"scale": 1 / 255, "mean": [0.4, 0.5], "std": [0.2, 0.3]},
        "origin": {"trial": 3},
    }
    (net / "shards").mkdir()
    (net / "shards" / "1.bin").write_bytes(b"1")
    proofs = [Proof(net, "safetensors", 0.0, 1.0, 4, "images drawn from seed 0"), Proof(net, "onnx", 1e-5, 0.5, 2)]
    write_manifest(net, proofs, {"swin": "package 1.2"})
    text = (net / "manifest.json").read_text(encoding="utf-8")
    manifest = json.loads(text)
    assert list(manifest["files"]) == ["README.md", "architecture.json", "model.safetensors", "shards/1.bin"]
    assert manifest["files"]["shards/1.bin"] == hashlib.sha256(b"1").hexdigest()
    first = {"max_difference": 0.0, "equal_answers": 1.0, "images": 4, "image_source": "images drawn from seed 0"}
    second = {"max_difference": 1e-5, "equal_answers": 0.5, "images": 2}
    assert manifest["proof"] == {"safetensors": first, "onnx": second}
    assert manifest["plugins"] == {"swin": "package 1.2"}
    assert text == json.dumps(manifest, indent=2) + "\n"
    renew_manifest(net)
    assert list(json.loads((net / "manifest.json").read_text())) == ["files", "proof"]
    assert plugin_packages(trained) == {}


def test_a_description_has_no_nan(net):
    nan = Proof(net, "safetensors", float("nan"), 1.0, 4)
    assert message_of(write_manifest, net, [nan], {}, error=ValueError).startswith("Out of range float values")


def test_a_file_that_is_missing_changed_or_unlisted_has_its_message(net):
    files = ("architecture.json", "model.safetensors")
    contains = "an exported folder must contain architecture.json and model.safetensors and manifest.json"
    content = (net / "model.safetensors").read_bytes()
    (net / "model.safetensors").write_bytes(content + b"x")
    changed = "an exported file must not be changed"
    differs = f"{changed}; {net}/model.safetensors differs from its sha256 in manifest.json"
    assert message_of(load_exported, net) == f"{differs}."
    (net / "model.safetensors").write_bytes(POINTER)
    lfs = "it is a pointer of Git LFS. Fetch the file: git lfs pull."
    assert message_of(load_exported, net) == f"{differs}: {lfs}"
    assert message_of(read_file, net / "model.safetensors") == (
        f"an exported file must be complete; {net}/model.safetensors: {lfs}"
    )
    (net / "model.safetensors").write_bytes(POINTER[:39])  # not the whole first words of a pointer
    assert read_file(net / "model.safetensors") == POINTER[:39]
    assert message_of(load_exported, net) == f"{differs}."
    (net / "model.safetensors").unlink()
    assert message_of(load_exported, net) == f"{contains}; {net} lacks model.safetensors. {AGAIN}"
    assert message_of(read_file, net / "model.safetensors") == (
        f"an exported file must be readable; {net}/model.safetensors is not: No such file or directory."
    )
    renew_manifest(net)
    (net / "model.safetensors").write_bytes(content)
    assert message_of(check_files, net, iter(files)) == (
        f"manifest.json must have the sha256 of model.safetensors; {net}/manifest.json has none. {AGAIN}"
    )
    (net / "manifest.json").unlink()
    assert message_of(check_files, net, files) == f"{contains}; {net} lacks manifest.json. {AGAIN}"


def test_a_manifest_or_description_of_another_form_has_its_message(net):
    path = net / "manifest.json"
    law = f"manifest.json must be a JSON object; {path} is "
    path.write_text(json.dumps(["x" * 100]))
    assert message_of(load_exported, net) == f"{law}{str(['x' * 100])[:60]!r}. {AGAIN}"
    path.write_text('{"files": [')
    assert message_of(load_exported, net) == (
        f"manifest.json must be complete JSON; {path} is not, at line 1: expecting value. {AGAIN}"
    )
    path.write_bytes(b"\xff")
    assert message_of(load_exported, net) == (
        f"manifest.json must be complete JSON; {path} is not: it is not UTF-8. {AGAIN}"
    )
    path.write_text("{}")
    assert message_of(load_exported, net) == f"files in manifest.json must be an object; {path} has none. {AGAIN}"
    path.write_text(json.dumps({"files": "f" * 99}))
    assert message_of(load_exported, net) == (
        f"files in manifest.json must be an object; {path} has {'f' * 60!r}. {AGAIN}"
    )


def test_a_description_that_breaks_a_rule_has_its_message(net):
    path = net / "architecture.json"
    whole = path.read_text()

    def changed(**changes):
        path.write_text(whole)
        edit(path, **changes)
        renew_manifest(net)
        return message_of(load_exported, net)

    digest = network().architecture.digest
    assert changed(digest="beef") == (
        f"the digest in architecture.json must be that of its architecture, {digest}; {path} has 'beef'. {AGAIN}"
    )
    size = f"input_size in {path} must be channels, rows and columns from 1 up; got "
    assert changed(input_size=[2, 12, 0]) == f"{size}[2, 12, 0]."
    assert changed(input_size=[2, 12, 20, 1]) == f"{size}[2, 12, 20, 1]."
    assert changed(input_size=5) == f"input_size in architecture.json must be a list; {path} has '5'. {AGAIN}"
    assert changed(classes=[1] * 50) == f"classes in {path} must be a list of names; got {str([1] * 50)[:80]}."
    assert changed(classes=[]) == f"classes in {path} must be a list of names; got []."
    assert changed(classes=["a"]).endswith(": head.weight must be (1, 32); got (3, 32).")
    assert changed(architecture=[]) == f"architecture in architecture.json must be an object; {path} has '[]'. {AGAIN}"
    path.write_text(whole)
    edit(path, input_size=[2, 1, 1])
    renew_manifest(net)
    load_exported(net)


def test_a_plugin_that_is_absent_is_named_with_the_package_of_the_manifest(net):
    described = json.loads((net / "architecture.json").read_text())["architecture"]
    described["stages"][0]["operator"] = "swin"
    edit(net / "architecture.json", architecture=described)
    write_manifest(net, (), {"swin": "swin-package 1.2"})
    assert "swin-package 1.2" in message_of(load_exported, net)
    edit(net / "manifest.json", plugins=["swin-package 1.2"])
    assert "swin-package" not in message_of(load_exported, net)


def test_a_path_that_is_no_folder_has_its_message(tmp_path):
    law = "an exported network must be a folder; "
    (tmp_path / "file").touch()
    assert message_of(check_folder, tmp_path / "file") == f"{law}{str(tmp_path / 'file')!r} is a file."
    assert message_of(check_folder, tmp_path / "none") == f"{law}{str(tmp_path / 'none')!r} does not exist."
    long = tmp_path / ("n" * 300)
    assert message_of(check_folder, long) in (
        f"{law}{str(long)!r} cannot be read: File name too long.", f"{law}{str(long)!r} does not exist."
    )  # fmt: skip
    assert message_of(check_folder, Path("a\0b")).startswith(f"{law}'a\\x00b' ")


def test_weights_that_do_not_fit_have_their_message():
    trained = network()
    state = trained.model.state_dict()

    def refused(weights, channels=2):
        return message_of(network_of, trained.architecture, channels, 3, weights, "mine")

    law = "weights must be those of the architecture; mine has those of another network: "
    assert refused(b"").startswith("weights must be a complete safetensors file; mine is not: ")
    assert refused(save({"a": torch.zeros(1)})) == f"{law}the network has more blocks than the file has tensors, 1."
    less = {name: value for name, value in state.items() if name != "head.bias"}
    assert refused(save(less)) == f"{law}head.bias is in the network alone."
    assert refused(save({**state, "more": torch.zeros(1)})) == f"{law}more is in the file alone."
    assert refused(save({**state, "head.bias": torch.zeros(3, 1)})) == f"{law}head.bias must be (3,); got (3, 1)."
    whole = {**state, "head.bias": torch.zeros(3, dtype=torch.int64)}
    assert refused(save(whole)) == f"{law}head.bias must be torch.float32; got torch.int64."
    huge = refused(save(state), channels=10**30)
    assert huge.startswith(f"a network must be one that torch can build; {trained.architecture.digest} is not: ")
    assert huge.endswith(".")
    assert "\n" not in huge
    two = {f"{number}": torch.zeros(1) for number in range(2)}  # as many tensors as the network has blocks
    assert refused(save(two)).endswith("is in the network alone.")


def test_the_format_safetensors_has_its_name_its_file_and_its_lines(tmp_path):
    trained = network()
    SAFETENSORS.write(trained, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert SAFETENSORS.name == "safetensors"
    model = network_of(trained.architecture, 2, 3, (tmp_path / "model.safetensors").read_bytes(), "mine")
    assert not model.training
    assert all(torch.equal(model.state_dict()[name], value) for name, value in trained.model.state_dict().items())
    assert next(iter(EXPORT_FORMATS)) == "safetensors"


# -- an export --


def test_arguments_that_do_not_fit_have_their_message(tmp_path):
    trained = network()
    given = {"input_size": trained.input_size, "classes": trained.classes, "mean": trained.mean, "std": trained.std}

    def refused(**changes):
        arguments = {**given, "images": IMAGES, **changes}
        return message_of(
            lambda: export_model(trained.model, trained.architecture, "out", **arguments), error=SettingsError
        )

    size = "images must be floating-point numbers of (n, 2, 12, 20); got "
    assert refused(images=IMAGES[0]) == f"{size}torch.float32 (2, 12, 20)."
    assert refused(images=IMAGES[:0]) == f"{size}torch.float32 (0, 2, 12, 20)."
    assert refused(images=IMAGES.to(torch.int64)) == f"{size}torch.int64 (4, 2, 12, 20)."
    assert refused(mean=(0.5,)) == "mean must have a number for each of 2 channels; got 1."
    assert refused(std=(0.5,) * 3) == "std must have a number for each of 2 channels; got 3."
    assert refused(classes=("a",)) == "classes must have a name for each logit; got 1 names and logits of (4, 3)."
    law = "formats must be a list of at least one export format; got "
    assert refused(formats=[]) == f"{law}[]."
    assert refused(formats="safetensors") == f"{law}'safetensors'."
    assert format_entries(["safetensors"] * 2) == [SAFETENSORS]
    assert list(tmp_path.iterdir()) == []


def test_an_export_needs_space_for_the_weights_of_every_format(monkeypatch, tmp_path):
    weights = sum(tensor.nbytes for tensor in network().model.state_dict().values())
    usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(network_export, "prove", lambda folder, *more: Proof(folder, "safetensors", 0.0, 1.0, 4))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, weights + 64 * 1024 - 1))
    text = message_of(lambda: export_network(network(), "out", IMAGES), error=SettingsError)
    assert text == (
        f"OUT must be on a disk with {(weights + 65536) / 1e3:.1f} kB of free space; {tmp_path}/out has "
        f"{(weights + 65535) / 1e3:.1f} kB."
    )
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, weights + 64 * 1024))
    assert export_network(network(), "out", IMAGES)[0].folder == tmp_path / "out"


def test_an_export_is_described_as_what_it_is(monkeypatch, tmp_path):
    shown = []

    def proved(folder, name, expected, image_source):
        logits = expected.logits
        shown.append((name, len(expected.images), tuple(logits.shape), logits.dtype, image_source))
        assert json.loads((folder / "manifest.json").read_text())["proof"] == {}
        return Proof(folder, name, 0.0, 1.0, len(expected.images), image_source)

    monkeypatch.setattr(network_export, "prove", proved)
    trained = network()
    trained.model.train()
    given = {"input_size": trained.input_size, "classes": trained.classes, "mean": trained.mean, "std": trained.std}
    (first,) = export_model(
        trained.model, trained.architecture, "a", **given, images=IMAGES.double(), origin={"seed": 1}
    )
    export_network(trained, "b", IMAGES)
    assert shown == [
        ("safetensors", 4, (4, 3), torch.float32, "images"),
        ("safetensors", 4, (4, 3), torch.float32, "validation images"),
    ]
    assert not trained.model.training
    assert json.loads((tmp_path / "a" / "architecture.json").read_text())["origin"] == {"seed": 1}
    assert json.loads((tmp_path / "b" / "architecture.json").read_text())["origin"] == {}
    assert first.folder == tmp_path / "a"
    assert json.loads((tmp_path / "a" / "manifest.json").read_text())["proof"]["safetensors"]["images"] == 4


def test_a_network_that_a_new_process_computes_otherwise_has_its_message(monkeypatch, tmp_path):
    monkeypatch.setattr(network_export, "prove", lambda folder, *more: Proof(folder, "onnx", 0.5, 0.996, 3))
    assert message_of(export_network, network(), "out", IMAGES) == (
        f"logits of an exported model must be within 0.0001, with equal predictions; {tmp_path}/out: a new "
        "process loaded the format onnx and classified 3 validation images; largest difference of a logit 0.5, equal "
        "predictions 100 %."
    )
    assert not (tmp_path / "out").exists()


def test_the_new_process_of_a_proof_compares_what_it_was_given(net, tmp_path):
    logits = torch.zeros(4, 3)
    with torch.inference_mode():
        expected = network().model(IMAGES)
    assert (expected.argmax(1) != 0).any()
    for given, difference, equal in (
        (expected, 0.0, 1.0),
        (expected + torch.tensor([0.0, 0.0, -0.25]), 0.25, None),
        (logits, expected.abs().max().item(), (expected.argmax(1) == 0).float().mean().item()),
    ):
        Path("inputs").write_bytes(save({"images": IMAGES, "logits": given.contiguous(), "single": given.clone()}))
        compare(str(net), "safetensors", "inputs", "result")
        found = json.loads(Path("result").read_text())
        assert found["max_difference"] == pytest.approx(difference, abs=1e-6)
        assert equal is None or found["equal_answers"] == pytest.approx(equal)
        assert found.keys() == {"max_difference", "equal_answers", "runtime"}
        assert found["runtime"] == {"torch": torch.__version__} | found["runtime"]
    Path("inputs").write_bytes(save({"images": IMAGES, "logits": torch.zeros(4, 2), "single": torch.zeros(4, 2)}))
    assert message_of(compare, str(net), "safetensors", "inputs", "result") == (
        "logits of an exported model must have the shape (4, 2); got (4, 3)."
    )


Done = namedtuple("Done", "returncode stderr")


def test_the_new_process_gets_its_task_and_its_error_is_shown(net, monkeypatch):
    tasks = []

    def answered(result, code=0, error=b""):
        def run(command, *, capture_output, check, cwd):
            task = json.loads(Path(command[3]).read_text(encoding="utf-8"))
            tasks.append((command, task, capture_output, check, os.listdir(cwd)))
            if result is not None:
                Path(task["arguments"][3]).write_text(result, encoding="utf-8")
            return Done(code, error)

        monkeypatch.setattr(proof.subprocess, "run", run)

    given = (Path(os.path.relpath(net)), "safetensors", Expected(IMAGES, torch.zeros(4, 3), torch.zeros(4, 3)))
    answered('{"max_difference": 0.5, "equal_answers": 0.25}')
    found = prove(*given, "images")
    assert found == Proof(given[0], "safetensors", 0.5, 0.25, 4, "images", (4, 1))
    assert prove(*given).image_source == "validation images"
    command, task, captured, checked, files = tasks[0]
    assert (command[0], command[1], captured, checked) == (os.sys.executable, "-I", True, False)
    assert Path(command[2]) == Path(proof.__file__).with_name("proof_process.py")
    assert task["arguments"][:2] == [str(net), "safetensors"]
    assert task["path"] == list(map(str, os.sys.path))
    assert sorted(files) == ["inputs", "task.json"]
    law = f"an exported model must load in a new process; {given[0]} (format safetensors) does not: "
    answered(None, 1, b"Traceback\n" + b"x" * 600 + b"\n")
    assert message_of(prove, *given) == law + "x" * 500
    answered("{}", 1, b"\xff")
    assert message_of(prove, *given) == law + "\N{REPLACEMENT CHARACTER}"
    answered(None)
    assert message_of(prove, *given) == law + "no error text"

    def none(*_command, **_more):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(proof.subprocess, "run", none)
    assert message_of(prove, *given) == law + "Cannot allocate memory"


# -- OUT --


def test_a_place_that_cannot_be_used_has_its_message(tmp_path):
    law = "OUT must be a new or empty folder; "
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a").touch()
    (tmp_path / "many").mkdir()
    for name in ("c", "b", "a"):
        (tmp_path / "many" / name).touch()
    (tmp_path / "killed" / UNFINISHED).mkdir(parents=True)

    def refused(out):
        return message_of(output_folder(out).__enter__, error=SettingsError)

    assert refused("file") == f"{law}{tmp_path}/file is a file."
    assert refused("link") == f"{law}{tmp_path}/link is a symbolic link to nowhere, which does not exist."
    assert refused("one") == f"{law}{tmp_path}/one is not empty: it contains a."
    assert refused("many") == f"{law}{tmp_path}/many is not empty: it contains a and 2 more."
    assert refused("killed") == (
        f"{law}{tmp_path}/killed contains .hybrid-search-export of an export that is running or was killed. "
        "If none is running, remove that folder."
    )
    assert refused("file/x") == f"OUT must be a folder that can be written; {tmp_path}/file/x cannot: Not a directory."


@pytest.mark.parametrize(
    ("free", "shown"),
    [(999, "1.0 kB"), (999_999, "1000.0 kB"), (10**6, "1.0 MB"), (10**9, "1.0 GB"), (1_400_000_000, "1.4 GB")],
)
def test_the_free_space_of_a_disk_has_its_message(tmp_path, monkeypatch, free, shown):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "total used free")(1, 1, free))
    with output_folder("out") as folder:
        text = message_of(folder.check_space, 2 * 10**9, error=SettingsError)
    assert text == f"OUT must be on a disk with 2.0 GB of free space; {tmp_path}/out has {shown}."


def test_a_file_of_another_program_has_its_message(tmp_path):
    with output_folder("out") as folder:
        (folder.unfinished / "m").touch()
        (folder.path / "m").touch()
        assert message_of(folder.finish, "m", error=SettingsError) == (
            f"OUT must be a new or empty folder; {tmp_path}/out/m was written by another program."
        )


@pytest.mark.parametrize(("number", "refused"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_a_file_system_that_cannot_sync_is_used_and_a_broken_one_is_not(monkeypatch, number, refused):
    synced = []

    def fails(handle):
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    with output_folder("out") as folder:
        (folder.unfinished / "m").touch()
        (folder.unfinished / "shards").mkdir()
        (folder.unfinished / "shards" / "1").touch()
        (folder.unfinished / "shards" / "link").symlink_to("1")
        if refused:
            assert message_of(folder.finish, "m", error=SettingsError).endswith("cannot: Input/output error.")
        else:
            folder.finish("m")
            assert {Path(each).name for each in synced} == {"m", "1"}
    assert Path("out/shards/1").exists() is not refused
    assert Path("out").exists() is not refused
