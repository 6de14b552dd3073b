"""A search that is killed many times ends with the table of an uninterrupted search. The short form is in
tests/test_resume.py."""

import pytest
from support.killing import json_output_of

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("seed", [1, 2])
def test_a_digits_search_killed_ten_times_ends_with_the_same_table(tmp_path, seed):
    result = json_output_of("killed_search.py", tmp_path, 10, seed, 16, 5, 600, seconds=900)
    assert result.pop("resumed") >= 1
    assert result == {"kills": 10, "same": True, "trials": 16}
