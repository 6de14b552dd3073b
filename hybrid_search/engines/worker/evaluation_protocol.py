"""The protocol of an evaluation: the training of this package, or a function of the user."""

import inspect
from collections.abc import Callable, Iterator, Mapping

from hybrid_search.records import Report

# An evaluation is called with (architecture, settings). It yields one report per rung: a `Report`, or a plain mapping
# of name to number. The last report counts.
#
# An evaluation with the keyword arguments `resume` and `keep`, both None by default, can use checkpoints. `resume` is
# the state to continue from, a flat mapping of name to tensor, or None. `keep(rung, state)` must be called before each
# report; `state` is a function that returns the state, such as `module.state_dict`. It is called if a checkpoint is
# due. If the evaluation raises CheckpointError before its first report, it is called again without the checkpoint.
Evaluate = Callable[..., Iterator[Report | Mapping[str, float]]]


def takes_checkpoints(evaluate: Evaluate) -> bool:
    """Return whether an evaluation has both keyword arguments, `resume` and `keep`.

    Args:
        evaluate: the evaluation.
    """
    try:
        return {"resume", "keep"} <= inspect.signature(evaluate).parameters.keys()
    except (TypeError, ValueError):  # a callable without a readable signature
        return False
