"""Compare the Triton kernels on a GPU with the definition in float64: python tests/on_gpu.py [cases].

This is not a pytest test, because it would be skipped without a GPU, and skips hide faults. Without a GPU it prints a
message and exits with 2. At the first difference that is too large it exits with 1.
"""

import random
import sys

import torch
from test_cpu_kernel import NAMES, draw, run

from hybrid_search.ops import LocalAttention2d, local_attention
from hybrid_search.ops.local_attention import BORDERS

BOUNDS = {torch.float32: 2e-5, torch.float16: 0.005, torch.bfloat16: 0.04}  # relative to the largest number, or to 1


def cases(number):
    rng = random.Random(0)
    for n in range(number):
        content, position = rng.choice([(True, True), (True, True), (True, False), (False, True)])
        d = rng.choice([2, 8, 16, 20, 32, 64]) if position else rng.choice([1, 3, 16, 32, 63])
        shape = (rng.randint(1, 4), rng.choice([1, 3, 8]), d, rng.randint(1, 40), rng.randint(1, 40))
        options = {"content": content, "position": position, "shared": rng.random() < 0.3, "seed": n}
        form = rng.choice(["plain", "slice", "channels last", "spread"])
        yield shape, rng.choice([1, 3, 5, 7, 7, 11, 31]), BORDERS[n % 3], form, options


def random_shapes_and_options_match_the_definition(number):
    worst = dict.fromkeys(BOUNDS, 0.0)
    for shape, extent, border, form, options in cases(number):
        for dtype, bound in BOUNDS.items():
            if extent == 1 and dtype != torch.float32:
                continue  # all weights are 1 and the gradients of q and k are 0 except for rounding
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


def a_layer_runs_and_compiles_with_the_kernels():
    layer = LocalAttention2d(64, 7, 8, backend="triton").cuda().to(memory_format=torch.channels_last)
    x = torch.randn(4, 64, 28, 20, device="cuda").to(memory_format=torch.channels_last).requires_grad_()
    results = []
    for call in (layer, torch.compile(layer, fullgraph=True)):
        y = call(x)
        results.append([y, *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-2)


def addresses_beyond_2_31_numbers_are_correct():
    """512 images of many tiles have more than 2^31 numbers."""
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
    random_shapes_and_options_match_the_definition(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
    for check in (
        an_image_with_nan_does_not_touch_the_other_images,
        a_layer_runs_and_compiles_with_the_kernels,
        addresses_beyond_2_31_numbers_are_correct,
    ):
        check()
        print(check.__name__.replace("_", " "))


if __name__ == "__main__":
    main()
