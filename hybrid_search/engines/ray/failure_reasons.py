"""Return the kind and a one-line reason of a failed worker, from Ray's message, which may have fifty lines."""

import re

from hybrid_search.records import Failure

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
UNEXPECTED = "died unexpectedly"  # the process ended without an exception
LOW_MEMORY = "running low on memory"  # Ray's memory monitor killed the worker
# Ray reports a node that was shut down. It notices a node that lost its connection some ten seconds later; until then
# the actor is only "temporarily unavailable". The node of a dead process reports the death itself.
NODE_GONE = re.compile(
    r"node (was (preempted|terminated)|has died|it was running on is dead)|actor is temporarily unavailable"
)
MACHINE_MEMORY = re.compile(r"was ([\d.]+ ?GB used / [\d.]+ ?GB) limit")
WORKER_MEMORY = re.compile(r"Selected to kill: .*?actual memory used=([\d.]+)GB")


def failure_of(message: str) -> Failure:
    """Return why a worker is gone.

    Args:
        message: Ray's error message.

    Returns:
        Kind `oom` with the memory of the machine and of the killed workers; `pre-empted` if the node is gone; `lost`
        otherwise.
    """
    message = COLOURS.sub("", message)
    if LOW_MEMORY in message:
        machine, workers = MACHINE_MEMORY.search(message), WORKER_MEMORY.findall(message)
        usage = f" ({machine[1]})" if machine else ""
        killed = f"; killed workers used {' and '.join(f'{float(one):.2f} GB' for one in workers)}" if workers else ""
        return Failure("oom", f"its machine ran low on memory{usage}, so Ray killed its worker{killed}")
    if NODE_GONE.search(message):
        return Failure("pre-empted", "the node of its worker went away")
    lines = message.strip().splitlines()
    reason = lines[0] if lines else "Ray gives no reason"
    if UNEXPECTED in reason:
        reason = f"{reason.rstrip('.')}: os._exit, a crash of native code, or a kill."
    return Failure("lost", f"its worker died: {reason}")
