"""The contract of checkpoint stores, for every built-in store and for objects."""

import fsspec
import pytest
from support.plugins import installed

from hybrid_search.errors import PluginError, SettingsError
from hybrid_search.testing import CheckpointStoreContract
from hybrid_search.training.checkpoints import CHECKPOINT_STORES, check_writable, store_at
from hybrid_search.training.checkpoints.folder_store import FolderStore
from hybrid_search.training.checkpoints.fsspec_store import FsspecStore


class TestFolder(CheckpointStoreContract):
    def new_store(self, tmp_path):
        (tmp_path / "root").mkdir()
        return store_at(str(tmp_path / "root"))


class TestObjects(CheckpointStoreContract):
    def new_store(self, tmp_path):
        fsspec.filesystem("memory").store.clear()
        return store_at("memory://root")


class TestFoldersBehindAUrl(CheckpointStoreContract):
    def new_store(self, tmp_path):
        (tmp_path / "root").mkdir()
        return store_at(f"local://{tmp_path}/root")


def test_a_path_is_a_folder_and_an_unknown_scheme_is_opened_by_fsspec(tmp_path):
    assert isinstance(store_at(str(tmp_path)), FolderStore)
    assert isinstance(store_at("memory://root"), FsspecStore)
    assert [name for name in CHECKPOINT_STORES if CHECKPOINT_STORES.is_built_in(name)] == ["file", "fsspec"]


def test_an_object_that_is_no_store_is_refused():
    with pytest.raises(SettingsError, match=r"an object with names, read, write, delete; got a dict without names, re"):
        check_writable({})


def test_a_plugin_without_the_methods_of_a_store_is_named(tmp_path, monkeypatch):
    with (
        installed(tmp_path, monkeypatch, CHECKPOINT_STORES, "vault", "class Thing:\n    pass"),
        pytest.raises(PluginError, match=r"must have names, read, write, delete; vault lacks names"),
    ):
        store_at("vault://root")
