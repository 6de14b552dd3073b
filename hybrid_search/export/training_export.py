"""Export the network of a full training."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_search._internal.process_state import clean_process_state
from hybrid_search.errors import SettingsError
from hybrid_search.export.formats import ExportFormat, TrainedNetwork
from hybrid_search.export.network_export import FORMATS, format_entries, write_export
from hybrid_search.export.output_folder import output_folder
from hybrid_search.export.proof import Proof
from hybrid_search.export.safetensors_format import network_of
from hybrid_search.export.trial_data import Needs, data_of, facts_of
from hybrid_search.ledger.trainings import training, trainings
from hybrid_search.networks.stored_architecture import stored_architecture
from hybrid_search.records import Settings
from hybrid_search.training.weights_file import data_facts

if TYPE_CHECKING:
    from hybrid_search.ledger import Ledger

NEWEST = "training"  # `--pick training`: the newest complete training of a search


def newest_training(ledger: "Ledger", name: str | None) -> int:
    """Return the number of the newest complete training of a search.

    Args:
        ledger: the ledger.
        name: the search; None is the newest.

    Raises:
        SettingsError: the search has none.
    """
    record = ledger.search(name)
    complete = [each.number for each in ledger.read(trainings, record.id) if not each.failure_kind]
    if not complete:
        raise SettingsError(
            f"pick training (--pick training) needs a full training of the search; {record.name!r} has none yet. Train "
            f"one: hybrid-search train {record.name}"
        )
    return complete[-1]


def export_training(
    ledger: "Ledger",
    number: int,
    out: Path | str,
    *,
    data_dir: str | Path | None = None,
    formats: Sequence[str | ExportFormat] = FORMATS,
    notice: Callable[[str], None] = lambda line: None,
) -> tuple[Proof, ...]:
    """Export the network of a full training into a folder. Its data is needed for the proof only.

    Args:
        ledger: the ledger of the training.
        number: the number of the training.
        out: the folder to write; it must be new or empty.
        data_dir: folder or file of the data set, if it has moved.
        formats: as for `export_model`.
        notice: called with each line that a user should read.

    Returns:
        One proof for each format.

    Raises:
        UserError: there is no such training, it failed, its weights are missing, or the export failed. Nothing is left
            in `out`.

    Example:
        >>> with Ledger(read_only=True) as ledger:
        ...     export_training(ledger, 1, "my-network")
    """
    from hybrid_search.ledger.weights import TRAININGS, WeightsFolder

    entries = format_entries(formats)
    found = ledger.read(training, number)
    if found.failure_kind:
        raise SettingsError(
            f"only a complete training can be exported; training {number} failed ({found.failure_kind})."
        )
    folder = WeightsFolder(ledger.url, TRAININGS)
    weights, file = folder.read(found.uid, found.weights), folder.file(found.uid).absolute()
    if weights is None:
        raise SettingsError(
            f"an export needs the weights of the training; those of training {number} are missing or damaged in "
            f"{file}. Restore the file, or train again with another seed."
        )
    channels, rows, cols = found.input_size
    size, classes = (channels, rows, cols), found.classes
    settings = Settings.from_dict(found.settings)
    with output_folder(out) as target:
        target.check_space(len(entries) * len(weights))
        data = data_of(
            settings, Needs("training", found.facts.get("fingerprint"), size, classes), [settings.data_dir], data_dir
        )
        if data.dataset is None:
            notice(f"the proof uses {data.image_source}, because the data of the training is not here: {data.why}")
        architecture = stored_architecture(found.architecture)
        with clean_process_state():
            model = network_of(architecture, channels, classes, weights, str(file))
        facts, unknown = facts_of(data_facts(weights), data, classes, channels)
        searches = {each.id: each.name for each in ledger.searches()}
        origin = {
            **({"search": searches[found.search_id]} if found.search_id is not None else {}),
            **({"trial": found.trial} if found.trial is not None else {}),
            "training": found.number,
            "design": found.design,
            "recipe": found.recipe,
            "seed": found.seed,
            "measurements": dict(found.measurements),
            "settings": dict(found.settings),
            "options": dict(found.options),
            "facts": dict(found.facts),
            "data_licence": facts.licence,
            **({"unknown": unknown} if unknown else {}),
        }
        network = TrainedNetwork(
            model,
            architecture,
            size,
            facts.classes,
            facts.mean,
            facts.std,
            origin,
            labels=data.labels(),
            validation=None if found.options.get("data_all") else data.class_results(model, architecture),
        )
        proofs = write_export(target, network, data.images(size), entries, data.image_source, notice)
    notice(f"training {number} ({found.design}): {architecture}")
    return proofs
