"""Logger `lines`: one line of text for each trial or epoch. `--log lines:FILE` names the file."""

from pathlib import Path


class LinesLogger:
    """A file that gets a line for each result."""

    def __init__(self, place, run):
        self.path = Path(place) if place else run.folder.with_suffix(".txt")

    @staticmethod
    def check(place):
        """Accept every place."""

    def trial(self, fields):
        """Write number, state and digest of a trial."""
        self._write(f"trial {fields['number']} {fields['state']} {fields['digest']}")

    def epoch(self, epoch, measurements):
        """Write the loss of an epoch."""
        self._write(f"epoch {epoch} {measurements['train_loss']:.4f}")

    def close(self):
        """Do nothing: each line is written at once."""

    def _write(self, line):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
