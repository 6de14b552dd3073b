"""`hybrid-search predict`: classify images with an exported network."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_search._internal.counted import counted
from hybrid_search.cli.help_page import HelpCommand
from hybrid_search.cli.options import FormatOption
from hybrid_search.cli.output import Format, print_rows, say
from hybrid_search.errors import DataError, SettingsError

if TYPE_CHECKING:
    from hybrid_search.export.prediction import Prediction, PredictionScores

NAMED_BROKEN = 5  # broken files that are named
MOST_CLASSES = 20  # of a confusion matrix in a terminal


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(cls=HelpCommand)(predict)


def predict(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that `hybrid-search export` has written.")],
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="Image files, and folders whose images are classified.")
    ],
    top: Annotated[
        int, typer.Option(metavar="K", help="Number of classes for each image, the most probable first.")
    ] = 1,
    runtime: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Format of the folder that computes: safetensors, onnx, ... Default: its first one."
        ),
    ] = None,
    evaluate: Annotated[
        bool,
        typer.Option(
            "--evaluate",
            help="Score the network: each folder has one folder for each class. Prints a confusion matrix.",
        ),
    ] = False,
    form: FormatOption = Format.table,
) -> None:
    """Classify images, preprocessed as the search did. Files that cannot be read are named, counted and left out."""
    from hybrid_search.export.prediction import Classifier, evaluate_predictions, find_images

    if top < 1:
        raise SettingsError(f"--top must be at least 1; got {top}.")
    classifier = Classifier(folder, runtime)
    found = find_images(images, classifier.classes if evaluate else None, say)
    predictions = list(classifier.predict(found, top))
    broken = [each for each in predictions if each.broken is not None]
    for each in broken[:NAMED_BROKEN]:
        say(f"left out: {each.broken}")
    if len(broken) > NAMED_BROKEN:
        say(f"left out: {counted(len(broken) - NAMED_BROKEN, 'more image')} that cannot be read")
    if len(broken) == len(predictions):
        raise DataError(f"there must be at least one image that can be read; got {counted(len(broken), 'broken one')}.")
    if evaluate:
        _print_evaluation(evaluate_predictions(predictions, classifier.classes), classifier.classes, len(broken), form)
    else:
        _print_predictions([each for each in predictions if each.broken is None], form)


def _print_predictions(predictions: "Sequence[Prediction]", form: Format) -> None:
    """Print one row for each image and class; JSON has one object for each image."""
    if form is Format.json:
        rows: list[dict[str, Any]] = [
            {
                "image": str(each.path),
                "classes": [{"class": name, "probability": probability} for name, probability in each.top],
            }
            for each in predictions
        ]
        print_rows(rows, form)
        return
    rows = [
        {"image": str(each.path), "rank": rank, "class": name, "probability": probability}
        for each in predictions
        for rank, (name, probability) in enumerate(each.top, start=1)
    ]
    columns = {"image": str, "class": str, "probability": lambda value: f"{100 * value:.1f} %"}
    print_rows(rows, form, columns=columns)


def _print_evaluation(evaluation: "PredictionScores", classes: Sequence[str], broken: int, form: Format) -> None:
    """Print the scores; CSV is the confusion matrix."""
    matrix = [[evaluation.confusion.get((true, predicted), 0) for predicted in classes] for true in classes]
    if form is Format.json:
        document = {
            "images": evaluation.images,
            "left_out": broken,
            "accuracy": evaluation.accuracy,
            "balanced_accuracy": evaluation.balanced_accuracy,
            "classes": list(classes),
            "confusion": matrix,
        }
        print_rows([document], form)
        return
    rows = [
        {"true class": true, **dict(zip(classes, counts, strict=True))}
        for true, counts in zip(classes, matrix, strict=True)
    ]
    if form is Format.csv:
        print_rows(rows, form)
        return
    title = f"{counted(evaluation.images, 'image')}: accuracy {100 * evaluation.accuracy:.2f} %, "
    title += f"balanced accuracy {100 * evaluation.balanced_accuracy:.2f} %"
    if len(classes) > MOST_CLASSES:
        say(f"{title}. --format csv prints the confusion matrix of {len(classes)} classes")
        return
    print_rows(rows, form, title=f"{title}\nrows are the true classes, columns the predicted ones")
