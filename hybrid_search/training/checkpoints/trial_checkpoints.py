"""TrialCheckpoints: the checkpoints of one training of one trial, for its worker."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hybrid_search.errors import CheckpointError
from hybrid_search.training.checkpoints.packing import Checkpoint, OtherOwner, Owner, checksum, pack, unpack
from hybrid_search.training.checkpoints.store import PARTIAL_SUFFIX, CheckpointStore, store_at

INTERVAL_SECONDS = 5.0  # the least time between two checkpoints of a trial, so that short rungs are not slowed down
SUFFIX, CHECKSUM_SUFFIX = ".safetensors", ".sha256"


@dataclass(frozen=True)
class LoadedCheckpoint:
    """The newest valid checkpoint of a training.

    Attributes:
        checkpoint: The checkpoint; None if there is none.
        problems: Why newer checkpoints are not valid; empty if there are none.
        of_another: Whether one of them belongs to another training, such as one with another recipe.
    """

    checkpoint: Checkpoint | None
    problems: str = ""
    of_another: bool = False


class AnyCheckpoints(Protocol):
    """The methods of checkpoints that a worker needs."""

    @property
    def interval(self) -> float:
        """Seconds between two checkpoints, at least."""
        ...

    def latest(self) -> LoadedCheckpoint:
        """Return the newest valid checkpoint."""
        ...

    def write(self, checkpoint: Checkpoint, previous: int | None = None) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: The checkpoint.
            previous: The rung of the previous valid checkpoint; None: the newest one below.
        """
        ...


@dataclass(frozen=True)
class TrialCheckpoints:
    """The checkpoints of one training of one trial. It is pickled and sent to the worker.

    Attributes:
        root: A folder, a URL, or a checkpoint store that can be pickled.
        owner: The training.
        seed: The seed of the training.
        interval: Seconds between two checkpoints, at least.
    """

    root: str | CheckpointStore
    owner: Owner
    seed: int
    interval: float = INTERVAL_SECONDS

    @property
    def folder(self) -> str:
        """The folder of the training, relative to the root."""
        return f"{self.owner.search}/{self.owner.trial}-{self.seed}"

    def write(self, checkpoint: Checkpoint, previous: int | None = None) -> None:
        """Write a checkpoint. Delete all others except the previous one.

        Args:
            checkpoint: The checkpoint.
            previous: The rung of the previous valid checkpoint; None: the newest one below.

        Raises:
            CheckpointError: It cannot be written. The existing checkpoints are unchanged.
            TypeError: a value of the state is no tensor.
        """
        data, store = pack(self.owner, checkpoint), store_at(self.root)
        existing = store.names(self.folder)
        for partial in [name for name in existing if name.endswith(PARTIAL_SUFFIX)]:  # of a writer that was killed
            store.delete(partial)
        name = self._name(checkpoint.rung)
        store.write({name: data, name + CHECKSUM_SUFFIX: checksum(data)})
        if previous is None:
            previous = next((rung for rung in _rungs(existing) if rung < checkpoint.rung), 0)
        current = {name, self._name(previous)}
        for other in existing:
            if not other.endswith(PARTIAL_SUFFIX) and other.removesuffix(CHECKSUM_SUFFIX) not in current:
                store.delete(other)

    def latest(self) -> LoadedCheckpoint:
        """Return the newest valid checkpoint. An error becomes a text in `problems`."""
        problems: list[str] = []
        of_another = False
        try:
            store = store_at(self.root)
            names = store.names(self.folder)
        except CheckpointError as error:
            return LoadedCheckpoint(None, str(error))
        for rung in _rungs(names):
            try:
                return LoadedCheckpoint(self._read(store, rung, names), " ".join(problems))
            except CheckpointError as error:
                problems.append(str(error))
                of_another = of_another or isinstance(error, OtherOwner)
        return LoadedCheckpoint(None, " ".join(problems), of_another)

    def drop(self) -> None:
        """Delete every checkpoint of the training.

        Raises:
            CheckpointError: They cannot be deleted.
        """
        store_at(self.root).delete(self.folder)

    def _read(self, store: CheckpointStore, rung: int, names: list[str]) -> Checkpoint:
        name = self._name(rung)
        where = f"{self.root}/{name}"
        if name + CHECKSUM_SUFFIX not in names:
            raise CheckpointError(f"a checkpoint must have a checksum file; {where} has none.")
        data = store.read(name)
        if checksum(data) != store.read(name + CHECKSUM_SUFFIX):
            raise CheckpointError(f"a checkpoint must match its checksum file; {where} does not.")
        return unpack(self.owner, data, where)

    def _name(self, rung: int) -> str:
        return f"{self.folder}/{rung:06d}{SUFFIX}"


def _rungs(names: list[str]) -> list[int]:
    """Return the rungs of these files, the newest first."""
    stems = [Path(name).name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)]
    return sorted((int(stem) for stem in stems if stem.isdecimal()), reverse=True)
