"""Export one trial of a search. Weights that the search did not store are trained again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_search._internal.counted import counted
from hybrid_search._internal.process_state import clean_process_state
from hybrid_search.analysis.picks import pick_trial
from hybrid_search.errors import SettingsError
from hybrid_search.export.formats import ExportFormat, TrainedNetwork
from hybrid_search.export.network_export import FORMATS, format_entries, write_export
from hybrid_search.export.output_folder import output_folder
from hybrid_search.export.proof import Proof
from hybrid_search.export.safetensors_format import network_of
from hybrid_search.export.trial_data import TrialData, facts_of, find_data, needed
from hybrid_search.ledger import reads
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.costs import input_size_of, total_cost
from hybrid_search.networks.stored_architecture import stored_architecture
from hybrid_search.records import TRAINED, SearchRecord, Settings, TrialRecord
from hybrid_search.search.object_identity import check_objects
from hybrid_search.search.stored_names import evaluation_label
from hybrid_search.training.weights_file import data_facts

if TYPE_CHECKING:
    from hybrid_search.ledger import Ledger

BYTES_OF_A_PARAMETER = 4
Notice = Callable[[str], None]


def export_trial(
    ledger: "Ledger",
    name: str | None,
    out: Path | str,
    pick: str,
    *,
    data_dir: str | Path | None = None,
    formats: Sequence[str | ExportFormat] = FORMATS,
    notice: Notice = lambda line: None,
) -> tuple[Proof, ...]:
    """Export one trial of a search into a folder.

    If the weights of the trial are not stored (it was not on the front), it is trained again with the same seed and
    settings. Otherwise its data is needed for the proof only: without it, the proof uses images drawn from a seed.

    Args:
        ledger: the ledger of the search.
        name: the search; None is the newest.
        out: the folder to write; it must be new or empty. Files are written into it; it is never renamed.
        pick: "best", "knee", the number of a trial, or a bound such as "flops<=40M"; see `pick_trial`.
        data_dir: folder or file of the data set, if it has moved.
        formats: as for `export_model`.
        notice: called with each line that a user should read.

    Returns:
        One proof for each format.

    Raises:
        UserError: there is no such trial, `out` cannot be written, data that is needed is missing or has changed, its
            networks were not trained by this package, or the export failed. Nothing is left in `out`.

    Example:
        >>> with Ledger(read_only=True) as ledger:
        ...     export_trial(ledger, "digits", "my-network", "best")
    """
    entries = format_entries(formats)
    record = ledger.search(name)
    check_objects(record, ledger.read(reads.registered_objects, record.id))
    picked = pick_trial(ledger, record, pick)
    trial = picked.trial
    with output_folder(out) as folder:
        stored = StoredNetwork.of(ledger, record, trial)
        folder.check_space(len(entries) * stored.size(record))
        data = find_data(record, trial, data_dir)
        if data.dataset is None and stored.weights is None:
            raise needed(data, trial.number)
        notice(f"picked {picked}")
        if data.dataset is None:
            notice(f"the proof uses {data.image_source}, because the data of the trial is not here: {data.why}")
        network = _rebuild(ledger, record, trial, stored, data, notice)
        if unknown := network.origin.get("unknown"):
            notice(f"unknown, because neither the stored weights nor data that is here says it: {', '.join(unknown)}")
        proofs = write_export(folder, network, data.images(network.input_size), entries, data.image_source, notice)
    notice(f"trial {trial.number} of {record.name}: {network.architecture}")
    return proofs


@dataclass(frozen=True)
class StoredNetwork:
    """The network of a trial as the ledger stores it.

    Attributes:
        architecture: its description.
        weights: the bytes of its weights; None if it must be trained again.
        file: the path of the weights.
        why: why it must be trained again.
    """

    architecture: Architecture
    weights: bytes | None
    file: Path
    why: str

    @classmethod
    def of(cls, ledger: "Ledger", record: SearchRecord, trial: TrialRecord) -> "StoredNetwork":
        """Read the weights; raise SettingsError if there are none and this package cannot train the network."""
        from hybrid_search.ledger.weights import WeightsFolder

        folder = WeightsFolder(ledger.url, record.id)
        file = folder.file(trial.number).absolute()
        weights = folder.read(trial.number, trial.weights)
        if weights is None and record.evaluation != TRAINED:
            raise SettingsError(
                f"only trained networks can be exported; trial {trial.number} of {record.name} was scored by "
                f"{evaluation_label(record.evaluation)}, which returned no weights."
            )
        why = f"its weights are missing or damaged in {file}" if trial.weights else "its weights are not stored"
        return cls(stored_architecture(trial.architecture), weights, file, why)

    def size(self, record: SearchRecord) -> int:
        """Return the number of bytes of the weights in one format, about."""
        if self.weights is not None:
            return len(self.weights)
        return BYTES_OF_A_PARAMETER * int(total_cost(self.architecture, record.input_size, record.classes)[1])


def _rebuild(
    ledger: "Ledger",
    record: SearchRecord,
    trial: TrialRecord,
    stored: StoredNetwork,
    data: TrialData,
    notice: Notice,
) -> TrainedNetwork:
    """Return the trained network of a trial, from its stored weights or by training it again."""
    repeats = ledger.read(reads.repeats, record.id, confirmed=True).get(trial.number)
    measurements = dict(repeats.own if repeats else trial.measurements)  # of this network, not the mean over seeds
    weights, channels = stored.weights, record.input_size[0]
    if weights is None:
        again = f"training it again ({counted(data.settings.epochs, 'epoch')}, seed {trial.seed})"
        notice(f"trial {trial.number}: {stored.why}; {again}")
        recorded = measurements.get("accuracy")
        weights, measurements = _train_again(stored.architecture, data.settings, notice)
        if recorded != measurements["accuracy"]:
            notice(f"the accuracy is now {measurements['accuracy']:.4f}; the search recorded {recorded}")
    with clean_process_state():
        model = network_of(stored.architecture, channels, record.classes, weights, str(stored.file))
    facts, unknown = facts_of(data_facts(weights), data, record.classes, channels)
    return TrainedNetwork(
        model,
        stored.architecture,
        input_size_of(stored.architecture, record.input_size),
        facts.classes,
        facts.mean,
        facts.std,
        {
            "search": record.name,
            "trial": trial.number,
            "seed": trial.seed,
            "measurements": measurements,
            **({"own_objectives": [own.to_dict() for own in record.own_objectives]} if record.own_objectives else {}),
            **_confirmation(ledger, record, trial.number),
            "settings": dict(trial.settings),
            "facts": dict(trial.facts),
            "data_licence": facts.licence,
            **({"unknown": unknown} if unknown else {}),
        },
        labels=data.labels(),
        validation=data.class_results(model, stored.architecture),
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


def _confirmation(ledger: "Ledger", record: SearchRecord, number: int) -> dict[str, Any]:
    """Return the results over fresh seeds as plain JSON; an empty dictionary if the trial was not confirmed."""
    from hybrid_search.analysis.confidence import read_confidence

    standing = read_confidence(ledger, record).get(number)
    if standing is None or not standing.seeds:
        return {}
    intervals = {name: list(interval) for name, interval in standing.intervals.items()}
    result = {"seeds": standing.seeds, "intervals_95": intervals, "front_probability": standing.probability}
    return {"confirmed": {**result, "means": dict(ledger.read(reads.trial, record.id, number).measurements)}}
