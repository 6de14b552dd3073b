"""The attention stem (arXiv 1906.05909, section 3.3 and appendix) and the table of stems.

Faults of public re-implementations excluded here: a stem with sliding instead of aligned blocks, and a pool in the
wrong place (one block must change one output pixel), separate mixtures for each head, and weights that are not a
mixture.
"""

import pytest
import torch

from hybrid_search.errors import ArchitectureError
from hybrid_search.networks.model import use_backend
from hybrid_search.networks.stems import make_stem
from hybrid_search.networks.stems.attention_layer import from_blocks, to_blocks


def stem(channels=3, **options):
    torch.manual_seed(0)
    return make_stem("attention", {"width": 16, **options}).build(channels).double().eval()


@pytest.mark.parametrize("values", ["mixture", "plain"])
@pytest.mark.parametrize("block", [(0, 0), (1, 2), (2, 0)])
def test_changing_one_block_changes_one_output_pixel(values, block):
    row, col = block
    module = stem(values=values)
    x = torch.randn(1, 3, 12, 16, dtype=torch.float64)
    other = x.clone()
    other[:, :, 4 * row : 4 * row + 4, 4 * col : 4 * col + 4] = torch.randn(1, 3, 4, 4, dtype=torch.float64)
    changed = (module(x) != module(other)).any(1)[0]
    assert changed[row, col]
    assert changed.sum() == 1


def test_the_mixture_sums_to_one_over_the_mixtures_and_depends_on_the_place():
    p = stem(mixtures=5).value.mixture()
    assert p.shape == (16, 5)
    torch.testing.assert_close(p.sum(1), torch.ones(16, dtype=torch.float64))
    assert (p[0] - p[5]).abs().max() > 1e-3


def test_mixing_weights_once_for_each_place_is_the_definition_of_spatially_aware_values():
    module = stem()
    x = torch.randn(2, 3, 8, 12, dtype=torch.float64)
    fast = module(x)
    torch.testing.assert_close(fast, use_backend(module, "definition")(x), rtol=0, atol=1e-12)


def test_the_stem_is_the_papers_equations_written_as_loops():
    module = stem(heads=2, mixtures=3)
    x = torch.randn(1, 3, 4, 8, dtype=torch.float64)
    value, attention = module.value, module.attention
    out = torch.zeros(16, 4, 8, dtype=torch.float64)
    for i in range(4):
        for j in range(8):
            left = j // 4 * 4
            q = (module.qk.weight[:16] @ x[0, :, i, j]).view(2, 8)
            logits, values = [], []
            for a in range(4):
                for b in range(left, left + 4):
                    k = (module.qk.weight[16:] @ x[0, :, a, b]).view(2, 8)
                    r = torch.cat([attention.rel_row[:, :, a - i + 3], attention.rel_col[:, :, b - j + 3]], 1)
                    logits.append((q * (k + r)).sum(1))
                    p = torch.stack([(value.emb_row[a] + value.emb_col[b - left]) @ nu for nu in value.nu]).softmax(0)
                    weight = sum(p[m] * value.weight[m] for m in range(3))
                    values.append((weight @ x[0, :, a, b]).view(2, 8))
            weights = torch.stack(logits).softmax(0)
            out[:, i, j] = (weights[:, :, None] * torch.stack(values)).sum(0).flatten()
    expected = module.norm(out[None]).view(1, 16, 1, 4, 2, 4).amax((3, 5))
    torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-12)


def test_blocks_are_aligned_and_put_back_where_they_were():
    x = torch.arange(2 * 8 * 12).view(1, 2, 8, 12)
    blocks = to_blocks(x)
    assert blocks.shape == (1, 2, 3, 16, 2)
    assert torch.equal(blocks[0, 1, 2, :, 0].view(4, 4), x[0, 0, 4:, 8:])
    assert torch.equal(from_blocks(blocks), x)


@pytest.mark.parametrize("size", [(10, 8), (8, 7)])
def test_an_image_that_is_not_made_of_whole_blocks_is_refused_by_cost_and_module(size):
    law = rf"rows and columns divisible by 4; got {size[0]}x{size[1]}\."
    with pytest.raises(ArchitectureError, match=law):
        make_stem("attention", {}).cost(3, *size)
    with pytest.raises(ArchitectureError, match=law):
        stem()(torch.zeros(1, 3, *size, dtype=torch.float64))


def test_options_without_effect_fall_away():
    plain = make_stem("attention", {"values": "plain"})
    assert make_stem("attention", {"values": "plain", "mixtures": 7}).canonical() == plain
    assert make_stem("attention", {"mixtures": 1}).canonical() == plain
    assert make_stem("attention", {"mixtures": 2}).canonical() != plain


def test_a_stem_reads_as_one_line():
    assert str(make_stem("conv7x7", {})) == "conv7x7 width=64"
    assert str(make_stem("attention", {})) == "attention width=64"


@pytest.mark.parametrize(
    ("options", "law"),
    [
        (
            {"heads": 3},
            r"heads must divide the width into even parts .*; got 3 heads at width 64; possible: 1, 2, 4, 8",
        ),
        ({"values": "mix"}, r"values must be one of mixture, plain, conv4x4; got 'mix'"),
        ({"mixtures": 0}, r"mixtures must be a whole number from 1 up; got 0"),
    ],
)
def test_a_broken_law_of_the_attention_stem_is_one_clear_line(options, law):
    with pytest.raises(ArchitectureError, match=law):
        make_stem("attention", options).check()


def test_an_unknown_stem_is_answered_with_the_nearest_name():
    with pytest.raises(ArchitectureError, match=r"stem must be one of .*; got 'conv5x5'\. Did you mean 'conv"):
        make_stem("conv5x5", {})


def test_an_odd_image_passes_the_convolution_stems_as_their_strides_say():
    assert make_stem("conv7x7", {}).build(3)(torch.randn(1, 3, 17, 10)).shape == (1, 64, 5, 3)
    assert make_stem("conv3x3", {}).build(1)(torch.randn(1, 1, 5, 7)).shape == (1, 16, 5, 7)
