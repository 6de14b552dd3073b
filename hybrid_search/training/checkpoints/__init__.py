"""Checkpoints: the states from which trials continue after a worker or the driver is gone.

    <root>/<search key>/<trial>-<seed>/000004.safetensors           the state after four rungs, and its owner
                                       000004.safetensors.sha256    its checksum; without it the state is incomplete

A running trial has at most two checkpoints, an ended trial has none. Only a complete checkpoint of the same search,
trial, architecture and settings is ever loaded.

Files:
    packing.py             a checkpoint as bytes
    trial_checkpoints.py   TrialCheckpoints: the checkpoints of one training, for its worker
    rank_checkpoints.py    RankCheckpoints: those of a training that several processes share
    search_checkpoints.py  SearchCheckpoints: the checkpoints of one search, for its driver
    store.py               CHECKPOINT_STORES, the table of stores, and what a store is
    folder_store.py        a folder
    fsspec_store.py        a store that fsspec supports
"""

from hybrid_search.training.checkpoints.packing import Checkpoint, Owner
from hybrid_search.training.checkpoints.search_checkpoints import SearchCheckpoints
from hybrid_search.training.checkpoints.store import CHECKPOINT_STORES, CheckpointStore, check_writable, store_at
from hybrid_search.training.checkpoints.trial_checkpoints import (
    INTERVAL_SECONDS,
    AnyCheckpoints,
    LoadedCheckpoint,
    TrialCheckpoints,
)

__all__ = [
    "CHECKPOINT_STORES",
    "INTERVAL_SECONDS",
    "AnyCheckpoints",
    "Checkpoint",
    "CheckpointStore",
    "LoadedCheckpoint",
    "Owner",
    "SearchCheckpoints",
    "TrialCheckpoints",
    "check_writable",
    "store_at",
]
