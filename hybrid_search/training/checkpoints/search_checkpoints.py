"""SearchCheckpoints: the checkpoints of one search, for its driver."""

from contextlib import suppress
from dataclasses import dataclass

from hybrid_search.errors import CheckpointError
from hybrid_search.networks.architecture import Architecture
from hybrid_search.records import Settings
from hybrid_search.training.checkpoints.folder_store import FolderStore
from hybrid_search.training.checkpoints.packing import Owner
from hybrid_search.training.checkpoints.store import CheckpointStore, store_at
from hybrid_search.training.checkpoints.trial_checkpoints import INTERVAL_SECONDS, TrialCheckpoints


@dataclass(frozen=True)
class SearchCheckpoints:
    """The checkpoints of one search.

    Attributes:
        root: The place, as `check_writable` returns it.
        search: The key of the search.
        interval: Seconds between two checkpoints of a trial, at least.
    """

    root: str | CheckpointStore
    search: str
    interval: float = INTERVAL_SECONDS

    def of(self, number: int, architecture: Architecture, settings: Settings) -> TrialCheckpoints:
        """Return the checkpoints of one training: the number of its trial, its architecture and its settings.

        Args:
            number: number of the trial.
            architecture: its architecture.
            settings: its settings; the seed is part of the name.
        """
        owner = Owner(self.search, number, architecture.digest, settings.digest)
        return TrialCheckpoints(self.root, owner, settings.seed, self.interval)

    def create_root(self) -> None:
        """Create the root if it is a folder that does not exist.

        Raises:
            CheckpointError: The folder cannot be created.
        """
        store = store_at(self.root)
        if isinstance(store, FolderStore):
            try:
                store.root.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise CheckpointError(
                    f"checkpoints need a folder; {self.root} cannot be created: {error.strerror}."
                ) from error

    def trials(self) -> set[tuple[int, int]]:
        """Return (trial number, seed) of every training with checkpoints.

        Raises:
            CheckpointError: The store cannot be read.
        """
        parts = [name.split("/")[1].partition("-") for name in store_at(self.root).names(self.search)]
        return {(int(number), int(seed)) for number, _, seed in parts if number.isdecimal() and seed.isdecimal()}

    def drop(self, number: int, seed: int) -> None:
        """Delete the checkpoints of a training. If that fails, the next driver deletes them.

        Args:
            number: number of the trial.
            seed: seed of the training.
        """
        with suppress(CheckpointError):
            store_at(self.root).delete(f"{self.search}/{number}-{seed}")

    def drop_all(self) -> None:
        """Delete the checkpoints of a search that was removed."""
        with suppress(CheckpointError):
            for number, seed in self.trials():
                self.drop(number, seed)
        self.remove_empty_folder()

    def remove_empty_folder(self) -> None:
        """Remove the folder of this search if it is empty."""
        store = store_at(self.root)
        if isinstance(store, FolderStore):
            with suppress(OSError):
                (store.root / self.search).rmdir()
