"""Programs that kill processes and say how it went."""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def said_by(program, *arguments, seconds=300):
    """What a program beside this file prints as JSON; its errors where it fails."""
    command = [sys.executable, str(HERE / program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
