"""Spaces and evaluations without training, defined so that a worker process can unpickle them by value."""

from dataclasses import replace

from hybrid_search.spaces.space import SearchSpace


def tiny_space(**more):
    """Return a space of twelve designs and three parameters, small enough to enumerate in a test."""
    operator = {"conv": {"kernel_size": [3, 5]}, "local_attention": {"extent": [3, 5], "heads": [2, 4]}}
    stages = [{"depth": 1, "width": [8, 16], "operator": operator}]
    return SearchSpace.from_dict({"name": "tiny", "stem": {"conv3x3": {"width": 8}}, "stages": stages, **more})


def scored(rungs=2):
    """Return an evaluation that reports a score from the digest at every rung."""

    def evaluate(architecture, settings):
        for rung in range(1, rungs + 1):
            yield {"accuracy": int(architecture.digest[:4], 16) / 65536 * rung / rungs}

    return evaluate


def wide_space():
    """Return a space of 28 designs and four parameters: enough for a pruner to learn from some and stop others."""
    operator = {"conv": {"kernel_size": [3, 5, 7]}, "local_attention": {"extent": [3, 5], "heads": [2, 4]}}
    return tiny_space(name="wide", stages=[{"depth": 1, "width": [8, 16, 24, 32], "operator": operator}])


def graded(rungs=6):
    """Return an evaluation whose early values predict the final one: the distance to the score halves at every rung."""

    def evaluate(architecture, settings):
        score = 0.5 + 0.45 * int(architecture.digest[:4], 16) / 65536
        for rung in range(1, rungs + 1):
            yield {"accuracy": score * (1.0 - 0.5**rung), "train_loss": 2.0 - score * (1.0 - 0.5**rung)}

    return evaluate


def resumable(rungs=4, before=lambda rung, resumed: None):
    """Return an evaluation that writes checkpoints and resumes from them; `before` is called before each rung."""

    def evaluate(architecture, settings, *, resume=None, keep=None):
        import torch

        begun = 0 if resume is None else int(resume["rung"])
        for rung in range(begun + 1, rungs + 1):
            before(rung, resume is not None)
            if keep is not None:
                keep(rung, lambda rung=rung: {"rung": torch.tensor(rung)})
            yield {"accuracy": int(architecture.digest[:4], 16) / 65536 * rung / rungs}

    return evaluate


def checkpoint_every_rung(search, context):
    """Write a checkpoint after every rung, however short (a `watch` for `run`)."""
    context.checkpoints = replace(context.checkpoints, interval=0.0)


def broken(kind):
    """Return an evaluation in which attention designs fail: they raise, report NaN, or report no accuracy."""

    def evaluate(architecture, settings):
        yield {"accuracy": 0.1}
        if architecture.stages[0].operator == "local_attention":
            if kind == "raises":
                raise RuntimeError("a bug in the user's code")
            yield {"accuracy": float("nan")} if kind == "nan" else {"loss": 1.0}
        yield {"accuracy": 0.5}

    return evaluate
