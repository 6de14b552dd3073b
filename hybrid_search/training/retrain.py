"""What a worker runs to confirm a trial: the evaluation of the search under a fresh seed, scored on the test split too.

The test split is opened once a process, for its first network, and the opening is logged.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache

from torch import Tensor

from hybrid_search.data import Split, load, open_test
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.model import build_model
from hybrid_search.records import Report, Settings
from hybrid_search.training.evaluate import evaluate
from hybrid_search.training.loop import device_of, score

REASON = "confirming a front over fresh seeds"


def retrain(
    architecture: Architecture,
    settings: Settings,
    *,
    resume: Mapping[str, Tensor] | None = None,
    keep: Callable[[int, Callable[[], dict[str, Tensor]]], None] | None = None,
) -> Iterator[Report]:
    """Build and train one network as `evaluate` does; its last report also has `test_accuracy` 0..1 and `test_loss`.

    `resume` and `keep` are those of `evaluate`. No weights are given: a retrained network is measured, not kept.
    """
    from safetensors.torch import load as load_weights

    for report in evaluate(architecture, settings, resume=resume, keep=keep):
        if not report.last:
            yield report
            continue
        assert report.weights is not None
        dataset = load(settings)
        model = build_model(architecture, dataset.input_size[0], len(dataset.classes))
        model.load_state_dict(load_weights(report.weights))
        found = score(model.to(device_of(settings)), opened_test(settings), dataset, settings)
        tested = {"test_accuracy": found.accuracy, "test_loss": found.loss}
        yield replace(report, measurements={**report.measurements, **tested}, weights=None)


def opened_test(settings: Settings) -> Split:
    """The test split of these settings, opened and logged on the first call of a process."""
    chosen = {name: getattr(settings, name) for name in ("data", "data_dir", "image_size", "split_seed")}
    return _opened(Settings(**chosen))


@lru_cache(maxsize=1)
def _opened(settings: Settings) -> Split:
    return open_test(settings, REASON)
