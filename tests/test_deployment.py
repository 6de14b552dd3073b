"""The deployment page and its files: they parse, and the program accepts every command line in them."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer
import yaml

from hybrid_search import load_space
from hybrid_search.cli import app

DOCS = Path(__file__).parent.parent / "docs"
FILES = [DOCS / "deployment.md", *sorted((DOCS / "deployment").iterdir())]


def commands(text):
    """Return the hybrid-search commands of a file, as words; continuation lines are joined."""
    if "kind: RayJob" in text:
        text = yaml.safe_load(text)["spec"]["entrypoint"]
    joined = text.replace("\\\n", " ")
    found = re.findall(r"^ *(hybrid-search .*?)(?: &)?(?:  +#.*)?$", joined, flags=re.MULTILINE)
    return [shlex.split(line)[1:] for line in found]


LINES = [(path.name, words) for path in FILES for words in commands(path.read_text(encoding="utf-8"))]


def parsed(words):
    """Return the options of a command line by name; raise if the program does not accept it."""
    group = typer.main.get_command(app)
    command = group.commands[words[0]]
    return command.make_context(words[0], list(words[1:])).params


def test_every_file_of_the_page_has_a_command():
    assert {name for name, _ in LINES} == {"deployment.md", "kuberay.yaml", "slurm.sh"}
    assert len(LINES) >= 5


@pytest.mark.parametrize(("name", "words"), LINES, ids=[f"{name}: {words[1]}" for name, words in LINES])
def test_the_program_takes_every_command_of_the_page(name, words):
    params = parsed(words)
    assert load_space(params["space"])
    assert params["trials"] > 0


def test_an_option_that_does_not_exist_would_be_found():
    with pytest.raises(Exception, match=r"No such option.*--wrokers"):
        parsed(["run", "digits", "--wrokers", "3"])


def test_the_script_is_bash_and_gives_the_allocation_time_to_end():
    script = DOCS / "deployment" / "slurm.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert "#SBATCH --signal=B:TERM@60" in script.read_text(encoding="utf-8")


def test_the_job_keeps_a_worker_and_gives_the_database_to_the_driver_alone():
    spec = yaml.safe_load((DOCS / "deployment" / "kuberay.yaml").read_text(encoding="utf-8"))["spec"]
    cluster = spec["rayClusterSpec"]
    head = cluster["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert [variable["name"] for variable in head["env"]] == ["HYBRID_SEARCH_DB"]
    for group in cluster["workerGroupSpecs"]:
        assert 1 <= group["minReplicas"] <= group["maxReplicas"]
        assert "env" not in group["template"]["spec"]["containers"][0]


def test_every_option_and_file_that_the_page_names_exists():
    page = (DOCS / "deployment.md").read_text(encoding="utf-8")
    options = {name for option in typer.main.get_command(app).commands["run"].params for name in option.opts}
    named = set(re.findall(r"`(--[a-z-]+)", page)) - {"--signal"}
    assert named <= options
    assert all((DOCS / link).exists() for link in re.findall(r"\]\((deployment/[^)]+)\)", page))
