"""torch.compile. Where it is not possible, the error gives the reason."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from hybrid_search.errors import SettingsError


def compiled(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return a function that runs a network compiled by torch. The first call compiles it.

    Args:
        model: the network; its weights are shared.

    Raises:
        SettingsError: at the first call, the network cannot be compiled here.
    """
    run = torch.compile(model)

    def forward(x: Tensor) -> Tensor:
        try:
            return cast("Tensor", run(x))
        except Exception as error:
            if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise SettingsError(
                    f"compile must be possible here; torch cannot compile the network: {reason}. Use compile=false."
                ) from error
            raise

    return forward
