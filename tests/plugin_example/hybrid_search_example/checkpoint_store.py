"""Checkpoint store `shelf`: files in a folder that the URL names, shelf:///folder."""
