"""The function that a worker runs for a trial: an architecture and settings in, one report after every epoch."""

import errno
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from hybrid_search._internal.exception_text import message_of
from hybrid_search._internal.process_state import clean_process_state
from hybrid_search.data import Dataset, load
from hybrid_search.errors import OtherData, TrialError, UserError
from hybrid_search.networks.network import Network, settings_for
from hybrid_search.records import Report, Settings
from hybrid_search.training.facts import gather_facts
from hybrid_search.training.failures import classify_failure, peak_memory_gib
from hybrid_search.training.from_settings import device_of, reproducible, seed_for
from hybrid_search.training.latency import latency_ms
from hybrid_search.training.loop import Epoch, Trainer
from hybrid_search.training.networks import build_network, network_cost
from hybrid_search.training.ranks import ALONE, Ranks
from hybrid_search.training.weights_file import pack_weights

# Errors of files that every trial on this machine would meet. Others, such as a timeout of the network, may pass.
UNUSABLE = (
    errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EROFS, errno.ENOSPC, errno.EDQUOT,
)  # fmt: skip
FINGERPRINT = "fingerprint"  # key of the data fingerprint in a checkpoint: its characters as a tensor of bytes


def evaluate(
    architecture: Network,
    settings: Settings,
    *,
    resume: Mapping[str, Tensor] | None = None,
    keep: Callable[[int, Callable[[], dict[str, Tensor]]], None] | None = None,
) -> Iterator[Report]:
    """Build and train one network, and yield its numbers after every epoch. A rung is an epoch.

    Args:
        architecture: the network, of this package or of timm.
        settings: data, recipe and seed. The image size of an architecture, if it has one, is used.
        resume: a state from `keep`; training continues from there, bit for bit on a CPU.
        keep: called after every epoch as `keep(rung, state)`. `state()` returns the state as a flat dictionary of
            tensors, which safetensors can write.

    Yields:
        Measurements: `accuracy`, `balanced_accuracy` and `macro_f1` 0..1 and `loss` on the validation split,
        `train_loss`, `flops`, `params` and `train_seconds` so far. The last report also has `latency_ms` and the
        weights as safetensors bytes.

    Raises:
        NotFinite: a loss is NaN or infinite.
        TrialError: there is not enough memory.
        CheckpointError: `resume` belongs to another network or to other data. Nothing was trained.
        UserError: the data or the device is missing.

    Example:
        >>> *_, last = evaluate(reference("resnet26"), Settings(epochs=2))
        >>> last.measurements["accuracy"]
    """
    yield from guarded(architecture, settings, epochs_of(architecture, settings, resume, keep))


def guarded(architecture: Network, settings: Settings, reports: Iterator[Report]) -> Iterator[Report]:
    """Yield the reports of a training, each made with the state of a fresh process. Translate its errors.

    Args:
        architecture: the network, for messages.
        settings: its settings, for messages.
        reports: the training.

    Raises:
        UserError: data cannot be read, or a cache cannot be written.
        TrialError: there is not enough memory.
    """
    try:
        while True:
            with clean_process_state():
                report = next(reports, None)
            if report is None:
                return
            yield report
    except OSError as error:
        if error.errno not in UNUSABLE:
            raise
        raise UserError(
            f"training must be able to read its data and to write its caches: {message_of(error)}. Correct this, and "
            "run the same command again."
        ) from error
    except Exception as error:
        if isinstance(error, TrialError) or classify_failure(error) != "oom":
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise TrialError(
            f"training must fit in memory; not enough memory for {architecture.digest} in batches of "
            f"{settings.batch_size}, at a peak of {peak_memory_gib(settings):.2f} GiB: {reason}"
        ) from error


def epochs_of(
    architecture: Network,
    settings: Settings,
    resume: Mapping[str, Tensor] | None,
    keep: Callable[[int, Callable[[], dict[str, Tensor]]], None] | None,
    *,
    dataset: Dataset | None = None,
    validate: bool = True,
    prepare: Callable[[nn.Module], None] = lambda model: None,
    on_step: Callable[[int, int], None] = lambda step, steps: None,
    teacher: Callable[[Tensor], Tensor] | None = None,
    ranks: Ranks = ALONE,
) -> Iterator[Report]:
    """Yield the reports of `evaluate`, without its translation of errors.

    Args:
        architecture: the network.
        settings: data, recipe and seed.
        resume: as for `evaluate`.
        keep: as for `evaluate`.
        dataset: the images; None: those of the settings.
        validate: whether the network is scored on the validation split; without it these measurements are left out.
        prepare: called with the new network, to change its random initial weights.
        on_step: as for `Trainer`.
        teacher: as for `Trainer`.
        ranks: as for `Trainer`.
    """
    settings = settings_for(architecture, settings)
    device = device_of(settings)
    dataset = load(settings) if dataset is None else dataset
    channels, classes = dataset.input_size[0], len(dataset.classes)
    flops, params = network_cost(architecture, dataset.input_size, classes)
    with reproducible(device, settings.threads, seed_for("weights", settings.seed)):
        model = build_network(architecture, channels, classes, settings.stochastic_depth)
        prepare(model)
        trainer = Trainer(model, dataset, settings, on_step, teacher, ranks, validate=validate)
    fingerprint = torch.frombuffer(bytearray(dataset.fingerprint.encode()), dtype=torch.uint8)
    if resume is not None:
        _check_data(resume, dataset)
        trainer.load_state_dict(resume)
    facts = gather_facts(architecture, dataset, settings) | trainer.facts

    def state() -> dict[str, Tensor]:
        return {**trainer.state_dict(), FINGERPRINT: fingerprint}

    for epoch in trainer.run():
        if keep is not None:
            keep(epoch.epoch, state)
        measurements = {
            **(_validated(epoch) if validate else {}),
            "train_loss": epoch.train_loss,
            "flops": float(flops),
            "params": float(params),
            "train_seconds": trainer.seconds,
        }
        weights, last = None, epoch.epoch == settings.epochs
        if last:
            measurements["latency_ms"] = latency_ms(trainer.scored, dataset.input_size, settings)
            weights = pack_weights(trainer.scored, architecture, dataset)
        yield Report(epoch.epoch, measurements, facts, last, weights)


def _validated(epoch: Epoch) -> dict[str, float]:
    """Return the measurements on the validation split."""
    return {
        "accuracy": epoch.accuracy,
        "balanced_accuracy": epoch.classes.balanced_accuracy,
        "macro_f1": epoch.classes.macro_f1,
        "loss": epoch.loss,
    }


def _check_data(state: Mapping[str, Tensor], dataset: Dataset) -> None:
    """Raise OtherData unless the state was trained on this data set."""
    digits = bytes(state[FINGERPRINT].tolist()).decode() if FINGERPRINT in state else "no fingerprint"
    if digits != dataset.fingerprint:
        raise OtherData(
            f"a checkpoint must be resumed with the data that it was trained on; it has {digits}, {dataset.name} here "
            f"has fingerprint {dataset.fingerprint}."
        )
