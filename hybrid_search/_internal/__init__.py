"""Private helpers: rules of settings, numbers as text, passwords, event log, files, process state."""
