"""Run the programs that kill processes, and find the processes that are left."""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def json_output_of(program, *arguments, seconds=300):
    """Return the JSON that a program in this folder prints; fail with its stderr if it fails."""
    command = [sys.executable, str(HERE / program), *map(str, arguments)]
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def marked(mark, drivers=()):
    """Return the command lines, by process id, of the processes whose environment contains `mark`.

    Children inherit the mark. Ray's agents may write their titles over it; they are recognised by the log
    files of the drivers' sessions.
    """
    processes, sessions = {}, tuple(f"_{driver}/logs" for driver in drivers)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            opened = {os.path.dirname(os.readlink(file)) for file in (folder / "fd").iterdir()} if sessions else ()
            if any(path.endswith(sessions) for path in opened) or mark.encode() in (folder / "environ").read_bytes():
                processes[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has ended, or belongs to another user
            continue
    return processes
