"""The code that runs in worker processes. It imports torch, ray and numpy only when a trial needs them.

Files:
    evaluation_protocol.py what an evaluation is
    packed_evaluation.py   PackedEvaluation: an evaluation on its way to a worker, and the folders it imports from
    packed_objects.py      PackedObjects: the registered objects of the driver on their way to a worker
    unpicklable_part.py    which part of an evaluation cannot be pickled
    trial_start.py         what came from the driver becomes a TrialRunner
    report_check.py        what an evaluation may return and yield
    failure_report.py      the failure of an exception, and the mistakes that end the search
    trial_runner.py        TrialRunner: the evaluation of one trial, one rung at a time
    interrupts.py          Ctrl-C during an evaluation
    actor.py               the worker process of engine `ray`
    tune_trainable.py      the worker process of engine `tune`
    tune_mailbox.py        the actor between Tune's workers and the driver
    train_worker.py        the worker process of a training on several devices
    train_mailbox.py       the actor between these workers and the driver
"""

from hybrid_search.engines.worker.evaluation_protocol import Evaluate, check_evaluation, takes_checkpoints
from hybrid_search.engines.worker.trial_runner import TrialRunner

__all__ = ["Evaluate", "TrialRunner", "check_evaluation", "takes_checkpoints"]
