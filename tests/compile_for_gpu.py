"""Compiles the Triton kernels for a GPU that need not be there: python tests/compile_for_gpu.py 90 bf16.

The first word is the compute capability, the second the type. Channels-last maps of 56 x 56, heads of 32 channels,
extent 7. Prints the name of each kernel as it is done.
"""

import sys
from dataclasses import astuple

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from hybrid_search.ops.local_attention import gpu, gpu_kernels

WIDTH, EXTENT, BORDER = 32, 7, "masked"
SIZES = {"fp16": 2, "bf16": 2, "fp32": 4, "fp64": 8}


def source(name, dtype):
    """The kernel with the types of its arguments: maps are a pointer and five strides, that of channels 1."""
    kernel = getattr(gpu_kernels, name)
    sums = "fp64" if dtype == "fp64" else "fp32"
    plan = gpu.cut(56, 56, EXTENT, BORDER, WIDTH, SIZES[dtype])
    fixed = {"WIDTH": WIDTH, "PADDED": gpu.power(WIDTH), "EXTENT": EXTENT, "ENTRIES": gpu.power(EXTENT)}
    fixed |= {"BORDER": BORDER, "SUM": tl.float64 if dtype == "fp64" else tl.float32}
    fixed |= dict(zip(("TILE_ROWS", "TILE_COLS", "CHUNK_ROWS", "CHUNK_COLS"), astuple(plan), strict=False))
    types, constants, attributes = {}, {}, {}
    aligned = [["tt.divisibility", 16]]
    for n, argument in enumerate(kernel.arg_names):
        if argument in fixed:
            types[argument], constants[n,] = "constexpr", fixed[argument]
        elif argument in ("rel_row", "rel_col", "drel"):
            types[argument], attributes[n,] = f"*{sums if argument == 'drel' else dtype}", aligned
        elif argument in (*gpu_kernels.SIZES, "per_head"):
            types[argument] = "i32"
        else:
            one_number = argument in ("lse", "delta")
            types[argument] = (f"*{sums if one_number else dtype}", "i32", "i32", "constexpr", "i32", "i32")
            constants[n, 3] = 1
            attributes |= {(n, at): aligned for at in ((0,) if one_number else (0, 1, 2, 4, 5))}
    return ASTSource(kernel, types, constants, attributes), plan


def main():
    capability, dtype = sys.argv[1:]
    for name in ("forward", "backward_queries", "backward_keys"):
        code, plan = source(name, dtype)
        options = {"num_warps": plan.warps, "num_stages": 2}
        triton.compile(code, target=GPUTarget("cuda", int(capability), 32), options=options)
        print(name, flush=True)


if __name__ == "__main__":
    main()
