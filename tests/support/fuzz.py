"""How many wrong inputs a fuzz test tries: some hundred in `make test`, many in `make fuzz`."""

import pytest


def fuzz_counts(reduced, full=20_000):
    """Return both numbers for `pytest.mark.parametrize`; the larger one has the marker `fuzz`."""
    return [reduced, pytest.param(full, marks=pytest.mark.fuzz)]
