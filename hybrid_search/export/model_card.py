"""README.md of an exported folder: the network, its measurements, its origin, and how to use it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hybrid_search._internal.counted import counted
from hybrid_search.charts.design import design_numbers
from hybrid_search.charts.diagram import diagram_svg
from hybrid_search.charts.theme import LIGHT
from hybrid_search.data.stored_size import central_side, stored_side
from hybrid_search.export.class_results import ClassResults
from hybrid_search.export.folder import plugin_packages, sha256_of
from hybrid_search.export.formats import ExportFormat, TrainedNetwork
from hybrid_search.export.proof import GIVEN, VALIDATION, Proof
from hybrid_search.objectives import OBJECTIVES, TEST, TESTED, Objective
from hybrid_search.pruners.audit import wilson
from hybrid_search.records import Settings

CARD, DRAWING = "README.md", "architecture.svg"
SHOWN_CLASSES = 50


def write_card(
    folder: Path,
    network: TrainedNetwork,
    formats: Sequence[ExportFormat],
    image_source: str,
    proofs: Sequence[Proof] = (),
    not_written: Mapping[str, str] | None = None,
) -> None:
    """Write README.md.

    Args:
        folder: an existing folder.
        network: what is exported.
        formats: the formats in the folder; each adds its Python lines.
        image_source: what the images of the proof are, in words.
        proofs: one proof for each format.
        not_written: format -> why it could not be written.
    """
    channels, rows, cols = network.input_size
    classes = len(network.classes)
    lines = [f"# Network {network.architecture.digest}", "", f"`{network.architecture}`", ""]
    drawing = diagram_svg(design_numbers(network.architecture.to_dict(), (channels, rows, cols), classes), LIGHT)
    (folder / DRAWING).write_text(drawing + "\n", encoding="utf-8")
    lines += [f"![The network from the image to the logits]({DRAWING})", ""]
    lines += [f"Input: images of {channels} x {rows} x {cols}. Output: logits of {classes} classes."]
    lines += ["Each pixel, 0 to 255, is normalised as `(pixel * scale - mean) / std`, with scale 1 / 255."]
    lines += ["`architecture.json` has scale, mean and std of each channel."]
    for name, package in plugin_packages(network).items():
        lines += ["", f"`{name}` comes from the package {package}. Install that package before you load the network."]
    if network.origin:
        lines += _origin_lines(network.origin)
    if unknown := network.origin.get("unknown"):
        lines += [f"Unknown: {', '.join(unknown)}. They were not stored with the search, and its data was not there."]
    if image_source not in (VALIDATION, GIVEN):
        lines += [f"Proof: the logits were compared on {image_source}, because the data of the trial was not there."]
    lines += _use_lines(network)
    if network.validation is not None:
        lines += _class_lines(network.validation, network.classes)
    lines += _proof_lines(folder, proofs, not_written or {})
    for entry in formats:
        lines += ["", f"## Use ({entry.name})", "", "Run this inside the folder of this file:", ""]
        lines += ["```python", *image_lines(network), entry.usage(), "```"]
    (folder / CARD).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _use_lines(network: TrainedNetwork) -> list[str]:
    """Return what the network may be used for, and what was not checked."""
    settings = network.origin.get("settings", {})
    name = settings.get("data") if isinstance(settings, Mapping) else None
    images = (
        f"images like those of its data set ({_cell(str(name))})" if name else "images like those it was trained on"
    )
    shown = ", ".join(_cell(each) for each in network.classes[:SHOWN_CLASSES])
    more = f" and {len(network.classes) - SHOWN_CLASSES} more" if len(network.classes) > SHOWN_CLASSES else ""
    return [
        "",
        "## Intended use",
        "",
        f"To classify {images}. The classes are {shown}{more}.",
        "The network gives one of these classes to every image, also to one that shows something else. Not checked are",
        "its accuracy on images of another camera, place or time, and whether its probabilities are calibrated.",
        "Measure it on labelled images of your own: `hybrid-search predict FOLDER IMAGES --evaluate`.",
    ]


def _class_lines(results: ClassResults, classes: Sequence[str]) -> list[str]:
    """Return the table of the classes, those with the smallest share of recognised images first."""
    percent = OBJECTIVES["accuracy"].text
    low, accuracy, high = results.accuracy()
    part = "" if results.total == results.of else f" (drawn at random from {results.of:,})"
    lines = [
        "",
        "## Accuracy by class",
        "",
        f"Of {results.total:,} validation images{part}, {sum(results.correct):,} are classified correctly: "
        f"{percent(accuracy)} (95 % interval {percent(low)} to {percent(high)}).",
        "Validation images chose the design, so the accuracy on new images is somewhat lower.",
        "",
        "| class | images | recognised | 95 % interval | right when named |",
        "|---|---|---|---|---|",
    ]
    rows = [row for row in zip(classes, results.images, results.correct, results.predicted, strict=True) if row[1]]
    rows.sort(key=lambda row: row[2] / row[1])
    for name, images, correct, predicted in rows[:SHOWN_CLASSES]:
        first, share, last = wilson(correct, images)
        right = percent(correct / predicted) if predicted else "never named"
        lines += [f"| {_cell(name)} | {images:,} | {percent(share)} | {percent(first)} to {percent(last)} | {right} |"]
    if len(rows) > SHOWN_CLASSES:
        lines += ["", f"{len(rows) - SHOWN_CLASSES:,} classes with higher shares are left out."]
    if absent := len(classes) - len(rows):
        lines += ["", f"Without a validation image: {absent:,} of {len(classes):,} classes."]
    return lines


def _cell(text: str) -> str:
    """Return text that Markdown shows as it is, on one line, also inside a table."""
    written = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)
    return re.sub(r"([\\`*_\[\]<>|&#~])", r"\\\1", written)


def _proof_lines(folder: Path, proofs: Sequence[Proof], not_written: Mapping[str, str]) -> list[str]:
    """Return the tables of proofs and files, and the formats that could not be written."""
    lines: list[str] = []
    if proofs:
        lines += [
            "",
            "## Proof",
            "",
            "A new process loaded each format and compared its logits with the trained network.",
        ]
        lines += ["", "| format | largest difference | equal predictions | images | images a call | runtime |"]
        lines += ["|---|---|---|---|---|---|"]
        for proof in proofs:
            sizes = " and ".join(map(str, proof.batch_sizes))
            runtime = ", ".join(f"{package} {number}" for package, number in proof.runtime.items())
            equal = f"{100 * proof.equal_answers:.1f} %{proof.accuracies}"
            numbers = f"{proof.max_difference:.3g} | {equal} | {proof.images} | {sizes}"
            lines += [f"| {proof.format} | {numbers} | {runtime} |"]
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CARD)
        lines += ["", "| file | SHA-256 |", "|---|---|"]
        lines += [f"| {path.relative_to(folder).as_posix()} | `{sha256_of(path)}` |" for path in paths]
    lines += ["", *(f"Not written: {why}" for why in not_written.values())] if not_written else []
    return lines


def _central(stored: tuple[int, int], size: tuple[int, int]) -> list[str]:
    """Return the line that crops the central part of an image that is stored larger; columns come before rows."""
    if stored == size:
        return []
    part = tuple(central_side(before, after) for before, after in zip(stored, size, strict=True))
    left, top = ((before - side) // 2 for before, side in zip(stored, part, strict=True))
    scaled = "" if part == size else f".resize({size}, Image.Resampling.BILINEAR)"
    return [f"picture = picture.crop(({left}, {top}, {left + part[0]}, {top + part[1]})){scaled}  # the central part"]


def image_lines(network: TrainedNetwork) -> list[str]:
    """Return the Python lines that define `images`, float32 (n, channels, rows, columns), for the network.

    For an image folder they read a picture as the search did; for other data they start from an array.

    Args:
        network: what is exported.
    """
    channels, rows, cols = network.input_size
    lines = ["import json", "from pathlib import Path", "", "import numpy as np", "import torch"]
    if network.origin.get("settings", {}).get("data") == "imagefolder":
        settings = Settings.from_dict(network.origin["settings"])
        wide, high = stored_side(settings, cols), stored_side(settings, rows)
        lines += [
            "from PIL import Image, ImageOps",
            "",
            'picture = Image.open("photo.jpg")  # your picture; 8 bits a channel, without transparent pixels',
            f'picture.draft("RGB", ({wide}, {high}))  # a large JPEG is decoded at a fraction of its size',
            'picture = ImageOps.exif_transpose(picture).convert("RGB")',
            f"picture = ImageOps.fit(picture, ({wide}, {high}), Image.Resampling.BILINEAR)  # scaled and cropped",
            *_central((wide, high), (cols, rows)),
            "pixels = np.asarray(picture).transpose(2, 0, 1)[None]  # (n, channels, rows, columns), 0 to 255",
        ]
    else:
        shape = f"(1, {channels}, {rows}, {cols})"
        lines += [
            "",
            f"pixels = np.zeros({shape}, np.uint8)  # your images, 0 to 255, in the size that the search used",
        ]
    if not network.mean:
        return [*lines, "images = torch.tensor(pixels) / 255  # mean and std are unknown; subtract and divide here", ""]
    return [
        *lines,
        "",
        'preprocessing = json.loads(Path("architecture.json").read_text(encoding="utf-8"))["preprocessing"]',
        'mean, std = (torch.tensor(preprocessing[name]).view(1, -1, 1, 1) for name in ("mean", "std"))',
        'images = (torch.tensor(pixels) * preprocessing["scale"] - mean) / std',
        "",
    ]


def _origin_lines(origin: Mapping[str, Any]) -> list[str]:
    """Return the lines about trial, measurements, machine and licence."""
    measurements = origin.get("measurements", {})
    own = [Objective.from_dict(each) for each in origin.get("own_objectives", [])]
    kinds = {**OBJECTIVES.usable(), **{each.name: each for each in own}}
    values = [f"{kinds[n].label} {kinds[n].text(v)}" for n, v in measurements.items() if n in kinds]
    values += [
        f"{name.replace('_', ' ')} {OBJECTIVES['accuracy'].text(measurements[name])}"
        for name in (f"{TEST}{each}" for each in TESTED)
        if name in measurements
    ]
    facts = ", ".join(f"{key} {value}" for key, value in origin.get("facts", {}).items() if value)
    named = "Measurements"
    if {"training", "design", "recipe", "seed"} <= origin.keys():
        search = f" of search {origin['search']!r}" if "search" in origin else ""
        named = f"{origin['design']}{search}, trained in full with recipe {origin['recipe']}, seed {origin['seed']}"
        named = named[0].upper() + named[1:]
    elif {"trial", "search", "seed"} <= origin.keys():  # an origin that a user wrote may have any keys
        named = f"Trial {origin['trial']} of search {origin['search']!r}, seed {origin['seed']}"
    lines = ["", f"{named}: {'; '.join(values) or 'none stated'}."]
    if confirmed := origin.get("confirmed"):
        names = [name for each in TESTED for name in (each, f"{TEST}{each}")]
        means = {n: confirmed["means"][n] for n in names if n in confirmed["means"]}
        texts = ", ".join(f"{n.replace('_', ' ')} {OBJECTIVES['accuracy'].text(v)}" for n, v in means.items())
        lines += [f"Means over {counted(confirmed['seeds'], 'fresh seed')} of this design: {texts}."]
    if "training" in origin and origin.get("options") and origin["options"].get("data_all"):
        lines += ["It was trained on the validation images too: an accuracy on them is one on training images."]
    return [
        *lines,
        f"Measured with: {facts or 'not stated'}.",
        f"Licence of the data: {origin.get('data_licence', 'not stated')}.",
    ]
