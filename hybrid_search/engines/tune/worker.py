"""The Trainable of a search: what Ray Tune runs on its workers, with the way back to the driver."""

from ray import tune

from hybrid_search.engines.tune.searcher import TuneSearcher
from hybrid_search.engines.worker import Evaluate
from hybrid_search.engines.worker.trainable import TrialTrainable


def trainable(evaluate: Evaluate, searcher: TuneSearcher) -> type[tune.Trainable]:
    """The Trainable that runs this evaluation for this searcher; give it resources by `tune.with_resources`."""
    made: type[tune.Trainable] = tune.with_parameters(
        TrialTrainable, evaluate=evaluate, box=searcher.box, beat=searcher.beat
    )
    return made
