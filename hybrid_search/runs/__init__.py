"""Whole commands in one call: `run`, `confirm`, `baseline` and `train`, with leadership, checkpoints and progress."""
