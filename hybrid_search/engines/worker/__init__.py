"""The code that runs in worker processes. It imports torch, ray and numpy only when a trial needs them.

Files:
    evaluation_protocol.py what an evaluation is
    trial_runner.py        TrialRunner: the evaluation of one trial, one rung at a time
    actor.py               the worker process of engine `ray`
    tune_trainable.py      the worker process of engine `tune`
    tune_mailbox.py        the actor between Tune's workers and the driver
"""

from hybrid_search.engines.worker.evaluation_protocol import Evaluate, takes_checkpoints
from hybrid_search.engines.worker.trial_runner import TrialRunner

__all__ = ["Evaluate", "TrialRunner", "takes_checkpoints"]
