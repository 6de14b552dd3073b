"""RankCheckpoints: the checkpoints of a training that several processes share. Rank 0 reads and writes them."""

from dataclasses import dataclass

from hybrid_search.training.checkpoints.packing import Checkpoint, pack, unpack
from hybrid_search.training.checkpoints.trial_checkpoints import LoadedCheckpoint, TrialCheckpoints
from hybrid_search.training.ranks import Ranks


@dataclass(frozen=True)
class RankCheckpoints:
    """The checkpoints of one training as one of its processes sees them.

    Attributes:
        checkpoints: The checkpoints, which only rank 0 reads and writes.
        ranks: The processes.
    """

    checkpoints: TrialCheckpoints
    ranks: Ranks

    @property
    def interval(self) -> float:
        """Seconds between two checkpoints, at least."""
        return self.checkpoints.interval

    def latest(self) -> LoadedCheckpoint:
        """Return the newest valid checkpoint that rank 0 finds. Every rank must call this."""
        owner = self.checkpoints.owner
        loaded = self.checkpoints.latest() if self.ranks.rank == 0 else LoadedCheckpoint(None)
        data = self.ranks.first(None if loaded.checkpoint is None else pack(owner, loaded.checkpoint))
        if self.ranks.rank == 0:
            return loaded
        return LoadedCheckpoint(None if data is None else unpack(owner, data, "the checkpoint of rank 0"))

    def write(self, checkpoint: Checkpoint, previous: int | None = None) -> None:
        """Write a checkpoint in rank 0; do nothing in the others.

        Args:
            checkpoint: The checkpoint.
            previous: As for `TrialCheckpoints.write`.

        Raises:
            CheckpointError: It cannot be written.
        """
        if self.ranks.rank == 0:
            self.checkpoints.write(checkpoint, previous)
