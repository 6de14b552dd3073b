"""Counts of what was left out while a folder of images was read, as one line each for the user."""

import os
from collections import Counter
from pathlib import Path

from hybrid_search._internal.shown_path import shown

EXAMPLES = 3  # names in one entry of the line, at most


class LeftOut:
    """Counts of what was left out of a folder, by reason, with the first names for each.

    Args:
        base: The folder; names are shown relative to it.

    Attributes:
        counts: Number of things that were left out, by reason.
        deeper: Number of images in folders below the class folders, by the name of the folder.

    Example:
        >>> left_out = LeftOut(Path("photos"))
        >>> left_out.add("files .heic", Path("photos/train/cat/1.heic"))
        >>> left_out.lines()
        ['left out of photos: files .heic: 1 (train/cat/1.heic)']
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.counts: Counter[str] = Counter()
        self.deeper: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}

    def add(self, reason: str, path: Path, count: int = 1) -> None:
        """Count something that was left out.

        Args:
            reason: What it is, as a plural noun such as "files .heic".
            path: The file, or the folder that contains `count` of them.
            count: Number of them; 0 counts nothing.
        """
        if count == 0:
            return
        self.counts[reason] += count
        names = self.examples.setdefault(reason, [])
        if len(names) <= EXAMPLES:
            names.append(shown(os.path.relpath(path, self.base)) if len(names) < EXAMPLES else "...")

    def add_deeper(self, path: Path) -> None:
        """Count an image that is in a folder below its class folder."""
        self.deeper[shown(os.path.relpath(path.parent, self.base))] += 1

    def entries(self) -> str:
        """Return every count with its names."""
        return "; ".join(f"{what}: {count:,} ({', '.join(self.examples[what])})" for what, count in self.counts.items())

    def lines(self) -> list[str]:
        """Return a line about what was left out, and one about images in folders below the class folders."""
        lines = [f"left out of {shown(self.base)}: {self.entries()}"] if self.counts else []
        if self.deeper:
            names = ", ".join([*sorted(self.deeper)[:EXAMPLES], *(["..."] if len(self.deeper) > EXAMPLES else [])])
            lines.append(
                f"images in folders below a class folder, which belong to this class: {self.deeper.total():,} ({names})"
            )
        return lines
