"""The command line: tables on stdout, all other lines on stderr, mistakes in one line with exit code 2."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.fakes import scored, tiny_space
from support.ledgers import a_search, fill

from hybrid_search import cli
from hybrid_search.cli.output import Format, say
from hybrid_search.cli.run import print_result
from hybrid_search.ledger import Ledger, reads, writes
from hybrid_search.ledger.process_identity import ProcessIdentity
from hybrid_search.networks.references import references
from hybrid_search.records import Resources
from hybrid_search.runs.checkpoint_root import NO_CHECKPOINTS
from hybrid_search.runs.run import run as run_search

BAD_SPACE = {"name": "bad", "stem": "conv3x3", "stages": [{"depth": 1, "width": 16, "operator": "conv"}]}


def call(*words):
    return cli.run([str(word) for word in words])


@pytest.fixture
def searched(tmp_path):
    """Return the URL of a database with a complete search of five trials by a fake evaluation."""
    url = f"sqlite:///{tmp_path}/done.db"
    with Ledger(url) as ledger:
        run_search(tiny_space(), trials=5, resources=Resources("local"), ledger=ledger, evaluate=scored(), name="mine")
    return url


@pytest.fixture
def bad_space(tmp_path):
    def write(**change):
        path = tmp_path / "bad.yaml"
        path.write_text(yaml.safe_dump({**BAD_SPACE, **change}))
        return path

    return write


def written():
    """Return every file here but the two that SQLite writes beside a database while it is read."""
    return sorted(path for path in Path().rglob("*") if not path.name.endswith(("-wal", "-shm")))


def refused(capsys, *words):
    """Return the one line that a wrong command line prints; nothing is on stdout, and no file is written."""
    before = written()
    assert call(*words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "Traceback" not in printed.err
    assert written() == before
    return printed.err


def stage(**options):
    return [{"depth": 1, "width": 16, "operator": {"local_attention": options}}]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--trials", "0"], "trials must be a whole number from 1 up; got 0"),
        (["run", "--trials", "many"], "--trials must be a whole number; got 'many'"),
        (
            ["run", "--sampler", "tpee"],
            "sampler must be one of known-cost, tpe, nsga2, random, gp, grid; got 'tpee'. Did you mean 'tpe'?",
        ),
        (["run", "--data", "mnist"], "data must be one of digits, fashion-mnist"),
        (["run", "--engine", "slurm"], "engine must be one of local, ray, tune; got 'slurm'"),
        (["run", "--objectives", "accuracy,flop"], "got 'flop'. Did you mean 'flops'?"),
        (["run", "--data", "imagefolder", "--data-dir", "nowhere"], "nowhere"),
        (["run", "--max-flops", "1000"], "must allow at least one design of digits; got"),
        (["run", "--max-params", "10"], "must allow at least one design of digits; got"),
        (["run", "--db", "sqlite:////proc/no/such/l.db"], "must name a database that can be opened"),
        (["run", "--db", "hello"], "the database URL must be a URL"),
        (["run", "--set", "lr=1"], "settings must have known names; got 'lr'. Did you mean 'learning_rate'?"),
        (["run", "--set", "epochs"], "--set must be NAME=VALUE"),
        (["run", "--set", "x=["], "settings must have known names; got 'x'. They are data, "),
        (["run", "--set", "device=5"], "device must be one of auto, cpu, cuda, cuda:N; got '5'"),
        (["run", "--seed", str(2**32)], "seed must be a whole number from 0 to 4,294,967,295; got 4294967296"),
        (["run", "--cpus-per-trial", "nan"], "--cpus-per-trial must be a finite number; got 'nan'"),
        (["run", "--cpus-per-trial", "5000"], "a trial must fit the "),
        (["run", "--address", "nonsense"], "nonsense is not: it must be auto or HOST:PORT"),
        (["run", "--hours", "0"], "hours must be a number above 0; got 0"),
        (["run", "--settled-share", "1.5"], "must be a share of the hypervolume between 0 and 1; got 1.5"),
        (
            ["run", "--tune-recipe", "--set", "learning_rate=0", "--set", "weight_decay=0"],
            "tune_recipe (--tune-recipe) needs",
        ),
        (["run", "a" * 3000], "space must be one of"),
        (["cost", "a" * 3000], "a design must be a reference"),
        (["cost", "digits/²"], "a design must be a reference"),
        (["run", "--epochs", "-3"], "epochs must be a whole number from 1 up; got -3"),
        (["run", "digit"], "got 'digit'. Did you mean 'digits'?"),
        (["run", "mine.yaml"], "mine.yaml is not: no such file"),
        (["runn"], "No such command 'runn'"),
        (["cost", "resnet51"], "got 'resnet51'. Did you mean 'resnet50'?"),
        (["cost", "missing.json"], "missing.json is not: no such file"),
        (["cost", "resnet50", "--input", "0"], "--input must be a whole number from 1 up; got 0"),
        (["front"], "does not exist. Start a search first: hybrid-search run"),
        (["confirm"], "does not exist. Start a search first: hybrid-search run"),
        (["dashboard", "--host", "0.0.0.0"], "token"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(capsys, words, message):
    assert message in refused(capsys, *words)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stagess": []}, "Did you mean 'stages'?"),
        ({"stages": [{"depth": 1, "width": 16, "operator": "convv"}]}, "Did you mean 'conv'?"),
        ({"stages": stage(heads=3)}, "got 3 heads at width 16"),
        ({"stages": stage(extent=4, heads=4)}, "extent must be an odd number from 1 up; got 4"),
        ({"data": "digit"}, "data must be one of digits"),
    ],
)
def test_a_wrong_space_file_is_one_line(capsys, bad_space, change, message):
    assert message in refused(capsys, "run", bad_space(**change))


def test_an_empty_class_folder_is_named(capsys, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "pets" / "train" / name).mkdir(parents=True)
    assert "cat" in refused(capsys, "run", "--data", "imagefolder", "--data-dir", tmp_path / "pets")


def test_the_error_of_an_unknown_search_names_the_known_ones(capsys, searched):
    for command in (["front"], ["export", "--pick", "best"], ["dashboard"]):
        words = [command[0], "mime", *(["out"] if command[0] == "export" else []), *command[1:], "--db", searched]
        assert "search must be one of mine; got 'mime'. Did you mean 'mine'?" in refused(capsys, *words)


def test_the_front_is_a_list_of_objects_in_json(capsys, searched):
    assert call("front", "--db", searched, "--format", "json") == 0
    printed = capsys.readouterr()
    rows = json.loads(printed.out)
    assert printed.err == ""
    assert set(rows[0]) == {"trial", "knee", "accuracy", "flops", "params", "digest", "architecture", "known_as"}
    accuracies = [row["accuracy"] for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    assert rows[0]["architecture"]["stages"][0]["operator"] in ("conv", "local_attention")


@pytest.mark.parametrize("quiet", [False, True])
def test_output_of_libraries_during_a_search_is_not_in_the_json(capsys, monkeypatch, quiet):
    def noisy(architecture, settings):
        print("(raylet) a line of Ray's own")
        yield {"accuracy": 0.5}

    monkeypatch.setattr("hybrid_search.training.evaluation.evaluate", noisy)
    monkeypatch.setattr("hybrid_search.runs.run.NO_CHECKPOINTS", "this is to be read")
    words = ["run", "digits", "--trials", "2", "--engine", "local", "--format", "json", "--db", "sqlite:///l.db"]
    assert call(*words, *(["--quiet"] if quiet else [])) == 0
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)) >= 1
    assert "(raylet) a line of Ray's own" in printed.err
    assert ("search 'digits' starts" in printed.err) == (not quiet)
    assert "not on the front" not in printed.err or not quiet


def test_a_quiet_run_prints_notices(capsys, monkeypatch):
    monkeypatch.setattr("hybrid_search.training.evaluation.evaluate", scored())
    monkeypatch.setattr("hybrid_search.runs.run.checkpoint_root", lambda *_: None)
    assert call("run", "digits", "--trials", "1", "--engine", "local", "--quiet", "--db", "sqlite:///l.db") == 0
    assert capsys.readouterr().err.splitlines() == [NO_CHECKPOINTS]


def test_a_search_that_has_its_trials_reports_it(capsys, monkeypatch):
    monkeypatch.setattr("hybrid_search.training.evaluation.evaluate", scored())
    with Ledger("sqlite:///l.db") as ledger:
        words = ["run", "digits", "--trials", "2", "--engine", "local", "--db", "sqlite:///l.db"]
        assert call(*words) == 0
        assert (
            ledger.acquire_lease(1, str(ProcessIdentity(pid=2**22 + 1)), 3600) is None
        )  # killed after its last commit
    capsys.readouterr()
    assert call(*words) == 0
    assert "search 'digits' already has its 2 trials" in capsys.readouterr().err


def test_the_front_in_csv_has_a_header_and_a_row_for_each_network(capsys, searched):
    assert call("front", "mine", "--db", searched, "--format", "csv") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "trial,knee,accuracy,flops,params,digest,design,known_as"
    assert len(lines) >= 2


def test_the_front_as_a_table_has_units(capsys, searched):
    assert call("front", "--db", searched) == 0
    printed = capsys.readouterr()
    for text in ("Front of mine", "FLOPs", "%"):
        assert text in printed.out
    for known in ("all convolution", "all attention"):  # the known designs are printed, on the front or not
        assert f"{known}: " in " ".join(printed.out.split()) + printed.err


@pytest.fixture
def confirmed(searched):
    """Return the URL of the same database after every trial was retrained with three seeds."""
    with Ledger(searched) as ledger:
        record = ledger.search()
        for trial in ledger.read(reads.trials, record.id):
            for seed, shift in ((1, -0.01), (2, 0.0), (3, 0.01)):
                moved = {"accuracy": trial.measurements["accuracy"] + shift, "test_accuracy": 0.5 + shift}
                ledger.write(writes.add_measurements, trial.id, seed, {**trial.measurements, **moved})
    return searched


def test_the_front_of_a_confirmed_search_has_intervals_and_probabilities(capsys, confirmed):
    assert call("front", "--db", confirmed, "--format", "json") == 0
    best = json.loads(capsys.readouterr().out)[0]
    low, high = best["accuracy_interval"]
    assert low < best["accuracy"] < high
    assert (best["seeds"], best["test_accuracy"]) == (3, pytest.approx(0.5))
    assert 0 < best["front_probability"] <= 1
    assert call("front", "--db", confirmed, "--format", "csv") == 0
    header = capsys.readouterr().out.splitlines()[0]
    assert header == (
        "trial,knee,accuracy,flops,params,accuracy_low,accuracy_high,seeds,front_probability,test_accuracy,digest,design,"
        "known_as"
    )
    assert call("front", "--db", confirmed) == 0
    printed = capsys.readouterr().out
    assert "± is half the 95 % interval" in printed
    assert " ± " in printed
    assert "50.00 %" in printed


def test_confirm_retrains_the_front_and_reports_what_changed(capsys):
    words = ["--engine", "local", "--format", "json"]
    assert call("run", "digits", "--trials", 2, "--epochs", 1, "--set", "image_size=8", *words) == 0
    capsys.readouterr()
    assert call("confirm", "--seeds", 1, "--trials", 2, *words) == 0
    printed = capsys.readouterr()
    rows = json.loads(printed.out)
    assert max(row["seeds"] for row in rows) >= 1
    assert "confirming search 'digits'" in printed.err
    assert "2 retrainings; " in printed.err
    assert "was used to score retrained networks. For this search it was used once" in printed.err
    assert "(2 retrainings) is used up" in refused(capsys, "confirm", "--seeds", 1, "--trials", 2)
    with Ledger(read_only=True) as ledger:
        assert len(ledger.read(reads.openings, ledger.search().id)) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "0"], "seeds must be a whole number from 1 up; got 0"),
        (["--trials", "0"], "trials must be a whole number from 1 up; got 0"),
        (["--hours", "0"], "hours must be more than 0; got 0"),
        (["mime"], "search must be one of mine; got 'mime'. Did you mean 'mine'?"),
        ([], "only trained networks can be retrained from here; search 'mine' was scored by support.fakes.scored"),
    ],
)
def test_a_wrong_confirmation_prints_one_line_and_does_not_open_the_test_split(capsys, searched, words, message):
    assert message in refused(capsys, "confirm", *words, "--db", searched)
    with Ledger(searched, read_only=True) as ledger:
        assert ledger.read(reads.openings, ledger.search().id) == []


def test_cost_prints_every_layer_and_the_published_total(capsys):
    assert call("cost", "resnet50") == 0
    assert "total: 8.18 GFLOPs (2 x MACs), 25.6 M parameters at 3x224x224, 1000 classes" in capsys.readouterr().out
    assert call("cost", "sasa-50-full", "--format", "json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[-1]["layer"] == "total"
    assert rows[-1]["flops"] == sum(row["flops"] for row in rows[:-1])


def test_cost_explains_attention_against_the_convolution_it_replaces(capsys):
    assert call("cost", "sasa-50-full", "--explain") == 0
    printed = capsys.readouterr().out
    assert "stages.0.0.operator" in printed
    assert "0.59" in printed  # extent 7 at 64 channels: 21,696 against 36,864 MACs a pixel
    assert "115,605,504" in printed


def test_cost_accepts_a_trial_and_a_json_file(capsys, searched, tmp_path):
    assert call("cost", "mine/0", "--db", searched, "--format", "json") == 0
    of_trial = json.loads(capsys.readouterr().out)
    with Ledger(searched, read_only=True) as ledger:
        trial = ledger.read(reads.trial, ledger.search().id, 0)
    assert of_trial[-1]["flops"] == trial.measurements["flops"]
    (tmp_path / "design.json").write_text(json.dumps(dict(trial.architecture)))
    words = ["--input", 16, "--channels", 1, "--classes", 10, "--format", "json"]
    assert call("cost", tmp_path / "design.json", *words) == 0
    assert json.loads(capsys.readouterr().out) == of_trial


def test_every_reference_has_a_cost(capsys):
    for name in references():
        assert call("cost", name, "--format", "csv") == 0
    assert capsys.readouterr().out.count("total,") == len(references())


def test_spaces_and_one_space_are_shown(capsys):
    assert call("spaces", "--format", "json") == 0
    assert "digits" in [row["name"] for row in json.loads(capsys.readouterr().out)]
    assert call("space", "digits", "--max-flops", "1e6", "--format", "json") == 0
    (facts,) = json.loads(capsys.readouterr().out)
    assert 0 < facts["share_within_budget"] < 1
    assert facts["smallest_flops"] < facts["largest_flops"]
    assert facts["parameters"]["stage1.operator"] == ["conv", "local_attention"]


def test_a_search_runs_resumes_and_prints_its_front(capsys):
    words = ["run", "digits", "--trials", 2, "--epochs", 1, "--engine", "local", "--format", "json"]
    assert call(*words) == 0
    first = capsys.readouterr()
    assert 1 <= len(json.loads(first.out)) <= 2
    assert "search 'digits' starts: 2 trials" in first.err
    assert "hybrid-search export digits" in first.err
    assert "trials: 2 complete, 0 duplicates skipped, 0 over budget skipped, 0 pruned, 0 failed; hyperv" in first.err
    assert {"all convolution", "all attention"} & {row["known_as"] for row in json.loads(first.out)}
    assert call(*words) == 0
    assert "search 'digits' resumes: 2 of 4 trials have ended" in capsys.readouterr().err
    with Ledger(read_only=True) as ledger:
        trials = ledger.read(reads.trials, ledger.search().id)
    assert [trial.state for trial in trials] == ["complete"] * 4
    assert len({trial.digest for trial in trials}) == 4
    for name in ("device", "torch", "commit", "fingerprint"):
        assert trials[0].facts[name], name


def test_the_end_of_a_search_reports_its_trials_and_why_it_stopped(capsys, tmp_path):
    more = {
        "resources": Resources("local"),
        "ledger": f"sqlite:///{tmp_path}/l.db",
        "evaluate": scored(),
        "sampler": "tpe",
    }
    search = run_search(tiny_space(), trials=6, hours=1e-9, **more)
    print_result(search, Format.table, None, stopped=False, notice=say)
    printed = capsys.readouterr()
    assert (
        "the search stopped before 6 trials: its 1e-09 hours are over. Run the same command to continue" in printed.err
    )
    assert "all convolution: conv3x3" in printed.out
    search = run_search(tiny_space(), trials=8, max_flops=600_000, name="tight", tune_recipe=True, **more)
    standing = search.progress()
    assert standing.over_budget > 0
    print_result(search, Format.table, None, stopped=False, notice=say)
    printed = capsys.readouterr()
    complete, duplicates = standing.counts["complete"], standing.duplicates
    assert f"{complete} complete, {duplicates} duplicates skipped, {standing.over_budget} over budget" in printed.err
    assert "learning" in printed.out  # the recipe of each trial is a column


def test_other_settings_under_the_same_name_are_refused(capsys):
    words = ["run", "digits", "--trials", 1, "--engine", "local"]
    assert call(*words, "--epochs", 1) == 0
    capsys.readouterr()
    assert "epochs is 1 (got 2)" in refused(capsys, *words, "--epochs", 2)


def test_export_refuses_a_trial_that_does_not_exist(capsys, searched):
    assert "pick (--pick) must be best, knee, the number of a trial, or a bound" in refused(
        capsys, "export", "o", "--pick", "x", "--db", searched
    )
    assert "trial must be a number from 0 to 4; got 77" in refused(
        capsys, "export", "o", "--pick", 77, "--db", searched
    )


def test_help_lists_every_command(capsys):
    assert call("--help") == 0
    printed = capsys.readouterr().out
    for command in ("run", "confirm", "spaces", "space", "cost", "front", "export", "dashboard", "doctor"):
        assert f" {command} " in printed
        assert call(command, "--help") == 0


def test_the_version_is_printed(capsys):
    assert call("--version") == 0
    assert capsys.readouterr().out.startswith("hybrid-search 0.")


def test_doctor_shows_the_facts_of_this_machine(capsys):
    assert call("doctor", "--format", "json") == 0
    found = {row["item"]: row["value"] for row in json.loads(capsys.readouterr().out)}
    assert "backend" in found["local attention"]
    assert found["torch"][:1].isdigit()


def test_doctor_counts_the_searches(capsys, tmp_path):
    def printed():
        assert call("doctor", "--format", "json", "--db", url) == 0
        found = {row["item"]: row["value"] for row in json.loads(capsys.readouterr().out)}
        return found["database"].partition(": ")[2]

    url = f"sqlite:///{tmp_path}/l.db"
    with Ledger(url) as ledger:
        for number in range(9):
            a_search(ledger, f"s{number}")
            if number == 0:
                assert printed() == "1 search: s0"
    assert printed() == "9 searches: s8, s7, s6, s5, s4, s3, s2, s1, ..."


def test_doctor_lists_plugins_of_every_table_with_package_and_version_and_broken_ones_with_their_reason(tmp_path):
    (tmp_path / "extra-1.5.dist-info").mkdir()
    (tmp_path / "extra-1.5.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.5\n")
    (tmp_path / "extra-1.5.dist-info" / "entry_points.txt").write_text(
        "[hybrid_search.stems]\nsound = extra:Sound\n[hybrid_search.operators]\nbroken = no_such_module:Operator\n"
    )
    (tmp_path / "extra.py").write_text(
        "from hybrid_search.networks.stems.conv import Conv3x3Stem\n\n\nclass Sound(Conv3x3Stem):\n    kind = 'sound'\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    code = (
        "from hybrid_search.cli import run\nfor form in ('json', 'csv', 'table'):\n"
        "    assert run(['doctor', '--format', form]) == 0\n    print('~~~')\n"
        "from hybrid_search.plugins import TABLES\nprint(*TABLES)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    in_json, in_csv, in_table, tables = done.stdout.split("~~~\n")
    rows = {row["name"]: row for row in json.loads(in_json) if row["name"]}
    assert rows["sound"]["item"] == "plugin, stems"
    assert (rows["sound"]["package"], rows["sound"]["version"]) == ("extra", "1.5")
    assert rows["sound"]["value"].endswith(" works")
    assert rows["broken"]["value"].startswith("BROKEN: operator 'broken' comes from the package extra 1.5")
    assert "no_such_module" in rows["broken"]["value"]
    assert "extra,1.5" in in_csv
    assert "no_such_module" in " ".join(in_table.split())
    groups = set()
    for path in Path(cli.__file__).parent.parent.rglob("*.py"):
        groups |= set(re.findall(r'= Table\(\s*"[^"]+",\s*"(hybrid_search\.\w+)"', path.read_text(encoding="utf-8")))
    assert {"hybrid_search.operators", "hybrid_search.charts"} <= groups <= set(tables.split())


def test_doctor_compiles_the_usual_kernels_and_names_them(capsys, monkeypatch):
    from hybrid_search.ops.local_attention import build, cpu

    compiled = []
    monkeypatch.setattr(build, "library", lambda *what: compiled.append(what))
    assert call("doctor", "--build", "--format", "json") == 0
    kernels = [row["value"] for row in json.loads(capsys.readouterr().out) if row["item"] == "kernel"]
    assert [extent for extent, _, columns in compiled if columns] == list(cpu.USUAL)
    assert [extent for extent, _, columns in compiled if not columns] == list(cpu.USUAL)
    assert all(f"extent {extent}:" in line for extent, line in zip(cpu.USUAL, kernels, strict=True))


def test_doctor_without_a_compiler_prints_how_to_install_one(capsys, monkeypatch):
    from hybrid_search.ops.local_attention import build

    monkeypatch.setenv("CXX", "nosuch")
    monkeypatch.setattr(build, "compiler", build.compiler.__wrapped__)
    monkeypatch.setattr(build, "_library", build._library.__wrapped__)
    assert call("doctor", "--build") == 1
    assert capsys.readouterr().err == (
        "hybrid-search: kernels are compiled by a C++ compiler; there is no C++ compiler here, looked for nosuch; "
        "install one (apt-get install g++).\n"
    )


def test_the_usual_extents_include_those_of_the_shipped_spaces():
    from hybrid_search.ops.local_attention.cpu import USUAL
    from hybrid_search.spaces.shipped import shipped_spaces
    from hybrid_search.spaces.space import load_space

    def extents(node):
        if isinstance(node, dict):
            for key, value in node.items():
                yield from (value if isinstance(value, list) else [value]) if key == "extent" else extents(value)
        elif isinstance(node, list):
            for item in node:
                yield from extents(item)

    assert {extent for name in shipped_spaces() for extent in extents(load_space(name).to_dict())} <= set(USUAL)


def test_a_thousand_trials_make_a_front_without_torch_ray_or_optuna(tmp_path):
    url = f"sqlite:///{tmp_path}/many.db"
    with Ledger(url) as ledger:
        fill(ledger, a_search(ledger), trials=1000)
    code = (
        "import sys\nfrom hybrid_search import cli\nassert cli.run(['front', '--format', 'json']) == 0\n"
        "print(sorted({'torch', 'ray', 'optuna', 'plotly', 'dash'} & set(sys.modules)), file=sys.stderr)"
    )
    environment = {**os.environ, "HYBRID_SEARCH_DB": url}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert len(json.loads(done.stdout)) >= 2
    assert done.stderr.strip() == "[]"


def test_a_signal_stops_the_search_and_the_same_command_finishes_it(capsys):
    words = ["run", "digits", "--trials", "3", "--engine", "local", "--epochs", "1", "--set", "image_size=8"]
    command = [sys.executable, "-c", "from hybrid_search.cli import main; main()", *words]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    for line in running.stderr:
        if "trial 0 complete" in line:
            running.send_signal(signal.SIGTERM)
            break
    running.communicate(timeout=60)
    assert running.returncode == 143
    with Ledger(read_only=True) as ledger:
        states = [trial.state for trial in ledger.read(reads.trials, ledger.search().id)]
    assert states[0] == "complete"
    assert len(states) < 3 or states[2] == "running"
    assert call(*words) == 0
    assert "resumes: " in capsys.readouterr().err
    with Ledger(read_only=True) as ledger:
        assert [t.state for t in ledger.read(reads.trials, ledger.search().id)] == ["complete"] * 3
