"""The function that a worker runs to confirm a trial: train with a fresh seed, then score on the test split.

The test split is used only here, after the search. A process reads it once, and logs this use of the test split.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache

from torch import Tensor

from hybrid_search._internal.process_state import clean_process_state
from hybrid_search.data import Split, load, open_test
from hybrid_search.data.loading import selecting_values
from hybrid_search.data.stamp import stamp
from hybrid_search.networks.network import Network, settings_for
from hybrid_search.records import Report, Settings
from hybrid_search.training.evaluation import evaluate
from hybrid_search.training.from_settings import device_of
from hybrid_search.training.loop import Score, score
from hybrid_search.training.networks import build_network

MOST_SPLITS = 4  # test splits that a process keeps, one for each image size
REASON = "confirming a front over fresh seeds"  # stored in the ledger with every use of the test split


def retrain(
    architecture: Network,
    settings: Settings,
    *,
    resume: Mapping[str, Tensor] | None = None,
    keep: Callable[[int, Callable[[], dict[str, Tensor]]], None] | None = None,
) -> Iterator[Report]:
    """Build and train one network as `evaluate` does, and score it on the test split at the end.

    Args:
        architecture: the network.
        settings: data, recipe and the fresh seed.
        resume: as for `evaluate`.
        keep: as for `evaluate`.

    Yields:
        The reports of `evaluate`. The last one also has `test_accuracy`, `test_balanced_accuracy` and
        `test_macro_f1` 0..1 and `test_loss`, and no weights.

    Raises:
        HybridSearchError: as `evaluate`.
    """
    from safetensors.torch import load as load_weights

    settings = settings_for(architecture, settings)
    for report in evaluate(architecture, settings, resume=resume, keep=keep):
        if not report.last:
            yield report
            continue
        assert report.weights is not None
        with clean_process_state():
            dataset = load(settings)
            model = build_network(architecture, dataset.input_size[0], len(dataset.classes))
            model.load_state_dict(load_weights(report.weights))
            result = score(model.to(device_of(settings)), load_test_split(settings), dataset, settings)
        yield replace(report, measurements={**report.measurements, **test_measurements(result)}, weights=None)


def load_test_split(settings: Settings, reason: str = REASON) -> Split:
    """Return the test split of these settings. The first call of a process reads it and logs this use.

    A search whose space offers image sizes has a test split of each size. They hold the same images, resized.

    Args:
        settings: what selects the images is used; `train_images` and `validation_images` are not.
        reason: why it is used; it appears in the log.
    """
    selection = selecting_values(settings) | {"train_images": None, "validation_images": None}
    return _open_once(Settings(**selection), stamp(settings.data_dir), reason)


@lru_cache(maxsize=MOST_SPLITS)
def _open_once(settings: Settings, _stamp: int | None, reason: str) -> Split:
    return open_test(settings, reason)


def test_measurements(result: Score) -> dict[str, float]:
    """Return the measurements of a network on the test split, by name.

    Args:
        result: the score on the test split.
    """
    return {
        "test_accuracy": result.accuracy,
        "test_balanced_accuracy": result.classes.balanced_accuracy,
        "test_macro_f1": result.classes.macro_f1,
        "test_loss": result.loss,
    }
