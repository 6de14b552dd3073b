"""The Triton kernels on a GPU, against the definition there in float64: python tests/on_gpu.py [cases].

No test of pytest, for where there is no GPU it would be skipped, and skips hide faults. Without one it says so and
exits with 2; with the first difference that is too large it exits with 1.
"""

import random
import sys

import torch
from test_cpu_kernel import NAMES, draw, run

from hybrid_search.ops import LocalAttention2d, local_attention
from hybrid_search.ops.local_attention import BORDERS

BOUNDS = {torch.float32: 2e-5, torch.float16: 0.005, torch.bfloat16: 0.04}  # relative to the largest number, or to 1


def cases(number):
    dice = random.Random(0)
    for n in range(number):
        content, position = dice.choice([(True, True), (True, True), (True, False), (False, True)])
        d = dice.choice([2, 8, 16, 20, 32, 64]) if position else dice.choice([1, 3, 16, 32, 63])
        shape = (dice.randint(1, 4), dice.choice([1, 3, 8]), d, dice.randint(1, 40), dice.randint(1, 40))
        options = {"content": content, "position": position, "shared": dice.random() < 0.3, "seed": n}
        form = dice.choice(["plain", "slice", "channels last", "spread"])
        yield shape, dice.choice([1, 3, 5, 7, 7, 11, 31]), BORDERS[n % 3], form, options


def random_shapes_and_options_are_the_definition(number):
    worst = dict.fromkeys(BOUNDS, 0.0)
    for shape, extent, border, form, options in cases(number):
        for dtype, bound in BOUNDS.items():
            if extent == 1 and dtype != torch.float32:
                continue  # its weights are 1 and the gradients of q and k 0: what is left of them is rounding
            tensors = draw(*shape, extent, **options)
            tensors = [None if x is None else x.to(dtype).double().cuda() for x in tensors]
            upstream = torch.randn_like(tensors[0]).to(dtype).double()
            expected = run(tensors, upstream, extent=extent, border=border, backend="definition")
            same = {"extent": extent, "border": border, "backend": "triton", "dtype": dtype, "form": form}
            ours, again = run(tensors, upstream, **same), run(tensors, upstream, **same)
            for name, a, b, c in zip(NAMES, ours, expected, again, strict=True):
                if a is None:
                    continue
                difference = ((a - b).abs().max() / b.abs().max().clamp(min=1)).item()
                worst[dtype] = max(worst[dtype], difference)
                case = (name, difference, dtype, shape, extent, border, form, options)
                assert difference <= bound, case
                assert torch.equal(a, c), ("another result for the same input", *case)
    print(f"{number} cases; largest differences: {worst}")


def an_image_with_nan_does_not_touch_the_other_images():
    tensors = [x.float().cuda() for x in draw(3, 2, 32, 20, 17, 7)]
    upstream = torch.randn_like(tensors[0])
    expected = run(tensors, upstream, extent=7, border="masked", backend="triton", dtype=torch.float32)
    tensors[2][1] = float("nan")
    spoilt = run(tensors, upstream, extent=7, border="masked", backend="triton", dtype=torch.float32)
    assert spoilt[0][1].isnan().all()
    for ours, theirs in zip(spoilt[:4], expected[:4], strict=True):
        assert torch.equal(ours[::2], theirs[::2])


def a_layer_runs_it_and_compiles_with_it():
    layer = LocalAttention2d(64, 7, 8, backend="triton").cuda().to(memory_format=torch.channels_last)
    x = torch.randn(4, 64, 28, 20, device="cuda").to(memory_format=torch.channels_last).requires_grad_()
    results = []
    for call in (layer, torch.compile(layer, fullgraph=True)):
        y = call(x)
        results.append([y, *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-2)


def half_a_thousand_images_of_many_tiles_are_reached():
    """Addresses beyond 2^31 numbers."""
    if torch.cuda.mem_get_info()[0] < 40 * 2**30:
        print("left out: addresses beyond 2^31 numbers need 40 GiB")
        return
    x = torch.randn(512, 8, 3, 32, 112, 112, device="cuda", dtype=torch.bfloat16)
    q, k, v = x.unbind(2)
    y = local_attention(q, k, v, extent=3, backend="triton")
    last = local_attention(q[-1:], k[-1:], v[-1:], extent=3, backend="triton")
    assert torch.equal(y[-1:], last)


def main():
    if not torch.cuda.is_available():
        print("There is no GPU here: these checks need one.", file=sys.stderr)
        sys.exit(2)
    random_shapes_and_options_are_the_definition(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
    for check in (
        an_image_with_nan_does_not_touch_the_other_images,
        a_layer_runs_it_and_compiles_with_it,
        half_a_thousand_images_of_many_tiles_are_reached,
    ):
        check()
        print(check.__name__.replace("_", " "))


if __name__ == "__main__":
    main()
