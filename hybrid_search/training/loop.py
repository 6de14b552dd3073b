"""The training loop: one epoch at a time, resumable bit for bit."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import nan

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybrid_search._internal.process_state import clean_process_state
from hybrid_search.data import Dataset, Split
from hybrid_search.errors import CheckpointError, NotFinite, SettingsError
from hybrid_search.records import Settings
from hybrid_search.training.batches import EpochPlan, Images, batch_edges
from hybrid_search.training.class_scores import ClassScores, class_scores
from hybrid_search.training.compilation import AUTO, FORMS, GRAPHS, Chosen, Forward, choose_form, compiled
from hybrid_search.training.from_settings import (
    MovingAverage,
    autocast,
    device_of,
    learning_rate,
    make_optimizer,
    precision_of,
    reproducible,
    seed_for,
)
from hybrid_search.training.losses import Losses, distillation_loss
from hybrid_search.training.mixing import Mixer
from hybrid_search.training.ranks import ALONE, Ranks, mixes, parts_of, without_exchange


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


NOT_SCORED = Score(nan, nan, ClassScores(nan, nan))


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
        ranks: the processes that train this network together; each has the same arguments and calls `advance`.
        validate: whether the network is scored on the validation split after each epoch; otherwise its scores are NaN.

    Raises:
        SettingsError: the batch size, the device or the number of devices is impossible.

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
        ranks: Ranks = ALONE,
        *,
        validate: bool = True,
    ) -> None:
        self.settings = settings
        self.validate = validate
        self.ranks = ranks
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
        self.ranks.check(self.edges, settings)
        self.model, self.parallel = self.ranks.parallel(self.model, self.device)
        self.network: Forward = self.model if self.parallel is None else self.parallel
        self.facts: dict[str, str] = {}
        if settings.compile:
            self.network, self.facts["compiled"] = self._compiled()
        self.optimizer = make_optimizer(self.model, settings)
        self.average = MovingAverage(self.model, settings.ema) if settings.ema else None
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.epoch = 0
        self.seconds = 0.0

    def _compiled(self) -> Chosen:
        """Return the function that runs the network in training, if `compile` is set."""
        settings = self.settings
        if settings.compile != AUTO:
            return Chosen(compiled(self.network), "torch.compile")
        if self.device.type == "cpu":
            return Chosen(self.network, "not compiled: auto compiles on a GPU only, so that a CPU repeats its results")
        if self.ranks.count > 1:
            return Chosen(self.network, "not compiled: auto compiles on one device only")
        size = max(2, self.edges[1] // settings.accumulate), *self.dataset.input_size
        images = torch.randn(size, device=self.device).contiguous(memory_format=torch.channels_last)
        steps = (len(self.edges) - 1) * settings.accumulate * settings.epochs
        # Gradients that are added up over parts lie in memory that the next CUDA graph writes.
        left_out = (GRAPHS,) if settings.accumulate > 1 else ()
        forms = {name: form for name, form in FORMS.items() if name not in left_out}
        return choose_form(self.model, images, steps, lambda: autocast(self.device, self.precision), forms)

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
        # The ranks draw other numbers for the layers that a network skips at random.
        seed = seed_for("epoch", settings.seed, epoch, *([self.ranks.rank] if self.ranks.rank else []))
        with reproducible(self.device, settings.threads, seed):
            start = time.perf_counter()
            train_loss, data_seconds = self._train(epoch)
            seconds = time.perf_counter() - start
        result = NOT_SCORED
        if self.validate:
            result = score(self.scored, self.dataset.validation, self.dataset, settings, self.ranks)
        self.epoch += 1
        self.seconds += seconds
        return Epoch(
            self.epoch, result.accuracy, result.loss, train_loss, seconds, data_seconds / seconds, result.classes
        )

    def _train(self, epoch: int) -> tuple[float, float]:
        """Train on all images once; return the mean loss and the seconds spent on data."""
        settings, steps = self.settings, len(self.edges) - 1
        self.model.train()
        mixer = Mixer(settings, epoch)
        losses = Losses(settings, self.device, epoch * steps, settings.epochs * steps, self.ranks.total)
        data_seconds = 0.0
        start = time.perf_counter()
        plan, edges = self.images.plan(settings, epoch), self.edges
        if self.ranks.count > 1:
            plan, edges = self._share(plan)
        for step in range(steps):
            x, y = self.images.batch(plan, edges[step], edges[step + 1])
            x, share = mixer.mix(x)
            x = x.contiguous(memory_format=torch.channels_last)
            data_seconds += time.perf_counter() - start
            number = epoch * steps + step
            self._step(x, y, number, share, losses)
            if self.average is not None:
                self.average.update(self.model, number)
            self.on_step(step + 1, steps)
            start = time.perf_counter()
        return losses.mean(), data_seconds

    def _share(self, plan: EpochPlan) -> tuple[EpochPlan, list[int]]:
        """Return the part of a plan that this rank computes, and where its batches begin and end."""
        shares = [start + self.ranks.share(stop - start, mixes(self.settings)) for start, stop in pairwise(self.edges)]
        return plan.part(torch.cat(shares)), [0, *accumulate(map(len, shares))]

    def _step(self, x: Tensor, y: Tensor, number: int, share: float, losses: Losses) -> None:
        """Make one step of the optimizer.

        Args:
            x: the images; with several ranks, the share of this one.
            y: their labels.
            number: the number of the step over all epochs, from 0.
            share: the share of the label of an image itself; its mirror in the batch has the rest.
            losses: gets the loss.
        """
        settings, steps = self.settings, len(self.edges) - 1
        whole = self.edges[number % steps + 1] - self.edges[number % steps]
        rate = learning_rate(settings, number, steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        parts = parts_of(whole, len(y), settings.accumulate)
        other = y.flip(0) if share < 1 else y
        for part in parts:
            with nullcontext() if part is parts[-1] else without_exchange(self.parallel)():
                loss = self._loss(x[part], y[part], other[part], share)
                loss = loss * (len(y[part]) / whole) if len(y[part]) < whole else loss
                losses.add(loss, whole)
                # The gradients of the ranks are averaged, and their losses must be added.
                loss = loss * self.ranks.count if self.ranks.count > 1 else loss
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


def score(model: nn.Module, split: Split, dataset: Dataset, settings: Settings, ranks: Ranks = ALONE) -> Score:
    """Return accuracy, loss, balanced accuracy and macro F1 of a network on a split.

    Args:
        model: the network; it is put into evaluation mode.
        split: the images.
        dataset: gives mean and standard deviation of the training images for the normalisation.
        settings: `batch_size`, `device`, `precision` and `threads` are used.
        ranks: the processes that share the batches. Each gets the result, which is that of one process.

    Raises:
        NotFinite: the loss is NaN or infinite.
    """
    device = device_of(settings)
    edges = batch_edges(len(split), settings.batch_size)
    model.eval()
    # Small tensors that stay, made between large ones that go, would leave the memory of every batch in pieces.
    losses = torch.zeros(len(edges) - 1, device=device)
    predicted = torch.zeros(len(split), dtype=torch.int64, device=device)
    with (
        reproducible(device, settings.threads, 0),
        torch.inference_mode(),
        autocast(device, precision_of(settings, device)),
    ):
        images = Images(split, dataset, device)
        plan = images.in_order()
        for number in ranks.share(len(edges) - 1).tolist():
            start, stop = edges[number], edges[number + 1]
            x, y = images.batch(plan, start, stop)
            logits = model(x.contiguous(memory_format=torch.channels_last)).float()
            losses[number] = F.cross_entropy(logits, y, reduction="sum")
            predicted[start:stop] = logits.argmax(1)
        ranks.total(losses)
        ranks.total(predicted)
    loss = sum(losses.tolist()) / len(split)  # read at the end: a GPU is not waited for before
    if loss != loss or loss in (float("inf"), float("-inf")):
        raise NotFinite(f"the loss on a split must be finite; this network's is {loss}.")
    answers = predicted.cpu().numpy()
    correct = int((answers == split.labels).sum())
    return Score(correct / len(split), loss, class_scores(split.labels, answers, len(dataset.classes)))
