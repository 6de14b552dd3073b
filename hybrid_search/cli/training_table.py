"""Full trainings as a table, as rows of JSON and CSV, and as lines below a front."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hybrid_search.cli.output import Format, print_rows

if TYPE_CHECKING:
    from hybrid_search.ledger.entries import TrainingRecord

TRAIN = "train"


def print_trainings(trainings: "Sequence[TrainingRecord]", form: Format, title: str = "") -> None:
    """Print full trainings on stdout.

    Args:
        trainings: The trainings.
        form: Table, JSON or CSV.
        title: Line above the table.
    """
    rows = training_rows(trainings)
    if form is not Format.table:
        print_rows(rows, form)
        return
    texts: dict[str, Any] = {
        "training": str,
        "design": str,
        "recipe": str,
        "seed": str,
        "epochs": str,
        "trained_on": str,
        "accuracy": _share,
        "test_accuracy": _share,
        "train_seconds": lambda value: "-" if value is None else f"{value:.1f} s",
    }
    if any(row["failure"] for row in rows):
        texts["failure"] = lambda value: value or "-"
    if all(row["trained_on"] == TRAIN for row in rows):
        del texts["trained_on"]
    texts["network"] = str
    print_rows(rows, form, title=title, columns=texts)


def training_rows(trainings: "Sequence[TrainingRecord]") -> list[dict[str, Any]]:
    """Return a row of plain values for each training, for JSON and CSV.

    Args:
        trainings: The trainings.
    """
    from hybrid_search.networks.stored_architecture import readable_line

    return [
        {
            "training": each.number,
            "trial": each.trial,
            "design": each.design,
            "recipe": each.recipe,
            "seed": each.seed,
            "epochs": each.settings["epochs"],
            "trained_on": _trained_on(each),
            "accuracy": each.measurements.get("accuracy"),
            "test_accuracy": each.measurements.get("test_accuracy"),
            "train_seconds": each.measurements.get("train_seconds"),
            "failure": each.failure_kind,
            "network": readable_line(each.architecture),
            "architecture": dict(each.architecture),
            "measurements": dict(each.measurements),
            "settings": dict(each.settings),
        }
        for each in trainings
    ]


def training_lines(trainings: "Sequence[TrainingRecord]") -> list[str]:
    """Return one line for each training, such as `training 2: trial 14, 30 epochs of recipe search, ...`.

    Args:
        trainings: The trainings.
    """
    return [_line(each) for each in trainings]


def list_trainings(trainings: "Sequence[TrainingRecord]", notice: Callable[[str], None]) -> None:
    """Print one line for each training below a front.

    Args:
        trainings: The trainings.
        notice: Called with each line.
    """
    for line in training_lines(trainings):
        notice(line)


def _line(training: "TrainingRecord") -> str:
    first = f"training {training.number}: {training.design}, {training.settings['epochs']} epochs"
    first += f", recipe {training.recipe}, seed {training.seed}"
    if (images := _trained_on(training)) != TRAIN:
        first += f", trained on {images}"
    if training.failure_kind:
        return f"{first}: failed ({training.failure_kind})"
    values = [
        f"{words} {_share(training.measurements[name])}"
        for name, words in (("accuracy", "validation accuracy"), ("test_accuracy", "test accuracy"))
        if name in training.measurements
    ]
    return f"{first}: {', '.join(values)}"


def _trained_on(training: "TrainingRecord") -> str:
    """Return the splits that a training learned from."""
    return "train and validation" if training.options.get("data_all") else TRAIN


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"
