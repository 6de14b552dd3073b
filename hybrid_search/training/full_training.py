"""FullTraining: the evaluation that trains one design in full, with the loop of a search.

It differs from `evaluate` in what surrounds the loop: more numbers for each epoch, a way to stop between two steps, all
images for training if that is asked for, initial weights of another network, and the test split at the end.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from hybrid_search._internal.process_state import clean_process_state
from hybrid_search.data import Dataset, load
from hybrid_search.data.all_images import AllImages
from hybrid_search.networks.network import Network
from hybrid_search.records import Report, Settings
from hybrid_search.training.batches import batch_edges
from hybrid_search.training.evaluation import epochs_of, guarded
from hybrid_search.training.from_settings import device_of, learning_rate
from hybrid_search.training.loop import score
from hybrid_search.training.networks import build_network
from hybrid_search.training.ranks import ALONE, Ranks
from hybrid_search.training.retraining import load_test_split, test_measurements

REASON = "scoring a fully trained network"  # stored in the ledger with the use of the test split
VALIDATION_FACTS = ("validation_classes", "smallest_class")  # about images that nothing is measured on


class TrainingStopped(Exception):
    """The training ended between two steps, because the program that runs it must stop."""


@dataclass(frozen=True)
class FullTraining:
    """Train one design in full. Call it like `evaluate`.

    Attributes:
        data_all: whether the validation images are trained on too. The network is then not scored on them, and the
            facts have the number of images of each split.
        prepare: called with the new network, to change its random initial weights.
        teacher: as for `Trainer`.
        on_step: called with the number of a step in its epoch, from 1, and the steps of an epoch.
        stopped: returns whether to stop; read after each step.
        before_test: called before the network is scored on the test split, to log this use.
        ranks: as for `Trainer`. Every process yields the reports, which are equal but for times.

    Raises:
        TrainingStopped: `stopped` returned True.
    """

    data_all: bool = False
    prepare: Callable[[nn.Module], None] = lambda model: None
    teacher: Callable[[Tensor], Tensor] | None = None
    on_step: Callable[[int, int], None] = lambda step, steps: None
    stopped: Callable[[], bool] = lambda: False
    before_test: Callable[[], None] = lambda: None
    ranks: Ranks = ALONE

    def __call__(
        self,
        architecture: Network,
        settings: Settings,
        *,
        resume: Mapping[str, Tensor] | None = None,
        keep: Callable[[int, Callable[[], dict[str, Tensor]]], None] | None = None,
    ) -> Iterator[Report]:
        """Yield the reports of `evaluate`, with `images_per_second` and `learning_rate` (of the last step).

        The last report also has the measurements on the test split.

        Args:
            architecture: the network.
            settings: data, recipe and seed.
            resume: as for `evaluate`.
            keep: as for `evaluate`.
        """
        yield from guarded(architecture, settings, self._reports(architecture, settings, resume, keep))

    def _reports(
        self,
        architecture: Network,
        settings: Settings,
        resume: Mapping[str, Tensor] | None,
        keep: Callable[[int, Callable[[], dict[str, Tensor]]], None] | None,
    ) -> Iterator[Report]:
        every = AllImages.of(settings) if self.data_all else None
        dataset = load(settings) if every is None else every.dataset
        more: dict[str, Any] = {
            "dataset": dataset,
            "validate": every is None,
            "prepare": self.prepare,
            "on_step": self._step,
            "teacher": self.teacher,
            "ranks": self.ranks,
        }
        steps = len(batch_edges(len(dataset.train), settings.batch_size)) - 1
        before = 0.0 if resume is None else float(resume["seconds"])
        for report in epochs_of(architecture, settings, resume, keep, **more):
            measured = dict(report.measurements)
            seconds = measured["train_seconds"]
            measured["images_per_second"] = len(dataset.train) / (seconds - before)
            before = seconds
            measured["learning_rate"] = learning_rate(settings, report.rung * steps - 1, steps)
            if report.last:
                measured |= self._tested(architecture, settings, dataset, report.weights)
            facts = dict(report.facts)
            if every is not None:
                facts = {name: text for name, text in facts.items() if name not in VALIDATION_FACTS} | every.facts
            yield replace(report, measurements=measured, facts=facts)

    def _step(self, step: int, steps: int) -> None:
        self.on_step(step, steps)
        if self.stopped():
            raise TrainingStopped("the training was stopped")

    def _tested(self, architecture: Network, settings: Settings, dataset: Dataset, weights: bytes) -> dict[str, float]:
        """Return the measurements on the test split."""
        from safetensors.torch import load as load_weights

        self.before_test()
        with clean_process_state():
            model = build_network(architecture, dataset.input_size[0], len(dataset.classes))
            model.load_state_dict(load_weights(weights))
            split = load_test_split(settings, REASON)
            return test_measurements(score(model.to(device_of(settings)), split, dataset, settings, self.ranks))
