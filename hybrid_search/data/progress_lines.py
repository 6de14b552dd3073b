"""Lines about the progress of long work on many files."""

import time
from collections.abc import Callable

FIRST, NEXT = 5.0, 30.0  # seconds before the first line, and between two lines


def no_notice(line: str) -> None:
    """Say nothing: a worker has no terminal."""


class ProgressLines:
    """Says how far work on many files is, if it takes long.

    Args:
        notice: Called with each line.
        verb: What is done with the files, such as "decoded".
        total: Number of files.

    Example:
        >>> progress = ProgressLines(print, "decoded", 120_000)
        >>> progress.advance(40_000)
        decoded 40,000 of 120,000 images; about 62 s left
    """

    def __init__(self, notice: Callable[[str], None], verb: str, total: int) -> None:
        self.notice, self.verb, self.total = notice, verb, total
        self.done = 0
        self.begin = time.monotonic()
        self.next_line = self.begin + FIRST

    def advance(self, count: int = 1) -> None:
        """Count files that are done, and say how many they are, unless the last line is recent.

        Args:
            count: Number of files, from 1.
        """
        self.done += count
        now = time.monotonic()
        if now < self.next_line or self.done >= self.total:
            return
        self.next_line = now + NEXT
        left = (now - self.begin) / self.done * (self.total - self.done)
        self.notice(f"{self.verb} {self.done:,} of {self.total:,} images; about {left:.0f} s left")
