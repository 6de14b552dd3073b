"""A search that is killed again and again ends with the table of one that nobody killed. The short form is in
tests/test_resume.py."""

import pytest
from support.killing import said_by

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("seed", [1, 2])
def test_a_digits_search_killed_ten_times_ends_with_the_same_table(tmp_path, seed):
    found = said_by("killed_search.py", tmp_path, 10, seed, 16, 5, 600, seconds=900)
    assert found.pop("resumed") >= 1
    assert found == {"kills": 10, "same": True, "trials": 16}
