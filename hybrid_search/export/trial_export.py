"""Export one trial of a search. Weights that the search did not store are trained again."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_search.data import Dataset
from hybrid_search.errors import LedgerError, SettingsError
from hybrid_search.export.folder import check_empty
from hybrid_search.export.formats import TrainedNetwork
from hybrid_search.export.network_export import FORMATS, export_network
from hybrid_search.export.proof import Proof
from hybrid_search.export.trial_choice import choose_trial
from hybrid_search.ledger import reads
from hybrid_search.networks.architecture import Architecture
from hybrid_search.records import TRAINED, SearchRecord, Settings, TrialRecord

if TYPE_CHECKING:
    import torch

    from hybrid_search.ledger import Ledger

PROOF_IMAGES = 16  # of the validation split
Notice = Callable[[str], None]


def export_trial(
    ledger: "Ledger",
    name: str | None,
    out: Path | str,
    pick: str,
    *,
    formats: Sequence[str] = FORMATS,
    notice: Notice = lambda line: None,
) -> tuple[Proof, ...]:
    """Export one trial of a search into a folder.

    If the weights of the trial are not stored (it was not on the front), it is trained again with the same seed and
    settings.

    Args:
        ledger: the ledger of the search.
        name: the search; None is the newest.
        out: the folder to write; it must be new or empty.
        pick: "best" (by the first objective), "knee" (of the front), or the number of a trial.
        formats: names in `EXPORT_FORMATS`.
        notice: called with each line that a user should read.

    Returns:
        One proof for each format.

    Raises:
        UserError: there is no such trial, its data changed, its networks were not trained by this package, or the
            export failed.

    Example:
        >>> with Ledger(read_only=True) as ledger:
        ...     export_trial(ledger, "digits", "my-network", "best")
    """
    from hybrid_search.data import load as load_data

    record = ledger.search(name)
    trial = choose_trial(ledger, record, pick)
    out = Path(out)
    check_empty(out)
    settings = Settings.from_dict(trial.settings)
    dataset = load_data(settings)
    _check_data(trial, settings, dataset)
    network = _rebuild(ledger, record, trial, settings, dataset, notice)
    proofs = export_network(network, out, _proof_images(dataset), formats)
    notice(f"trial {trial.number} of {record.name}: {network.architecture}")
    return proofs


def _check_data(trial: TrialRecord, settings: Settings, dataset: Dataset) -> None:
    """Raise LedgerError if the trial was trained on other data."""
    fingerprint = trial.facts.get("fingerprint")
    if fingerprint not in (None, dataset.fingerprint):
        raise LedgerError(
            f"a network must be exported with the data that it was trained on; {settings.data} had fingerprint "
            f"{fingerprint}, here it has {dataset.fingerprint}. Restore the data."
        )


def _rebuild(
    ledger: "Ledger", record: SearchRecord, trial: TrialRecord, settings: Settings, dataset: Dataset, notice: Notice
) -> TrainedNetwork:
    """Return the trained network of a trial, from its stored weights or by training it again."""
    from safetensors.torch import load

    from hybrid_search.ledger.weights import WeightsFolder
    from hybrid_search.networks.model import build_model

    architecture = Architecture.from_dict(trial.architecture)
    repeats = ledger.read(reads.repeats, record.id, confirmed=True).get(trial.number)
    measurements = dict(repeats.own if repeats else trial.measurements)  # of this network, not the mean over seeds
    folder = WeightsFolder(ledger.url, record.id)
    weights = folder.read(trial.number, trial.weights)
    if weights is None and record.evaluation != TRAINED:
        raise SettingsError(
            f"only trained networks can be exported; trial {trial.number} of {record.name} was scored by "
            f"{record.evaluation}, which returned no weights."
        )
    if weights is None:
        reason = (
            f"its weights are missing in {folder.file(trial.number)}" if trial.weights else "its weights are not stored"
        )
        notice(f"trial {trial.number}: {reason}; training it again ({settings.epochs} epochs, seed {trial.seed})")
        recorded = measurements.get("accuracy")
        weights, measurements = _train_again(architecture, settings, notice)
        if recorded != measurements["accuracy"]:
            notice(f"the accuracy is now {measurements['accuracy']:.4f}; the search recorded {recorded}")
    model = build_model(architecture, record.input_size[0], record.classes)
    model.load_state_dict(load(weights))
    return TrainedNetwork(
        model.eval(),
        architecture,
        record.input_size,
        tuple(dataset.classes),
        tuple(float(value) for value in dataset.mean),
        tuple(float(value) for value in dataset.std),
        {
            "search": record.name,
            "trial": trial.number,
            "seed": trial.seed,
            "measurements": measurements,
            **({"own_objectives": [own.to_dict() for own in record.own_objectives]} if record.own_objectives else {}),
            **_confirmation(ledger, record, trial.number),
            "settings": dict(trial.settings),
            "facts": dict(trial.facts),
            "data_licence": dataset.licence,
        },
    )


def _train_again(architecture: Architecture, settings: Settings, notice: Notice) -> tuple[bytes, dict[str, float]]:
    """Train a network with its own settings and seed; return weights and measurements."""
    from hybrid_search.training.evaluation import evaluate

    weights: bytes | None = None
    measurements: Mapping[str, float] = {}
    for report in evaluate(architecture, settings):
        notice(f"  epoch {report.rung}/{settings.epochs}: accuracy {report.measurements['accuracy']:.4f}")
        weights, measurements = report.weights, report.measurements
    assert weights is not None
    return weights, dict(measurements)


def _proof_images(dataset: Dataset) -> "torch.Tensor":
    """Return the first validation images, normalised, float32 (n, channels, rows, columns)."""
    import torch

    pixels = torch.from_numpy(dataset.validation.images[:PROOF_IMAGES]).float() / 255
    mean, std = (torch.tensor(list(values)).float().view(1, -1, 1, 1) for values in (dataset.mean, dataset.std))
    return (pixels - mean) / std


def _confirmation(ledger: "Ledger", record: SearchRecord, number: int) -> dict[str, Any]:
    """Return the results over fresh seeds as plain JSON; an empty dictionary if the trial was not confirmed."""
    from hybrid_search.analysis.confidence import read_confidence

    standing = read_confidence(ledger, record).get(number)
    if standing is None or not standing.seeds:
        return {}
    intervals = {name: list(interval) for name, interval in standing.intervals.items()}
    result = {"seeds": standing.seeds, "intervals_95": intervals, "front_probability": standing.probability}
    return {"confirmed": {**result, "means": dict(ledger.read(reads.trial, record.id, number).measurements)}}
