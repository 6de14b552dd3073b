"""Architectures: frozen, canonical, hashable, plain JSON."""

import dataclasses
import json

import pytest

from hybrid_search.errors import ArchitectureError
from hybrid_search.networks.architecture import Architecture, Stage
from hybrid_search.networks.stems import make_stem

STEM = make_stem("conv3x3", {})


def described(**changes):
    stages = [{"operator": "conv", "depth": 1, "width": 16}]
    return {"stem": {"kind": "conv3x3"}, "stages": stages, **changes}


def test_a_choice_per_block_is_the_same_network_as_a_stage():
    blocks = (Stage("conv", 1, 16, 2), Stage("conv", 1, 16), Stage("conv", 2, 16))
    assert Architecture(STEM, blocks) == Architecture(STEM, (Stage("conv", 4, 16, 2),))
    assert Architecture(STEM, blocks).digest == Architecture(STEM, (Stage("conv", 4, 16, 2),)).digest
    assert len(Architecture(STEM, (*blocks, Stage("conv", 1, 16, 2))).stages) == 2


def test_defaults_written_out_or_left_out_are_one_architecture():
    short = Stage("local_attention", 1, 16)
    long = Stage("local_attention", 1, 16, 1, {"heads": 8, "extent": 7, "border": "masked"})
    assert short == long
    assert hash(short) == hash(long)


def test_options_without_effect_do_not_change_the_digest():
    def digest(stem=STEM, **options):
        return Architecture(stem, (Stage("local_attention", 1, 16, 1, options),)).digest

    assert digest(extent=1, border="zero") == digest(extent=1)
    assert digest(extent=3, border="zero") != digest(extent=3)
    plain = {"values": "plain"}
    assert digest(make_stem("attention", plain)) == digest(make_stem("attention", {**plain, "mixtures": 9}))


def test_an_architecture_is_plain_json_and_comes_back_equal():
    stages = (Stage("conv", 2, 16, 1, {"kernel_size": 5}), Stage("local_attention", 1, 32, 2, {"norm": True}))
    architecture = Architecture(make_stem("attention", {"width": 8}), stages, 2)
    again = Architecture.from_dict(json.loads(json.dumps(architecture.to_dict())))
    assert again == architecture
    assert again.digest == architecture.digest
    assert len(architecture.digest) == 16
    assert architecture.to_dict()["version"] == 1


def test_an_architecture_is_frozen_and_can_be_a_key():
    architecture = Architecture.from_dict(described())
    assert {architecture: 1}[Architecture.from_dict(described())] == 1
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign"):
        architecture.expansion = 2


def test_an_architecture_reads_as_one_line():
    stages = (Stage("conv", 2, 16), Stage("local_attention", 1, 32, 2))
    line = str(Architecture(STEM, stages))
    assert line == "conv3x3 width=16 | 2x16 conv kernel_size=3 | 1x32/2 local_attention extent=7"
    assert "\n" not in line


@pytest.mark.parametrize(
    ("description", "law"),
    [
        ([], r'an architecture must be \{"stem": \{...\}, "stages": \[...\]\}; got \[\]'),
        (described(stages=[]), r"needs at least one stage; got none"),
        (described(stages="conv"), r"stages must be a list of stages; got 'conv'"),
        (described(version=2), r"version must be 1; got 2"),
        (described(expantion=4), r"keys of an architecture are .*; got 'expantion'\. Did you mean 'expansion'"),
        (described(expansion=0), r"expansion must be a whole number from 1 up; got 0"),
        (described(stem={"kind": "conv9x9"}), r"stem must be one of .*; got 'conv9x9'"),
        (
            described(stem={"kind": "conv3x3", "wide": 1}),
            r"options of stem conv3x3 are width, stride, activation; got 'wide'",
        ),
        (described(stages=[{"operator": "conv"}]), r"a stage needs operator, depth and width; got operator"),
    ],
)
def test_a_description_that_cannot_be_is_refused(description, law):
    with pytest.raises(ArchitectureError, match=law):
        Architecture.from_dict(description)


@pytest.mark.parametrize(
    ("arguments", "law"),
    [
        (("conv", 0, 16), r"depth must be a whole number from 1 up; got 0"),
        (("conv", 1, 16.0), r"width must be a whole number from 1 up; got 16.0"),
        (("conv", 1, 16, 5), r"stride must be a whole number from 1 to 4; got 5"),
        (("conv", 1, 16, 1, {"kernel_size": 2}), r"kernel_size must be an odd number from 1 up; got 2"),
        (("conv", 1, 16, 1, {"groups": 3}), r"groups must divide the width; got 3 groups at width 16"),
        (("local_attention", 1, 20), r"got 8 heads at width 20; possible: 1, 2, 5, 10"),
        (("window", 1, 16), r"operator must be one of conv, .*; got 'window'"),
        (("conv", 1, 16, 1, {"extent": 3}), r"options of conv are kernel_size, groups; got 'extent'"),
    ],
)
def test_a_stage_that_breaks_a_law_is_refused(arguments, law):
    with pytest.raises(ArchitectureError, match=law):
        Stage(*arguments)
