"""Taking a trained network home: a folder that loads without the ledger, and the proof that it is the same network.

model.safetensors    the weights
architecture.json    what `build_model` builds, input size, classes, preprocessing, where it came from
README.md            a model card
manifest.json        sha256 of each file, and the proof: a fresh process loaded the folder and gave equal logits
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_search.analysis.confidence import read_standings
from hybrid_search.errors import LedgerError, SettingsError, UnknownName, UserError, nearest
from hybrid_search.ledger.weights import WeightsFolder
from hybrid_search.networks.architecture import Architecture
from hybrid_search.objectives import OBJECTIVES
from hybrid_search.pareto import front_rows, knee
from hybrid_search.records import TRAINED, SearchRecord, Settings, TrialRecord

if TYPE_CHECKING:
    import torch
    from torch import nn

    from hybrid_search.ledger import Ledger

PROOF_IMAGES = 16
TOLERANCE = 1e-4  # of a logit; the same build gives 0


@dataclass(frozen=True)
class Proof:
    """What a fresh process found: the largest difference of a logit, and the share of equal answers."""

    folder: Path
    max_difference: float
    equal_answers: float
    images: int

    def __str__(self) -> str:
        return (
            f"{self.folder}: a fresh process loaded it and answered {self.images} validation images; largest "
            f"difference of a logit {self.max_difference:.3g}, equal answers {100 * self.equal_answers:.0f} %"
        )


def export_model(
    model: "nn.Module",
    architecture: Architecture,
    out: Path | str,
    *,
    input_size: tuple[int, int, int],
    classes: tuple[str, ...],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    images: "torch.Tensor",
    origin: Mapping[str, Any] | None = None,
) -> Proof:
    """Write a trained model built from `architecture` into the folder `out`, and prove it in a fresh process.

    `images` (n, channels, rows, cols), pixels 0..1 normalised by `mean` and `std`, are what the proof compares logits
    on. `origin` is kept as plain JSON: search, trial, metrics, versions. Raises SettingsError if `out` holds files.
    """
    out = Path(out)
    _check_empty(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))  # becomes OUT whole, or not at all
    except OSError as error:
        raise SettingsError(f"OUT must be a folder that can be written; {out} cannot: {error.strerror}.") from None
    half.chmod(0o755)
    try:
        proof = _write(half, model, architecture, input_size, classes, mean, std, images, origin)
        if out.exists():
            out.rmdir()
        half.rename(out)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return replace(proof, folder=out)


def _check_empty(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(f"OUT must be a new or empty folder; {out} holds something already.")


def _write(
    out: Path,
    model: "nn.Module",
    architecture: Architecture,
    input_size: tuple[int, int, int],
    classes: tuple[str, ...],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    images: "torch.Tensor",
    origin: Mapping[str, Any] | None,
) -> Proof:
    """Every file of an exported folder, and its proof; UserError where the proof fails."""
    import torch
    from safetensors.torch import save_file

    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, out / "model.safetensors")
    (out / "model.safetensors").chmod(0o644)  # it comes out readable by its owner alone
    described = {
        "architecture": architecture.to_dict(),
        "digest": architecture.digest,
        "input_size": list(input_size),
        "classes": list(classes),
        "preprocessing": {"scale": 1 / 255, "mean": list(mean), "std": list(std)},
        "origin": dict(origin or {}),
    }
    (out / "architecture.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    (out / "README.md").write_text(_card(described, architecture), encoding="utf-8")
    model = model.cpu().eval()
    with torch.inference_mode():
        proof = _prove(out, images.cpu(), model(images.cpu()))
    manifest = {
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.iterdir())},
        "proof": {"max_difference": proof.max_difference, "equal_answers": proof.equal_answers, "images": proof.images},
    }
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    if proof.max_difference > TOLERANCE:
        raise UserError(f"the exported model must give logits within {TOLERANCE:g}; {proof}.")
    return proof


def load_exported(folder: Path | str) -> "nn.Module":
    """The network of an exported folder, in eval mode. UserError where a file is missing or not what was written."""
    from safetensors.torch import load_file

    from hybrid_search.networks.model import build_model

    folder = Path(folder)
    for name in ("architecture.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise UserError(f"an exported folder holds architecture.json and model.safetensors; {folder} lacks {name}.")
    manifest = folder / "manifest.json"
    if manifest.is_file():
        for name, digest in json.loads(manifest.read_text(encoding="utf-8"))["files"].items():
            if name not in ("architecture.json", "model.safetensors"):
                continue  # words for people may be edited
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                raise UserError(f"an exported file must be what was written; {folder / name} differs from its sha256.")
    described = json.loads((folder / "architecture.json").read_text(encoding="utf-8"))
    architecture = Architecture.from_dict(described["architecture"])
    model = build_model(architecture, described["input_size"][0], len(described["classes"]))
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()


def export_trial(
    ledger: "Ledger", name: str | None, out: Path, pick: str, *, say: Callable[[str], None] = lambda text: None
) -> Proof:
    """Export one trial of a search: `best` (first objective), `knee`, or a trial's number.

    Weights that were not kept (a trial off the front) are trained again under the trial's own seed and settings.
    """
    import torch
    from safetensors.torch import load

    from hybrid_search.data import load as load_data
    from hybrid_search.networks.model import build_model

    record = ledger.search(name)
    trial = picked(ledger, record, pick)
    _check_empty(out)
    architecture = Architecture.from_dict(trial.architecture)
    settings = Settings.from_dict(trial.settings)
    data = load_data(settings)
    was = trial.facts.get("fingerprint")
    if was not in (None, data.fingerprint):
        raise LedgerError(
            f"a network is exported with the data that it saw; {settings.data} had fingerprint {was}, here it has "
            f"{data.fingerprint}. Bring the data back."
        )
    repeats = ledger.repeats(record.id, confirmed=True).get(trial.number)
    measured = dict(repeats.own if repeats else trial.measurements)  # of this network, not of the mean over seeds
    weights = WeightsFolder(ledger.url, record.id).read(trial.number, trial.weights)
    if weights is None and record.evaluation != TRAINED:
        raise SettingsError(
            f"only trained networks can be exported; trial {trial.number} of {record.name} was scored by "
            f"{record.evaluation}, which gave no weights."
        )
    if weights is None:
        kept = WeightsFolder(ledger.url, record.id).file(trial.number)
        why = f"its weights were kept, but not in {kept}" if trial.weights else "its weights were not kept"
        say(f"trial {trial.number}: {why}; training again ({settings.epochs} epochs, seed {trial.seed})")
        weights, measured = _train_again(architecture, settings, say)
        recorded = (repeats.own if repeats else trial.measurements).get("accuracy")
        if recorded != measured["accuracy"]:
            say(f"trained again, its accuracy is {measured['accuracy']:.4f}; the search recorded {recorded}")
    model = build_model(architecture, record.input_size[0], record.classes)
    model.load_state_dict(load(weights))
    pixels = torch.from_numpy(data.validation.images[:PROOF_IMAGES]).float() / 255
    mean, std = (torch.tensor(list(values)).float().view(1, -1, 1, 1) for values in (data.mean, data.std))
    origin = {
        "search": record.name,
        "trial": trial.number,
        "seed": trial.seed,
        "measurements": measured,
        **_confirmed(ledger, record, trial.number),
        "settings": dict(trial.settings),
        "facts": dict(trial.facts),
        "data_licence": data.licence,
    }
    proof = export_model(
        model,
        architecture,
        out,
        input_size=record.input_size,
        classes=tuple(data.classes),
        mean=tuple(float(value) for value in data.mean),
        std=tuple(float(value) for value in data.std),
        images=(pixels - mean) / std,
        origin=origin,
    )
    say(f"trial {trial.number} of {record.name}: {architecture}")
    return proof


def _confirmed(ledger: "Ledger", record: SearchRecord, number: int) -> dict[str, Any]:
    """What fresh seeds said of this design, as plain JSON; nothing where it was not retrained."""
    standing = read_standings(ledger, record).get(number)
    if standing is None or not standing.seeds:
        return {}
    intervals = {name: list(interval) for name, interval in standing.intervals.items()}
    found = {"seeds": standing.seeds, "intervals_95": intervals, "front_probability": standing.probability}
    return {"confirmed": {**found, "means": dict(ledger.trial(record.id, number).measurements)}}


def picked(ledger: "Ledger", record: SearchRecord, pick: str) -> TrialRecord:
    """The trial that `best`, `knee` or a number means; UserError where there is none to pick."""
    if pick not in ("best", "knee"):
        if not (pick.isascii() and pick.isdecimal() and len(pick) < 10):
            raise UnknownName(
                f"--pick must be best, knee or a trial's number; got {pick!r}.{nearest(pick, ('best', 'knee'))}"
            )
        trial = ledger.trial(record.id, int(pick))
        if trial.state != "complete":
            raise SettingsError(f"--pick must name a finished trial; trial {pick} of {record.name} is {trial.state}.")
        return trial
    points, _ = ledger.points(record.id, record.objectives)
    rows = {p.number: dict(p.values) for p in points if p.state == "complete"}
    numbers = front_rows(list(rows.items()), record.objectives)
    if not numbers:
        raise SettingsError(f"--pick {pick} needs a finished trial; search {record.name!r} has none yet.")
    if pick == "best":
        return ledger.trial(record.id, numbers[0])
    directions = [OBJECTIVES[name].direction for name in record.objectives]
    index = knee([[_axis(name, rows[n][name]) for name in record.objectives] for n in numbers], directions)
    return ledger.trial(record.id, numbers[index])


def _axis(name: str, value: float) -> float:
    """Costs span decades: the knee is looked for on their logarithm."""
    import math

    return math.log(value) if OBJECTIVES[name].known and value > 0 else value


def _train_again(
    architecture: Architecture, settings: Settings, say: Callable[[str], None]
) -> tuple[bytes, dict[str, float]]:
    from hybrid_search.training.evaluation import evaluate

    weights, measured = None, {}
    for report in evaluate(architecture, settings):
        say(f"  epoch {report.rung}/{settings.epochs}: accuracy {report.measurements['accuracy']:.4f}")
        weights, measured = report.weights, dict(report.measurements)
    assert weights is not None
    return weights, measured


def _prove(folder: Path, images: "torch.Tensor", logits: "torch.Tensor") -> Proof:
    """Have a fresh process load the folder and compare its logits with these."""
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory() as scratch:
        asked = Path(scratch) / "asked.safetensors"
        save_file({"images": images.contiguous(), "logits": logits.contiguous()}, asked)
        command = [sys.executable, "-m", "hybrid_search.export.model_folder", str(folder), str(asked)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(
            f"the exported model must load in a fresh process; {folder} did not: {done.stderr.strip()[-500:]}"
        )
    found = json.loads(done.stdout)
    return Proof(folder, found["max_difference"], found["equal_answers"], len(images))


def _compare(folder: str, asked: str) -> None:
    """What the fresh process does: print how far its logits are from those asked."""
    import torch
    from safetensors.torch import load_file

    given = load_file(asked)
    with torch.inference_mode():
        logits = load_exported(folder)(given["images"])
    difference = (logits - given["logits"]).abs().max().item()
    equal = (logits.argmax(1) == given["logits"].argmax(1)).float().mean().item()
    json.dump({"max_difference": difference, "equal_answers": equal}, sys.stdout)


def _card(described: Mapping[str, Any], architecture: Architecture) -> str:
    """The model card: what it is, how good, from where, and three lines that run."""
    origin = described["origin"]
    channels, rows, cols = described["input_size"]
    lines = [f"# Network {described['digest']}", "", f"`{architecture}`", ""]
    lines += [f"Takes images of {channels} x {rows} x {cols}; tells {len(described['classes'])} classes apart."]
    if origin:
        measured = origin.get("measurements", {})
        told = [f"{OBJECTIVES[n].label} {OBJECTIVES[n].text(v)}" for n, v in measured.items() if n in OBJECTIVES]
        facts = ", ".join(f"{key} {value}" for key, value in origin.get("facts", {}).items())
        lines += [
            "",
            f"Trial {origin['trial']} of search {origin['search']!r}, seed {origin['seed']}: {'; '.join(told)}.",
        ]
        if confirmed := origin.get("confirmed"):
            mean = {n: v for n, v in confirmed["means"].items() if n in ("accuracy", "test_accuracy")}
            words = ", ".join(f"{n.replace('_', ' ')} {OBJECTIVES['accuracy'].text(v)}" for n, v in mean.items())
            lines += [f"Means over {confirmed['seeds']} fresh seeds of this design: {words}."]
        lines += [f"Made under: {facts}.", f"Licence of the data: {origin.get('data_licence', 'not stated')}."]
    lines += [
        "",
        "```python",
        "from hybrid_search import load_exported",
        'model = load_exported(".")  # this folder',
        "logits = model(images)  # (n, channels, rows, cols), pixels 0..1, minus mean, over std: see architecture.json",
        "```",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    _compare(*sys.argv[1:3])
