"""The contract of export formats, for every built-in entry and for entries of other packages."""

import pytest
from support.plugins import installed

from hybrid_search.errors import PluginError, UnknownName
from hybrid_search.export import EXPORT_FORMATS, export_network
from hybrid_search.testing import ExportFormatContract


class TestSafetensors(ExportFormatContract):
    name, files = "safetensors", ("model.safetensors",)


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
    "members": ("class Thing:\n    name = 'onnx'", "an export format must have name, write, load and usage"),
    "name": (
        "from hybrid_search.export.safetensors_format import SAFETENSORS as Thing",
        "an export format must have its name in the table, 'onnx'; got 'safetensors'",
    ),
}


@pytest.mark.parametrize(("source", "fault"), BROKEN.values(), ids=BROKEN)
def test_a_broken_format_is_named_when_it_is_used(tmp_path, monkeypatch, source, fault):
    with installed(tmp_path, monkeypatch, EXPORT_FORMATS, "onnx", source):
        assert EXPORT_FORMATS["safetensors"].name == "safetensors"
        with pytest.raises(PluginError, match=rf"export format 'onnx' comes from the package other_package .*{fault}"):
            EXPORT_FORMATS["onnx"]
