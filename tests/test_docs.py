"""Every command and code block of the documentation runs, page by page, in a folder of its own.

A block with a title is a file: it is written first. Each Python block is a program of its own. Commands run as typed,
with three changes that make them fast: `--trials` and `--seeds` are reduced, epochs are set to 1, and trials run in the
command's own process (`--engine local`). A block below the comment `<!-- parsed only: reason -->` is not run: its
commands are parsed, so that every option exists.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
import yaml

from hybrid_search.cli import app

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SKIPPED = {"log.md"}  # commands of the past, as they were typed then
FENCE = re.compile(
    r"(?P<parsed><!-- parsed only: [^>]+ -->\n)?"
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
TRIALS, SEEDS = 3, 1


class Block(NamedTuple):
    """One fenced code block of a page."""

    language: str
    title: str | None
    text: str
    parsed_only: bool


def blocks_of(path):
    text = path.read_text(encoding="utf-8")
    return [Block(m["language"], m["title"], m["text"], bool(m["parsed"])) for m in FENCE.finditer(text)]


def lines_of(block):
    """Return the commands of a console block: continued lines joined, comments dropped."""
    joined = block.text.replace("\\\n", " ")
    return [line for line in (re.sub(r"\s+#.*$", "", row).strip() for row in joined.splitlines()) if line]


def check_options(line):
    """Raise unless the program (or the Makefile) knows every word of a command line."""
    words = shlex.split(line.removeprefix(".venv/bin/"))
    if words[0] == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert words[1] in targets, f"{line}: the Makefile has no such target"
    elif words[0] == "hybrid-search":
        group = typer.main.get_command(app)
        while len(words) > 1 and words[1] in getattr(group, "commands", {}):
            group, words = group.commands[words[1]], words[1:]
        group.make_context(words[0], words[1:])
    else:
        assert words[0] in ("pip", "pytest", "python", "bash", "ray", "sbatch", "kubectl", "export", "git"), line


def faster(line):
    """Return a command that does the same with less training."""
    line = re.sub(r"--trials \d+", f"--trials {TRIALS}", line)
    line = re.sub(r"--seeds \d+", f"--seeds {SEEDS}", line)
    if re.match(r"hybrid-search run\b", line):
        line += " --engine local" + ("" if "--trials" in line else f" --trials {TRIALS}")
        line += "" if "--epochs" in line else " --epochs 1"
    if re.match(r"hybrid-search confirm\b", line):
        line += " --engine local --trials 1"
    if line.startswith("pip install"):
        line = f"{sys.executable} -m pip install --quiet --no-deps --no-build-isolation --target site ."
    return line.replace("pytest ", f"{sys.executable} -m pytest -q -p no:cacheprovider ")


def run_page(path, folder):
    """Run the blocks of a page in order, in one folder and with one database."""
    binaries = Path(sys.executable).parent
    search_path = os.pathsep.join([str(folder / "site"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {
        **os.environ,
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": search_path,
        "HYBRID_SEARCH_DB": f"sqlite:///{folder}/docs.db",
        "COLUMNS": "100",
    }

    def execute(command, what):
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{path.name}: {what}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"

    for block in blocks_of(path):
        if block.title:
            target = folder / block.title
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        if block.language == "console":
            for line in lines_of(block):
                check_options(line)
                if not block.parsed_only and not line.startswith("make "):
                    execute(["bash", "-c", faster(line)], line)
        elif block.language == "python" and not block.title and not block.parsed_only:
            execute([sys.executable, "-W", "ignore", "-c", block.text], block.text)
        elif block.language == "python" and block.title and "/" not in block.title and "test_" not in block.title:
            execute([sys.executable, "-W", "ignore", block.title], block.title)
        elif block.language == "yaml" and not block.title:
            yaml.safe_load(block.text)


def pages():
    return [path for path in PAGES if path.name not in SKIPPED and blocks_of(path)]


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_every_block_of_a_page_runs(path, tmp_path):
    run_page(path, tmp_path)


def test_an_option_that_does_not_exist_is_found():
    with pytest.raises(Exception, match=r"No such option.*--wrokers"):
        check_options("hybrid-search run digits --wrokers 3")


def test_pages_of_the_site_are_all_in_its_navigation():
    listed = re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    here = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert here <= set(listed)
