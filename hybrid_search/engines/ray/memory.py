"""What Ray's memory monitor says of the workers it ended to save their machine, in one line instead of fifty."""

import re

MARK = "running low on memory"
USED = re.compile(r"was ([\d.]+ ?GB used / [\d.]+ ?GB) limit")
HELD = re.compile(r"Selected to kill: .*?actual memory used=([\d.]+)GB")


def out_of_memory(said: str) -> str | None:
    """How much the machine and the ended workers held, as Ray tells it; None where it speaks of something else."""
    if MARK not in said:
        return None
    used, held = USED.search(said), HELD.findall(said)
    machine = f" ({used[1]})" if used else ""
    workers = f"; those ended held {' and '.join(f'{float(one):.2f} GB' for one in held)}" if held else ""
    return f"its machine ran low on memory{machine}, so that Ray ended its worker{workers}"
