"""MLflow: one run for each search and each full training; the trials of a search are runs below that of the search."""

import os
import socket
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from hybrid_search.errors import SettingsError
from hybrid_search.loggers.table import LoggedRun

EXPERIMENT = "hybrid-search"
UID = "hybrid_search.uid"  # tag that identifies the run of a search or a training
TRIAL = "hybrid_search.trial"  # tag with the number of a trial
PARENT, NAME = "mlflow.parentRunId", "mlflow.runName"  # tags of MLflow itself
LONGEST = 500  # characters of a parameter
CONNECT_SECONDS = 3.0  # to open a connection to the server
# By default the client tries for minutes, while the search would wait.
LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


class MlflowLogger:
    """A run of the experiment `hybrid-search`. A search or training that continues continues its run.

    Args:
        place: The tracking URI, such as http://host:5000 or sqlite:///mlflow.db; "": MLFLOW_TRACKING_URI. A folder
            needs MLFLOW_ALLOW_FILE_STORE=true.
        run: The run.
    """

    def __init__(self, place: str, run: LoggedRun) -> None:
        from mlflow import MlflowClient

        for name, value in LIMITS.items():
            os.environ.setdefault(name, value)
        self._client: Any = MlflowClient(place or None)
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        self._experiment = experiment.experiment_id if experiment else self._client.create_experiment(EXPERIMENT)
        found = self._client.search_runs([self._experiment], f"tags.`{UID}` = '{run.uid}'", max_results=1)
        self._id = found[0].info.run_id if found else self._new_run({UID: run.uid, NAME: run.name}, run.values)
        self._client.update_run(self._id, "RUNNING")

    @staticmethod
    def check(place: str) -> None:
        """Raise SettingsError unless the client is installed, the server answers and no password is given.

        Args:
            place: The tracking URI; "" for the default.
        """
        try:
            from mlflow import MlflowClient  # noqa: F401
        except ImportError as error:
            raise SettingsError(
                f"logger mlflow (--log) needs the client of MLflow, which cannot be imported: {error}. Install it: pip "
                "install 'hybrid-search[mlflow]'."
            ) from None
        if "@" in place:
            raise SettingsError(
                "logger mlflow (--log) must have an address without a user or password (not shown). Put them into "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
            )
        server = urlsplit(place or os.environ.get("MLFLOW_TRACKING_URI", ""))
        if server.scheme in ("http", "https") and server.hostname:
            try:
                port = server.port or {"http": 80, "https": 443}[server.scheme]
                socket.create_connection((server.hostname, port), timeout=CONNECT_SECONDS).close()
            except (OSError, ValueError) as error:
                raise SettingsError(
                    f"logger mlflow (--log) must have a server that answers; {server.hostname} does not: {error}."
                ) from None

    def trial(self, fields: Mapping[str, Any]) -> None:
        """Log a trial as a run below that of the search.

        Args:
            fields: The fields of the trial.
        """
        number = fields["number"]
        numbers = {name: value for name, value in fields.items() if isinstance(value, int | float)}
        words = {name: value for name, value in fields.items() if isinstance(value, str)}
        run = self._new_run({PARENT: self._id, TRIAL: str(number), NAME: f"trial {number}"}, words)
        self._log(run, numbers, 0)
        self._client.set_terminated(run, "FAILED" if fields["state"] == "failed" else "FINISHED")

    def epoch(self, epoch: int, measurements: Mapping[str, float]) -> None:
        """Log the numbers of an epoch.

        Args:
            epoch: Its number, from 1, which is the step.
            measurements: Its numbers by name.
        """
        self._log(self._id, measurements, epoch)

    def close(self) -> None:
        """End the run."""
        self._client.set_terminated(self._id)

    def _new_run(self, tags: Mapping[str, str], values: Mapping[str, Any]) -> str:
        """Create a run with tags and parameters; return its id."""
        from mlflow.entities import Param

        run: str = self._client.create_run(self._experiment, tags=dict(tags), run_name=tags[NAME]).info.run_id
        parameters = [Param(name, str(value)[:LONGEST]) for name, value in values.items()]
        self._client.log_batch(run, params=parameters)
        return run

    def _log(self, run: str, numbers: Mapping[str, float], step: int) -> None:
        """Log numbers in one request."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(run, [Metric(name, float(value), now, step) for name, value in numbers.items()])
