"""The contract of a checkpoint store as a class of tests."""

import copy
from pathlib import Path

import pytest

from hybrid_search.errors import CheckpointError
from hybrid_search.training.checkpoints import CheckpointStore, check_writable


class CheckpointStoreContract:
    """The tests that every checkpoint store must pass. Inherit from it in a test module.

    Example:
        >>> class TestVault(CheckpointStoreContract):
        ...     def new_store(self, tmp_path):
        ...         return VaultStore(f"vault://test/{tmp_path.name}")
    """

    def new_store(self, tmp_path: Path) -> CheckpointStore:
        """Return an empty store that can be written.

        Args:
            tmp_path: an empty folder of this test.
        """
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> CheckpointStore:
        """Provide an empty store."""
        return self.new_store(tmp_path)

    def test_a_file_is_read_as_it_was_written(self, store: CheckpointStore) -> None:
        """Check: a file is read as it was written."""
        data = bytes(range(256)) * 10
        store.write({"a/b/1.safetensors": data, "a/b/1.safetensors.sha256": b"sum\n"})
        assert store.read("a/b/1.safetensors") == data
        assert store.read("a/b/1.safetensors.sha256") == b"sum\n"

    def test_a_file_that_is_written_again_is_replaced(self, store: CheckpointStore) -> None:
        """Check: a file that is written again is replaced."""
        for data in (b"first, and longer", b"second"):
            store.write({"a/b/1": data})
        assert store.read("a/b/1") == b"second"

    def test_names_are_those_of_a_folder_and_below_from_the_root(self, store: CheckpointStore) -> None:
        """Check: names are those of a folder and below from the root."""
        for name in ("a/b/1", "a/b/2", "a/c/1", "d/b/1"):
            store.write({name: b"1"})
        assert sorted(store.names("a")) == ["a/b/1", "a/b/2", "a/c/1"]
        assert sorted(store.names("a/b")) == ["a/b/1", "a/b/2"]
        assert store.names("none") == []

    def test_a_file_or_a_folder_is_deleted_and_nothing_else(self, store: CheckpointStore) -> None:
        """Check: a file or a folder is deleted and nothing else."""
        for name in ("a/b/1", "a/b/2", "a/c/1"):
            store.write({name: b"1"})
        store.delete("a/b/1")
        assert sorted(store.names("a")) == ["a/b/2", "a/c/1"]
        store.delete("a/b")
        store.delete("a/none")
        assert store.names("a") == ["a/c/1"]

    def test_a_missing_file_is_a_checkpoint_error(self, store: CheckpointStore) -> None:
        """Check: a missing file is a checkpoint error."""
        with pytest.raises(CheckpointError, match="none"):
            store.read("a/none")

    def test_a_store_can_be_sent_to_a_worker(self, store: CheckpointStore) -> None:
        """Check: a store can be sent to a worker."""
        store.write({"a/b/1": b"1"})
        sent = copy.deepcopy(store)  # asks the object for its state as pickle does
        assert sent.read("a/b/1") == b"1"

    def test_a_store_as_an_object_is_checked_and_stays_empty(self, store: CheckpointStore) -> None:
        """Check: a store as an object is checked and stays empty."""
        assert check_writable(store) is store
        assert store.names("") == []
