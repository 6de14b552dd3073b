"""The search itself: trials, proposals, results, confirmation and stop rules. Passive: an engine drives it."""
