"""A search: its trials, proposals, results, confirmation and stop rules. An engine calls it."""
