"""Loggers: TensorBoard, Weights & Biases and MLflow, for searches and full trainings on every engine.

The ledger holds every result; a logger shows them elsewhere while they come. Loggers are called in the process of the
driver, one at a time, after a result was written to the ledger.

Files:
    table.py        LOGGERS, the table of loggers, and what a logger is
    opened.py       OpenedLoggers: the loggers of one run; one that fails is switched off and does not stop the run
    tensorboard.py  TensorBoard
    wandb.py        Weights & Biases
    mlflow.py       MLflow
"""

from hybrid_search.loggers.opened import ChosenLoggers, OpenedLoggers
from hybrid_search.loggers.table import LOGGERS, LoggedRun, Logger

__all__ = ["LOGGERS", "ChosenLoggers", "LoggedRun", "Logger", "OpenedLoggers"]
