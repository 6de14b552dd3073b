"""Engine `ray`: long-lived Ray actors, one trial each at a time, on this machine or on a cluster.

Files:
    session.py          the Ray session, and what fits on its nodes
    local_session.py    a session on this machine: its CPUs and memory
    session_files.py    its token, and the folder of its sockets
    address.py          how to join an existing cluster
    worker_pool.py      WorkerPool: as many workers as the cluster has room for
    dispatcher.py       drive: hand trials to workers and reports to the search
    job.py              the settings of a Ray job
    failure_reasons.py  the kind and the text of a failed worker

An actor runs one rung per call. The driver hands each report to the search and calls the actor again. If an actor dies,
or sends no heartbeat for the lease, only its call is lost: it is killed, no later report of it is accepted, and its
trial is retried on another worker.
"""

from hybrid_search.engines.ray.dispatcher import drive
from hybrid_search.engines.ray.session import ready

__all__ = ["drive", "ready"]
