"""Private helpers: recipes and rules of settings, parsers, paths and files, secrets, event log, process state."""
