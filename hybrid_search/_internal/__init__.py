"""Helpers that no user imports: redaction, the event log, torchvision beside any build of torch."""
