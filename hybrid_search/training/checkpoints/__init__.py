"""Checkpoints: where a trial goes on from when its worker or its driver went away.

    <root>/<search key>/<trial>-<seed>/000004.safetensors           the state after four rungs, and whose it is
                                       000004.safetensors.sha256    without it, or with another, the state is not whole

Two are kept for each running trial, none for one that has ended. Only a whole checkpoint of the same search, trial,
architecture and settings is ever given out.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hybrid_search.errors import CheckpointError
from hybrid_search.networks.architecture import Architecture
from hybrid_search.records import Settings
from hybrid_search.training.checkpoints.packing import Checkpoint, Owner, checksum, pack, unpack
from hybrid_search.training.checkpoints.stores import HALF, Folder, Store, check_writable, store_at

__all__ = ["EVERY", "Checkpoint", "Checkpoints", "Keeping", "Latest", "check_writable"]

EVERY = 5.0  # seconds between two checkpoints of a trial at least, so that short rungs cost nothing
SUFFIX, BESIDE = ".safetensors", ".sha256"


@dataclass(frozen=True)
class Latest:
    """The newest checkpoint that a trial may go on from, if any; `said` is why newer ones were passed over."""

    checkpoint: Checkpoint | None
    said: str = ""


@dataclass(frozen=True)
class Keeping:
    """Where one training of one trial keeps its checkpoints, and whose they must be. It travels to the worker."""

    root: str
    owner: Owner
    seed: int
    every: float = EVERY

    @property
    def folder(self) -> str:
        """From the root."""
        return f"{self.owner.search}/{self.owner.trial}-{self.seed}"

    def write(self, checkpoint: Checkpoint, before: int | None = None) -> None:
        """Keep this checkpoint and the one before it, and no other.

        before: the rung of that one, where it is known which are good; None is the newest below. CheckpointError where
        there is no place for it; what was kept before is then kept still.
        """
        data, store = pack(self.owner, checkpoint), store_at(self.root)
        there = store.names(self.folder)
        for half in [name for name in there if name.endswith(HALF)]:  # of a writer that was killed
            store.drop(half)
        name = self._name(checkpoint.rung)
        store.write({name: data, name + BESIDE: checksum(data)})
        if before is None:
            before = next((rung for rung in _rungs(there) if rung < checkpoint.rung), 0)
        kept = {name, self._name(before)}
        for other in there:
            if not other.endswith(HALF) and other.removesuffix(BESIDE) not in kept:
                store.drop(other)

    def latest(self) -> Latest:
        """The newest whole checkpoint of this trial, if there is one. Nothing is raised, nothing changed."""
        said: list[str] = []
        try:
            store = store_at(self.root)
            names = store.names(self.folder)
        except CheckpointError as error:
            return Latest(None, str(error))
        for rung in _rungs(names):
            try:
                return Latest(self._read(store, rung, names), " ".join(said))
            except CheckpointError as error:
                said.append(str(error))
        return Latest(None, " ".join(said))

    def _read(self, store: Store, rung: int, names: list[str]) -> Checkpoint:
        name = self._name(rung)
        where = f"{self.root}/{name}"
        if name + BESIDE not in names:
            raise CheckpointError(f"a checkpoint must be whole; {where} has no checksum beside it.")
        data = store.read(name)
        if checksum(data) != store.read(name + BESIDE):
            raise CheckpointError(f"a checkpoint must be whole; {where} differs from the checksum beside it.")
        return unpack(self.owner, data, where)

    def _name(self, rung: int) -> str:
        return f"{self.folder}/{rung:06d}{SUFFIX}"


def _rungs(names: list[str]) -> list[int]:
    """The rungs that something is kept of, the newest first."""
    stems = [Path(name).name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)]
    return sorted((int(stem) for stem in stems if stem.isdecimal()), reverse=True)


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one search: their root, as `check_writable` gives it, and the key of the search."""

    root: str
    search: str
    every: float = EVERY

    def of(self, number: int, architecture: Architecture, settings: Settings) -> Keeping:
        """Where the trial of this number is kept when it is trained under these settings."""
        owner = Owner(self.search, number, architecture.digest, settings.digest)
        return Keeping(self.root, owner, settings.seed, self.every)

    def begin(self) -> None:
        """Make the root, where it is a folder that is not there yet. CheckpointError where that cannot be done."""
        store = store_at(self.root)
        if isinstance(store, Folder):
            try:
                store.root.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise CheckpointError(
                    f"checkpoints need a folder; {self.root} cannot be made: {error.strerror}."
                ) from error

    def held(self) -> set[tuple[int, int]]:
        """(trial number, seed) of everything that is kept. CheckpointError where that cannot be seen."""
        parts = [name.split("/")[1].partition("-") for name in store_at(self.root).names(self.search)]
        return {(int(number), int(seed)) for number, _, seed in parts if number.isdecimal() and seed.isdecimal()}

    def drop(self, number: int, seed: int) -> None:
        """Remove all that is kept of a trial under this seed; what cannot be removed now is left to the next driver."""
        with suppress(CheckpointError):
            store_at(self.root).drop(f"{self.search}/{number}-{seed}")

    def end(self) -> None:
        """Remove the folder of this search where nothing is in it."""
        store = store_at(self.root)
        if isinstance(store, Folder):
            with suppress(OSError):
                (store.root / self.search).rmdir()
