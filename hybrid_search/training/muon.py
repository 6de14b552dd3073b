"""Muon (Jordan et al. 2024): momentum whose update is orthogonalised, for the weights of a network.

The step of a weight matrix is the orthogonal matrix nearest to its momentum, so that every direction of the matrix is
learned at the same rate. A convolution counts as the matrix (out_channels, rows x cols x in_channels) of its kernel.
Depthwise convolutions, norms, biases and position tables are no matrices: AdamW trains them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

MOMENTUM = 0.95
BETAS = (0.9, 0.999)
ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the iteration, from Jordan et al.: singular values end in 0.7 to 1.2
# Root mean square of a step, as of a typical step of AdamW: both can have one weight decay (Liu et al. 2025).
RMS = 0.2
LEAST = 4  # smaller side of a matrix


def is_matrix(weight: Tensor) -> bool:
    """Return whether Muon trains the weight of a layer: at least 4 x 4, and not depthwise."""
    return weight.dim() in (2, 4) and weight.shape[1] > 1 and min(len(weight), weight[0].numel()) >= LEAST


class Muon(torch.optim.Optimizer):
    """Muon for the groups with `muon=True`, AdamW for the other groups.

    Args:
        groups: parameter groups, each with `params`, `weight_decay` and `muon`.
        lr: the learning rate of all of them.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0, "muon": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Make one step. `closure` is not used."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                (self._muon if group["muon"] else self._adamw)(parameters, group["lr"], group["weight_decay"])

    def _muon(self, parameters: list[Tensor], lr: float, weight_decay: float) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        for p in parameters:
            if not self.state[p]:
                self.state[p]["momentum"] = torch.zeros_like(p)
        momentum = [self.state[p]["momentum"] for p in parameters]
        torch._foreach_lerp_(momentum, gradients, 1 - MOMENTUM)
        updates = torch._foreach_lerp(gradients, momentum, MOMENTUM)
        torch._foreach_mul_(parameters, 1 - lr * weight_decay)
        for p, update in zip(parameters, _orthogonalised([_matrix(each) for each in updates]), strict=True):
            scale = RMS * max(update.shape) ** 0.5
            p.add_(_like(update, p), alpha=-lr * scale)

    def _adamw(self, parameters: list[Tensor], lr: float, weight_decay: float) -> None:
        for p in parameters:
            if not self.state[p]:
                self.state[p] = {
                    "step": torch.zeros((), device=p.device),
                    "exp_avg": torch.zeros_like(p),
                    "exp_avg_sq": torch.zeros_like(p),
                }
        states = [self.state[p] for p in parameters]
        adamw(
            parameters,
            [p.grad for p in parameters if p.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=lr,
            weight_decay=weight_decay,
            eps=1e-8,
            maximize=False,
        )


def _matrix(x: Tensor) -> Tensor:
    """Return a kernel as (out_channels, rows x cols x in_channels), a view in channels-last memory."""
    return x.permute(0, 2, 3, 1).flatten(1) if x.dim() == 4 else x


def _like(matrix: Tensor, weight: Tensor) -> Tensor:
    """Return the matrix in the shape of the weight that it came from."""
    if weight.dim() == 2:
        return matrix
    out, channels, rows, cols = weight.shape
    return matrix.view(out, rows, cols, channels).permute(0, 3, 1, 2)


def _orthogonalised(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Return the nearest orthogonal matrices, by Newton-Schulz iterations of all matrices of a shape at once."""
    found: list[Tensor] = list(matrices)
    shapes: dict[tuple[int, int], list[int]] = {}
    for index, matrix in enumerate(matrices):
        shapes.setdefault((min(matrix.shape), max(matrix.shape)), []).append(index)
    a, b, c = COEFFICIENTS
    for indices in shapes.values():
        wide = [found[i] if found[i].shape[0] <= found[i].shape[1] else found[i].T for i in indices]
        x = torch.stack(wide)
        x = x.to(torch.bfloat16) if x.is_cuda else x
        x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
        for _ in range(ITERATIONS):
            gram = x @ x.mT
            x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
        for index, result in zip(indices, x, strict=True):
            matrix = found[index]
            result = result if matrix.shape[0] <= matrix.shape[1] else result.T
            found[index] = result.to(matrix.dtype).contiguous()
    return found
