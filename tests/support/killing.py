"""Programs that kill processes and say how it went."""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def said_by(program, *arguments, seconds=300):
    """What a program beside this file prints as JSON; its errors where it fails."""
    command = [sys.executable, str(HERE / program), *map(str, arguments)]
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def marked(mark, drivers=()):
    """The processes, by id, whose environment has this mark: whatever a marked one started, and what those did.

    Ray's agents write their titles over what may be the mark: they are known by the logs of the drivers' sessions.
    """
    found, sessions = {}, tuple(f"_{driver}/logs" for driver in drivers)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            opened = {os.path.dirname(os.readlink(file)) for file in (folder / "fd").iterdir()} if sessions else ()
            if any(path.endswith(sessions) for path in opened) or mark.encode() in (folder / "environ").read_bytes():
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it ended meanwhile, or is not ours
            continue
    return found
