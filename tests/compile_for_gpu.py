"""Compile the Triton kernels for a GPU that need not exist here: python tests/compile_for_gpu.py 90 bfloat16 [...].

The first word is the compute capability, the second the type. Map sizes follow as ROWSxCOLS (default 28x28). All steps
up to the launch equal those of a call with channels-last maps, 8 heads of 32 channels and extent 7. The program prints
how often each kernel was compiled.
"""

import sys

import torch
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.driver import CudaDriver
from triton.runtime.driver import driver

from hybrid_search.ops.local_attention import autograd, triton_backend, triton_kernels

KERNELS = ("forward", "backward_queries", "backward_keys")


class NoGPU(CudaDriver):
    """The part of a driver that Triton uses before a launch."""

    def __init__(self, capability):
        self.target = GPUTarget("cuda", capability, 32)
        self.get_current_device = lambda: 0
        self.get_current_stream = lambda device: 0

    def get_current_target(self):
        return self.target


class Compiled:
    """A kernel that is compiled instead of launched."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.versions = set()

    def __getitem__(self, grid):
        return lambda *args, **options: self.versions.add(self.kernel.warmup(*args, grid=grid, **options).hash)


def call(rows, cols, dtype):
    """Run forward and backward, with q, k and v as slices of one projection, like the layer."""
    maps = torch.zeros(2, rows, cols, 8, 3, 32, dtype=dtype)
    q, k, v = maps.permute(4, 0, 3, 5, 1, 2)
    row, col = torch.zeros(2, 8, 16, 7, dtype=dtype)
    y, lse = triton_backend._forward(q, k, v, row, col, 7, "masked")
    grads = autograd.empty_gradients(q, k, v, row, col)
    triton_backend._fill(grads, y, q, k, v, row, col, y, lse, 7, "masked")


def main():
    capability, dtype, *sizes = sys.argv[1:]
    driver.set_active(NoGPU(int(capability)))
    for name in KERNELS:
        setattr(triton_kernels, name, Compiled(getattr(triton_kernels, name)))
    for size in sizes or ["28x28"]:
        call(*map(int, size.split("x")), getattr(torch, dtype))
    for name in KERNELS:
        print(name, len(getattr(triton_kernels, name).versions))


if __name__ == "__main__":
    main()
