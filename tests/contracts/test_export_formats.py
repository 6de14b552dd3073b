"""The contract of export formats, for every built-in entry and for entries of other packages."""

import importlib.util
import json

import pytest
from support.plugins import installed

from hybrid_search.errors import PluginError, UnknownName, UserError
from hybrid_search.export import EXPORT_FORMATS, export_network
from hybrid_search.export.network_export import format_entries
from hybrid_search.export.runtime_helpers import runtime
from hybrid_search.testing import ExportFormatContract


class TestSafetensors(ExportFormatContract):
    name, files = "safetensors", ("model.safetensors",)


def needs(*packages):
    """Return marks of a class: it is skipped without these packages. CI has those of the extra `test`."""
    missing = [package for package in packages if not importlib.util.find_spec(package)]
    return pytest.mark.skipif(bool(missing), reason=f"{' and '.join(missing)} not installed: make formats")


@needs("timm")
class TestTimm(ExportFormatContract):
    name, files = "timm", ("model.safetensors", "config.json")


@needs("onnx", "onnxscript", "onnxruntime")
class TestOnnx(ExportFormatContract):
    name, files = "onnx", ("model.onnx",)


@needs("onnx", "onnxscript", "onnxruntime")
class TestOnnxInt8(ExportFormatContract):
    name, files = "onnx-int8", ("model-int8.onnx",)

    def test_the_answers_are_near_those_of_the_network(self, exported):
        _, proof = exported
        assert proof.max_difference < 0.1
        assert proof.accuracy is None


class TestPt2(ExportFormatContract):
    name, files = "pt2", ("model.pt2",)


@pytest.mark.formats
@needs("openvino")
class TestOpenvino(ExportFormatContract):
    name, files = "openvino", ("model.xml", "model.bin")


@pytest.mark.formats
@needs("litert_torch")
class TestLitert(ExportFormatContract):
    name, files = "litert", ("model.tflite",)


@pytest.mark.formats
@needs("executorch")
class TestExecutorch(ExportFormatContract):
    name, files = "executorch", ("model.pte",)


class OnlyHere:
    """A format whose files no process can write."""

    name = "only-here"

    def write(self, network, folder):
        (folder / "half").write_text("half of a file")
        raise UserError("the format only-here cannot be written for this network: operator 17.")

    def load(self, folder):
        raise AssertionError

    def usage(self):
        return ""


def test_formats_that_cannot_be_written_say_why_and_the_others_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr(EXPORT_FORMATS, "_registered", {})
    network, images, lines = TestPt2.network(), TestPt2.images(40), []
    (first,) = export_network(network, tmp_path / "net", images, ["safetensors", OnlyHere()], notice=lines.append)
    why = "the format only-here cannot be written for this network: operator 17."
    assert lines == [f"not written: {why}"]
    manifest = json.loads((tmp_path / "net" / "manifest.json").read_text())
    assert manifest["not_written"] == {"only-here": why}
    assert manifest["proof"]["safetensors"]["batch_sizes"] == [32, 1]
    assert "torch" in manifest["proof"]["safetensors"]["runtime"]
    assert (first.images, first.max_difference, sorted(manifest["proof"])) == (40, 0.0, ["safetensors"])
    card = (tmp_path / "net" / "README.md").read_text()
    assert f"Not written: {why}" in card
    assert manifest["files"]["model.safetensors"] in card
    assert not (tmp_path / "net" / "half").exists()
    with pytest.raises(UserError, match=r"only-here cannot be written .*: operator 17\."):
        export_network(network, tmp_path / "none", images, [OnlyHere()])
    assert not (tmp_path / "none").exists()


def test_a_runtime_that_is_not_installed_is_named_with_the_line_that_installs_it():
    law = r"litert needs no_such_runtime; it is not installed\. Install it: pip install 'hybrid-search\[litert\]'"
    with pytest.raises(UserError, match=law):
        runtime("no_such_runtime.part", "litert")


def test_formats_have_commas_and_all_is_every_one():
    assert [entry.name for entry in format_entries(["pt2, safetensors", "pt2"])] == ["pt2", "safetensors"]
    names = [entry.name for entry in format_entries(["all"])]
    assert names[:8] == ["safetensors", "timm", "onnx", "onnx-int8", "pt2", "openvino", "litert", "executorch"]


def test_every_built_in_entry_has_its_class_of_tests():
    names = {contract.name for contract in ExportFormatContract.__subclasses__()}
    assert names == {name for name in EXPORT_FORMATS if EXPORT_FORMATS.is_built_in(name)}


def test_an_unknown_format_is_an_error_that_writes_nothing(tmp_path):
    contract = TestSafetensors()
    with pytest.raises(UnknownName, match=r"export format must be one of safetensors.*; got 'safetensor'\. Did you"):
        export_network(contract.network(), tmp_path / "out", contract.images(2), ["safetensor"])
    assert list(tmp_path.iterdir()) == []


BROKEN = {
    "import": ("import a_module_that_is_not_there", "ModuleNotFoundError"),
    "members": ("class Thing:\n    name = 'coreml'", "an export format must have name, write, load and usage"),
    "name": (
        "from hybrid_search.export.safetensors_format import SAFETENSORS as Thing",
        "an export format must have its name in the table, 'coreml'; got 'safetensors'",
    ),
}


@pytest.mark.parametrize(("source", "fault"), BROKEN.values(), ids=BROKEN)
def test_a_broken_format_is_named_when_it_is_used(tmp_path, monkeypatch, source, fault):
    with installed(tmp_path, monkeypatch, EXPORT_FORMATS, "coreml", source):
        assert EXPORT_FORMATS["safetensors"].name == "safetensors"
        with pytest.raises(
            PluginError, match=rf"export format 'coreml' comes from the package other_package .*{fault}"
        ):
            EXPORT_FORMATS["coreml"]
