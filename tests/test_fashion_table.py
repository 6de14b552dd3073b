"""The committed table of trained networks is complete and agrees with its space and with the cost model."""

from pathlib import Path

import pytest

from hybrid_search.analysis.replay import parse_objectives, read_table
from hybrid_search.analysis.replay.noise import noise_of
from hybrid_search.data import input_size_and_classes
from hybrid_search.networks.costs import simplified_for, total_cost
from hybrid_search.spaces.choosers import FixedChoices
from hybrid_search.spaces.space import load_space

TABLE = Path(__file__).parent.parent / "results" / "fashion-table.csv"


@pytest.fixture(scope="module")
def table():
    return read_table(TABLE, parse_objectives("accuracy,flops"), None)


def test_the_table_has_six_hundred_networks_two_seeds_and_every_rung(table):
    accuracy, flops = table.objectives
    assert len(table.designs) >= 600
    assert len(set(table.digests)) == len(table.designs)
    assert (accuracy.seeds, accuracy.rungs, accuracy.known) == (("0", "1"), (1, 2, 3, 4, 5, 6), False)
    assert flops.known
    assert ((accuracy.values > 0.1) & (accuracy.values < 1.0)).all()


def test_every_row_has_the_digest_and_the_flops_of_its_choices(table):
    space = load_space("fashion-table")
    input_size, classes = input_size_and_classes(space.settings)
    for i, choices in enumerate(table.designs):
        architecture = simplified_for(space.choose(FixedChoices(choices)), input_size)
        assert architecture.digest == table.digests[i]
        assert total_cost(architecture, input_size, classes)[0] == table.objectives[1].means[i]


def test_its_networks_differ_by_more_than_their_noise(table):
    found = noise_of(table.objectives[0])
    assert found.spread > 2 * found.deviation
    assert found.between_seeds > 0.5
