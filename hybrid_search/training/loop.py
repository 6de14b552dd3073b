"""The training loop: one epoch at a time, resumable bit for bit."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybrid_search._internal.process_state import clean_process_state
from hybrid_search.data import Dataset, Split
from hybrid_search.errors import CheckpointError, NotFinite, SettingsError
from hybrid_search.records import Settings
from hybrid_search.training.batches import Images, batch_edges
from hybrid_search.training.class_scores import ClassScores, class_scores
from hybrid_search.training.compilation import compiled
from hybrid_search.training.losses import Losses, distillation_loss
from hybrid_search.training.mixing import Mixer
from hybrid_search.training.recipe import (
    MovingAverage,
    autocast,
    device_of,
    learning_rate,
    make_optimizer,
    precision_of,
    reproducible,
    seed_for,
)


@dataclass(frozen=True)
class Score:
    """The result of a network on a split.

    Attributes:
        accuracy: 0..1.
        loss: mean cross entropy in nats, without label smoothing.
        classes: balanced accuracy and macro F1.
    """

    accuracy: float
    loss: float
    classes: ClassScores


@dataclass(frozen=True)
class Epoch:
    """The numbers after an epoch.

    Attributes:
        epoch: the number of epochs so far.
        accuracy: on the validation split, 0..1.
        loss: on the validation split.
        train_loss: mean over the images of this epoch, with label smoothing.
        seconds: training time of this epoch, without scoring.
        data_share: the share of `seconds` for selecting, augmenting and normalising images, 0..1.
        classes: balanced accuracy and macro F1 on the validation split.
    """

    epoch: int
    accuracy: float
    loss: float
    train_loss: float
    seconds: float
    data_share: float
    classes: ClassScores


class Trainer:
    """Train a network in place. `advance` runs one epoch, `run` all of them.

    On a CPU the result depends only on the initial weights, the data and the settings, bit for bit. This also holds
    across `state_dict` and `load_state_dict`. Global generators, thread counts and flags of torch are restored.

    Args:
        model: the network.
        dataset: the training and validation images.
        settings: the recipe and the seed.
        on_step: called after each step with its number in the epoch, from 1, and the number of steps of an epoch. It
            may raise an error, which ends the training at that step.
        teacher: returns the logits of normalised images, (n, classes), that the network learns to predict too; None:
            there is no teacher.

    Raises:
        SettingsError: the batch size or the device is impossible.

    Example:
        >>> trainer = Trainer(model, load(settings), settings)
        >>> accuracies = [epoch.accuracy for epoch in trainer.run()]
    """

    def __init__(
        self,
        model: nn.Module,
        dataset: Dataset,
        settings: Settings,
        on_step: Callable[[int, int], None] = lambda step, steps: None,
        teacher: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.settings = settings
        self.teacher = teacher
        self.dataset = dataset
        self.on_step = on_step
        self.device = device_of(settings)
        with clean_process_state():
            self._prepare(model)

    def _prepare(self, model: nn.Module) -> None:
        settings, dataset = self.settings, self.dataset
        self.precision = precision_of(settings, self.device)
        # Channels last suits tensor cores, and is 1.6 times as fast for the convolutions of digits on a CPU.
        self.model = model.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.images = Images(dataset.train, dataset, self.device)
        self.edges = batch_edges(len(self.images), settings.batch_size)
        if self.edges[1] < 2:
            raise SettingsError(f"batch_size must be at least 2, for batch norm; got {settings.batch_size}.")
        if settings.accumulate > 1 and self.edges[1] // settings.accumulate < 2:
            raise SettingsError(
                f"accumulate must leave 2 images in each part, for batch norm; got {settings.accumulate} for batches "
                f"of {self.edges[1]}."
            )
        self.network = compiled(self.model) if settings.compile else self.model
        self.optimizer = make_optimizer(self.model, settings)
        self.average = MovingAverage(self.model, settings.ema) if settings.ema else None
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.epoch = 0
        self.seconds = 0.0

    @property
    def scored(self) -> nn.Module:
        """The network that is scored: the averaged one if `ema` is set."""
        return self.model if self.average is None else self.average.model

    def run(self) -> Iterator[Epoch]:
        """Yield the remaining epochs."""
        while self.epoch < self.settings.epochs:
            yield self.advance()

    def advance(self) -> Epoch:
        """Train one epoch and score the network.

        Raises:
            NotFinite: the loss of a step is NaN or infinite. Training stops at that step.
        """
        settings, epoch = self.settings, self.epoch
        with reproducible(self.device, settings.threads, seed_for("epoch", settings.seed, epoch)):
            start = time.perf_counter()
            train_loss, data_seconds = self._train(epoch)
            seconds = time.perf_counter() - start
        result = score(self.scored, self.dataset.validation, self.dataset, settings)
        self.epoch += 1
        self.seconds += seconds
        return Epoch(
            self.epoch, result.accuracy, result.loss, train_loss, seconds, data_seconds / seconds, result.classes
        )

    def _train(self, epoch: int) -> tuple[float, float]:
        """Train on all images once; return the mean loss and the seconds spent on data."""
        settings, steps = self.settings, len(self.edges) - 1
        self.model.train()
        mixer, losses = Mixer(settings, epoch), Losses(settings, self.device, epoch * steps, settings.epochs * steps)
        data_seconds = 0.0
        start = time.perf_counter()
        plan = self.images.plan(settings, epoch)
        for step in range(steps):
            x, y = self.images.batch(plan, self.edges[step], self.edges[step + 1])
            x, share = mixer.mix(x)
            x = x.contiguous(memory_format=torch.channels_last)
            data_seconds += time.perf_counter() - start
            number = epoch * steps + step
            self._step(x, y, number, steps, share, losses)
            if self.average is not None:
                self.average.update(self.model, number)
            self.on_step(step + 1, steps)
            start = time.perf_counter()
        return losses.mean(), data_seconds

    def _step(self, x: Tensor, y: Tensor, number: int, steps: int, share: float, losses: Losses) -> None:
        """Make one step of the optimizer.

        Args:
            x: the images.
            y: their labels.
            number: the number of the step over all epochs, from 0.
            steps: the steps of an epoch.
            share: the share of the label of an image itself; its mirror in the batch has the rest.
            losses: gets the loss.
        """
        settings = self.settings
        rate = learning_rate(settings, number, steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        parts = [slice(start, stop) for start, stop in pairwise(batch_edges(len(y), -(-len(y) // settings.accumulate)))]
        other = y.flip(0) if share < 1 else y
        for part in parts:
            loss = self._loss(x[part], y[part], other[part], share)
            loss = loss * (len(y[part]) / len(y)) if len(parts) > 1 else loss
            losses.add(loss, len(y))
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        losses.end_step()
        self.scaler.unscale_(self.optimizer)
        if settings.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def _loss(self, x: Tensor, y: Tensor, other: Tensor, share: float) -> Tensor:
        """Return the mean loss of some images: their labels, those of their partners, and the teacher."""
        smoothing = self.settings.label_smoothing
        with autocast(self.device, self.precision):
            logits = self.network(x)
        logits = logits.float()
        loss = F.cross_entropy(logits, y, label_smoothing=smoothing)
        if share < 1:
            loss = share * loss + (1 - share) * F.cross_entropy(logits, other, label_smoothing=smoothing)
        if self.teacher is not None:
            weight = self.settings.distillation
            loss = (1 - weight) * loss + weight * distillation_loss(logits, self.teacher(x))
        return loss

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state of training as a flat dictionary of tensors, which safetensors can write.

        The tensors are copies.
        """
        state = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        if self.average is not None:
            state |= {f"average.{name}": value for name, value in self.average.model.state_dict().items()}
        for index, values in self.optimizer.state_dict()["state"].items():
            state |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
        for number, group in enumerate(self.optimizer.param_groups):
            if "step" in group:  # LAMB counts steps for each group
                state[f"group.{number}.step"] = torch.as_tensor(group["step"])
        if self.scaler.is_enabled():
            scaler = self.scaler.state_dict()
            state["scaler.scale"] = torch.tensor(scaler["scale"], dtype=torch.float64)
            state["scaler._growth_tracker"] = torch.tensor(scaler["_growth_tracker"])
        state["epoch"] = torch.tensor(self.epoch)
        state["seconds"] = torch.tensor(self.seconds, dtype=torch.float64)
        # safetensors refuses the strides of channels last.
        return {name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in state.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a state.

        Args:
            state: the result of `state_dict`.

        Raises:
            CheckpointError: the state belongs to another network. Nothing was changed.
        """
        with clean_process_state():
            self._load_state_dict(state)

    def _load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        networks = {"model": self.model} | ({} if self.average is None else {"average": self.average.model})
        expected = {
            f"{part}.{name}": value.shape for part, net in networks.items() for name, value in net.state_dict().items()
        }
        actual = {name: value.shape for name, value in state.items() if name.split(".")[0] in ("model", "average")}
        if actual != expected or "epoch" not in state or "seconds" not in state:
            different = sorted(
                name for name in actual.keys() | expected.keys() if actual.get(name) != expected.get(name)
            )
            raise CheckpointError(
                "a checkpoint must belong to the network that it resumes; it differs at "
                f"{', '.join(different[:3]) or 'epoch'}."
            )
        for part, net in networks.items():
            net.load_state_dict({name: state[f"{part}.{name}"] for name in net.state_dict()})
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in state.items():
            if name.startswith("optimizer."):
                _, index, slot = name.split(".")
                like = parameters[int(index)] if value.dim() else value
                # Fused optimizers process memory in order: a moment must have the strides of its parameter.
                slots.setdefault(int(index), {})[slot] = torch.empty_like(like, dtype=value.dtype).copy_(value)
        self.optimizer.load_state_dict({"state": slots, "param_groups": self.optimizer.state_dict()["param_groups"]})
        for number, group in enumerate(self.optimizer.param_groups):
            if f"group.{number}.step" in state:
                group["step"] = state[f"group.{number}.step"].clone()
        if self.scaler.is_enabled():
            scale, tracker = state["scaler.scale"].item(), int(state["scaler._growth_tracker"])
            self.scaler.load_state_dict(self.scaler.state_dict() | {"scale": scale, "_growth_tracker": tracker})
        self.epoch, self.seconds = int(state["epoch"]), float(state["seconds"])


def score(model: nn.Module, split: Split, dataset: Dataset, settings: Settings) -> Score:
    """Return accuracy, loss, balanced accuracy and macro F1 of a network on a split.

    Args:
        model: the network; it is put into evaluation mode.
        split: the images.
        dataset: gives mean and standard deviation of the training images for the normalisation.
        settings: `batch_size`, `device`, `precision` and `threads` are used.

    Raises:
        NotFinite: the loss is NaN or infinite.
    """
    device = device_of(settings)
    edges = batch_edges(len(split), settings.batch_size)
    model.eval()
    losses, predicted, found = [], [], []
    with (
        reproducible(device, settings.threads, 0),
        torch.inference_mode(),
        autocast(device, precision_of(settings, device)),
    ):
        images = Images(split, dataset, device)
        plan = images.in_order()
        for start, stop in pairwise(edges):
            x, y = images.batch(plan, start, stop)
            logits = model(x.contiguous(memory_format=torch.channels_last)).float()
            losses.append(F.cross_entropy(logits, y, reduction="sum"))
            predicted.append(logits.argmax(1))
            found.append((predicted[-1] == y).sum())
    loss = sum(each.item() for each in losses) / len(split)  # read at the end: a GPU is not waited for before
    correct = sum(each.item() for each in found)
    if loss != loss or loss in (float("inf"), float("-inf")):
        raise NotFinite(f"the loss on a split must be finite; this network's is {loss}.")
    answers = torch.cat(predicted).cpu().numpy()
    return Score(correct / len(split), loss, class_scores(split.labels, answers, len(dataset.classes)))
