"""Private helpers: redaction of passwords, the event log, the import of torchvision."""
