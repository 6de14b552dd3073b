"""Whole commands in one call: `run` and `confirm`, their resources, leadership and checkpoint root."""
