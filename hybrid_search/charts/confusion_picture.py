"""A confusion matrix as a PNG picture: rows are the true classes, columns the predicted ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont

CELL, GAP, MARGIN, FONT = 46, 2, 16, 14  # pixels
MOST_WRITTEN = 40  # classes; in a larger matrix a cell is small and has no number
SMALL_CELL, LEAST_CELL, LARGEST = 12, 1, 8000
LONGEST = 24  # characters of a class name
WHITE, INK = (255, 255, 255), (30, 34, 40)
RIGHT, WRONG = (0, 114, 178), (213, 94, 0)  # blue and vermilion of Okabe and Ito, which colour-blind readers tell apart


def write_confusion_picture(file: Path, matrix: Sequence[Sequence[int]], classes: Sequence[str], title: str) -> None:
    """Write a confusion matrix as a PNG picture.

    The shade of a cell is its share of the images of its true class: blue on the diagonal, vermilion beside it.

    Args:
        file: the file to write.
        matrix: number of images, one row for each true class, one column for each predicted one.
        classes: the class names.
        title: the text above the matrix.

    Example:
        >>> write_confusion_picture(Path("confusion.png"), [[9, 1], [0, 10]], ["cat", "fox"], "20 images: 95.00 %")
    """
    confusion_picture(matrix, classes, title).save(file, format="PNG")


def confusion_picture(matrix: Sequence[Sequence[int]], classes: Sequence[str], title: str) -> "Image":
    """Return the picture that `write_confusion_picture` writes, as a Pillow image.

    Args:
        matrix, classes, title: as for `write_confusion_picture`.
    """
    from PIL import Image, ImageDraw, ImageFont

    written = len(classes) <= MOST_WRITTEN
    cell = CELL if written else max(LEAST_CELL, min(SMALL_CELL, LARGEST // len(classes)))
    gap = GAP if cell > GAP * 2 else 0
    font = ImageFont.load_default(FONT)
    names = [_shown(name) for name in classes] if written else []
    side = max((_width(font, name) for name in names), default=0) + MARGIN
    left, top = MARGIN + side, 3 * MARGIN + FONT + side
    words = [(title, MARGIN), ("rows: true class, columns: predicted class", MARGIN + FONT + 6)]
    width = max(left + cell * len(classes) + MARGIN, max(_width(font, text) for text, _ in words) + 2 * MARGIN)
    picture = Image.new("RGB", (width, top + cell * len(classes) + MARGIN), WHITE)
    draw = ImageDraw.Draw(picture)
    for text, height in words:
        draw.text((MARGIN, height), _printable(text), INK, font)
    for index, name in enumerate(names):
        middle = top + index * cell + cell // 2
        draw.text((left - 8, middle), name, INK, font, anchor="rm")
        picture.paste(
            _upright(name, font), (left + index * cell + (cell - FONT) // 2 - 2, top - _width(font, name) - 8)
        )
    for row, counts in enumerate(matrix):
        for column, count in enumerate(counts):
            share = count / max(1, sum(counts))
            x, y = left + column * cell, top + row * cell
            colour = _mixed(RIGHT if row == column else WRONG, share)
            draw.rectangle((x, y, x + cell - 1 - gap, y + cell - 1 - gap), colour if count else (238, 240, 243))
            if written and count:
                ink = WHITE if share > 0.5 else INK
                draw.text((x + (cell - gap) // 2, y + (cell - gap) // 2), f"{count}", ink, font, anchor="mm")
    return picture


def _upright(text: str, font: "FreeTypeFont | ImageFont") -> "Image":
    """Return a text that is read from below."""
    from PIL import Image, ImageDraw

    flat = Image.new("RGB", (_width(font, text), FONT + 6), WHITE)
    ImageDraw.Draw(flat).text((0, 0), text, INK, font)
    return flat.rotate(90, expand=True)


def _width(font: "FreeTypeFont | ImageFont", text: str) -> int:
    return int(font.getlength(text)) + 1


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)


def _shown(name: str) -> str:
    """Return a class name on one line, cut to its first characters."""
    text = _printable(name)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _mixed(colour: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    """Return a colour between white (share 0) and the given one (share 1); a small share is still seen."""
    weight = 0.12 + 0.88 * share
    red, green, blue = (round(255 + (each - 255) * weight) for each in colour)
    return red, green, blue
