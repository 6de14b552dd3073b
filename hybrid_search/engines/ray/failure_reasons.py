"""What Ray says of a worker that is gone, which may be fifty lines: the kind of failure, and one line of why."""

import re

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
MEMORY = "running low on memory"  # Ray's memory monitor ended it to save its machine
# Of a node that goes in order Ray says so. Of one that is cut off it learns some ten seconds later; until then nobody
# answers there, while the death of a mere process is told by the node it was on.
NODE = re.compile(
    r"node (was (preempted|terminated)|has died|it was running on is dead)|actor is temporarily unavailable"
)
USED = re.compile(r"was ([\d.]+ ?GB used / [\d.]+ ?GB) limit")
HELD = re.compile(r"Selected to kill: .*?actual memory used=([\d.]+)GB")


def why_gone(said: str) -> tuple[str, str]:
    """`oom`, with what the machine and the ended workers held; `pre-empted` where the node went away; else `lost`."""
    said = COLOURS.sub("", said)
    if MEMORY in said:
        used, held = USED.search(said), HELD.findall(said)
        machine = f" ({used[1]})" if used else ""
        workers = f"; those ended held {' and '.join(f'{float(one):.2f} GB' for one in held)}" if held else ""
        return "oom", f"its machine ran low on memory{machine}, so that Ray ended its worker{workers}"
    if NODE.search(said):
        return "pre-empted", "the node of its worker went away"
    lines = said.strip().splitlines()
    return "lost", f"its worker died: {lines[0] if lines else 'Ray says nothing of it'}"
