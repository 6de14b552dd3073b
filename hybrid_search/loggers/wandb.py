"""Weights & Biases: one run for each search and each full training.

WANDB_MODE=offline, WANDB_API_KEY and the other variables of the client work as usual.
"""

from collections.abc import Mapping
from typing import Any

from hybrid_search.errors import SettingsError
from hybrid_search.loggers.table import LoggedRun

PROJECT = "hybrid-search"  # the default project


class WandbLogger:
    """A run of Weights & Biases. A search or training that continues continues its run.

    Args:
        place: PROJECT or ENTITY/PROJECT; "": hybrid-search.
        run: The run.
    """

    def __init__(self, place: str, run: LoggedRun) -> None:
        import wandb

        entity, _, project = place.rpartition("/")
        self._run = wandb.init(
            entity=entity or None,
            project=project or PROJECT,
            id=run.uid,
            name=run.name,
            job_type=run.kind,
            config=dict(run.values),
            resume="allow",
            settings=wandb.Settings(console="off", silent=True),
        )
        step = "number" if run.kind == "search" else "epoch"
        self._run.define_metric(step)
        self._run.define_metric("*", step_metric=step)

    @staticmethod
    def check(place: str) -> None:
        """Raise SettingsError unless the client is installed.

        Args:
            place: The project; "" for the default.
        """
        try:
            import wandb  # noqa: F401
        except ImportError as error:
            raise SettingsError(
                f"logger wandb (--log) needs the client of Weights & Biases, which cannot be imported: {error}. "
                "Install it: pip install 'hybrid-search[wandb]'."
            ) from None

    def trial(self, fields: Mapping[str, Any]) -> None:
        """Log the fields of a trial.

        Args:
            fields: The fields of the trial.
        """
        self._run.log({name: value for name, value in fields.items() if value is not None})

    def epoch(self, epoch: int, measurements: Mapping[str, float]) -> None:
        """Log the numbers of an epoch.

        Args:
            epoch: Its number, from 1.
            measurements: Its numbers by name.
        """
        self._run.log({"epoch": epoch, **measurements})

    def close(self) -> None:
        """Send what is left."""
        self._run.finish()
