"""The results of this project are unchanged: the code computes the records in tests/recorded/.

The records were written before the redesign. A test that fails here shows a changed result, not a changed name: after a
rename only the imports below must be adapted. Where a result changes on purpose, write the records again and commit
them with the change:

    OMP_NUM_THREADS=1 PYTHONPATH=. python tests/test_unchanged_results.py --record [digits|costs|...]

Without a last word everything is recorded except the old ledger. `ledger` must be named, because only the code before
the redesign could write the file `ledger-before-redesign.db`. `ledger-reading` records how the present code reads it.

Recorded:

proposals-CASE.json    60 proposals of each sampler and pruner on three spaces: digest, choices, state, attempt, rung
digits.json            a search on digits that trains: every number to the last bit, without times; one export
costs.json             FLOPs and parameters of every reference network, in total and by part
schema.json            tables, columns and indexes of a new ledger
ledger-before-...db    a ledger of two searches; ledger.json: its contents, and the next trials of its searches

The last bits of a float depend on the processor and on the versions of torch and numpy. `machine.json` has the
machine and versions of the records. On an equal machine everything must be equal to the last bit. On another machine
the exact numbers (FLOPs, parameters, choices, digests, states) must be equal. An accuracy may differ by 0.05. If a
model proposed or stopped trials (samplers known-cost and gp, pruner moasha), the first 8 trials must be equal. No test
is ever skipped. Sampler gp is slow, so it makes 60 proposals for one objective on one space only.
"""

import hashlib
import json
import os
import platform
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from hybrid_search.export import export_trial
from hybrid_search.ledger import Ledger, reads
from hybrid_search.networks.costs import cost
from hybrid_search.networks.references import reference, references
from hybrid_search.pruners import PRUNERS, current_name
from hybrid_search.records import Report, Resources, SearchRecord, Settings
from hybrid_search.runs.confirm import confirm
from hybrid_search.runs.run import run
from hybrid_search.samplers import SAMPLERS
from hybrid_search.search.search import Search
from hybrid_search.search.spec import SearchSpec
from hybrid_search.search.trial import Outcome
from hybrid_search.spaces.recipe_tuning import tunable
from hybrid_search.spaces.space import SearchSpace, load_space

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("unchanged")]
RECORDED = Path(__file__).parent / "recorded"
OLD_LEDGER = RECORDED / "ledger-before-redesign.db"
TRIALS = 60
RUNGS = 3  # of the fake evaluation
FAILED = 4  # the number of the trial that fails in every case
REOPENED = 20  # the trial after which some cases close their search and open it again
ALIKE = 8  # proposals of a model that are equal on any machine
TIMES = ("train_seconds", "latency_ms")
ADDED = ("balanced_accuracy", "macro_f1")  # measured since later than the records; the other numbers must be unchanged
OPERATORS = {"conv": {"kernel_size": [3, 5, 7]}, "local_attention": {"extent": [3, 5], "heads": [2, 4]}}


# -- the machine --


def machine() -> dict[str, Any]:
    """Return the facts that the last bits of a float depend on."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = facts.get("flags", "").split()
    compiler = any(shutil.which(name) for name in ("g++", "c++", "clang++"))  # attention has a compiled kernel with one
    return {
        "processor": facts.get("model name", platform.processor()),
        "avx2": "avx2" in flags,
        "avx512f": "avx512f" in flags,
        "compiler": compiler,
        **{name: version(name) for name in ("torch", "numpy", "scipy", "optuna", "scikit-learn")},
    }


def same_machine() -> bool:
    return machine() == read("machine.json")


# -- files --


def read(name: str) -> Any:
    return json.loads((RECORDED / name).read_text(encoding="utf-8"))


def write(name: str, content: Any) -> None:
    """Write JSON with one line for each entry of the first two levels, so that a change shows in a few lines."""
    RECORDED.mkdir(exist_ok=True)
    lines = []
    for key, value in content.items():
        if isinstance(value, dict) and value:
            inner = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            lines.append(f" {json.dumps(key)}: {{\n{inner}\n }}")
        elif isinstance(value, list) and value:
            inner = ",\n".join(f"  {json.dumps(each)}" for each in value)
            lines.append(f" {json.dumps(key)}: [\n{inner}\n ]")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value)}")
    (RECORDED / name).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def plain(content: Any) -> Any:
    """Return the content after a round trip through JSON."""
    return json.loads(json.dumps(content))


@contextmanager
def new_ledger() -> Iterator[Ledger]:
    """Yield an empty ledger, in memory if possible, because a disk takes longer than the search."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder, Ledger(f"sqlite:///{folder}/ledger.db") as ledger:
        yield ledger


# -- 1: the proposals --


def wide() -> SearchSpace:
    """Return a space of 28 designs, which is used up before 60 trials."""
    stages = [{"depth": 1, "width": [8, 16, 24, 32], "operator": OPERATORS}]
    return SearchSpace.from_dict({"name": "wide", "stem": {"conv3x3": {"width": 8}}, "stages": stages})


def blocks() -> SearchSpace:
    """Return a space of 3520 designs with an operator for each block, a group, and variants of the attention."""
    attention = [
        {"extent": [3, 5, 7], "heads": [2, 4]},
        {"extent": 5, "heads": 2, "position": ["absolute", "none"]},
    ]
    conv = {"kernel_size": [3, 5]}
    stages = [
        {"depth": 1, "width": [8, 16], "stride": 2, "group": "first"},
        {
            "depth": [1, 2],
            "width": [32, 64],
            "stride": 2,
            "per": "block",
            "operator": {"conv": conv, "local_attention": attention},
        },
    ]
    groups = {"first": {"operator": {"conv": conv, "local_attention": {"extent": [3, 7], "heads": 2}}}}
    stem = {"conv3x3": {"width": [8, 16], "stride": 2}}
    return SearchSpace.from_dict({"name": "blocks", "stem": stem, "groups": groups, "stages": stages})


# name -> the space, and the size of its images: no data set is read
SPACES = {
    "wide": (wide, (1, 16, 16)),
    "digits": (lambda: load_space("digits"), (1, 16, 16)),
    "table": (lambda: load_space("fashion-table"), (1, 14, 14)),
    "blocks": (blocks, (3, 28, 28)),
}
THREE_OBJECTIVES = ("accuracy", "flops", "params")
# space/sampler/pruner -> fields of the search; `reopened` resumes it once, `tuned` tunes the recipe too
CASES: dict[str, dict[str, Any]] = {
    "wide/random/none": {"reopened": True},
    "wide/grid/none": {"known_designs": True},
    "wide/nsga2/none": {"max_params": 7000.0},
    "wide/tpe/none": {"reopened": True},
    "wide/known-cost/none": {"reopened": True, "objectives": THREE_OBJECTIVES},
    "wide/random/moasha": {},
    "wide/known-cost/moasha": {"reopened": True},
    "digits/random/none": {"max_flops": 700_000.0, "seed": 3},
    "digits/grid/none": {"max_flops": 700_000.0, "reopened": True},
    "digits/nsga2/none": {"known_designs": True, "reopened": True},
    "digits/tpe/none": {"max_flops": 700_000.0, "tuned": True},
    "digits/known-cost/none": {"max_flops": 700_000.0, "known_designs": True, "reopened": True},
    "digits/random/moasha": {"known_designs": True},
    "digits/known-cost/moasha": {"max_flops": 1_500_000.0, "seed": 1},
    "table/gp/none": {"objectives": ("accuracy",)},
    "blocks/random/none": {"tuned": True},
    "blocks/grid/none": {"seed": 2},
    "blocks/nsga2/none": {"objectives": THREE_OBJECTIVES},
    "blocks/tpe/none": {"known_designs": True, "objectives": ("accuracy", "params")},
    "blocks/known-cost/none": {"tuned": True, "known_designs": True},
    "blocks/random/moasha": {"objectives": ("loss", "flops")},
    "blocks/known-cost/moasha": {"objectives": THREE_OBJECTIVES, "max_params": 60_000.0},
}


def score(architecture: Any) -> float:
    """Return the score of a design: from 0.5 to 0.95 by its digest."""
    return 0.5 + 0.45 * int(architecture.digest[:4], 16) / 65536


def fake_numbers(architecture: Any, rung: int) -> dict[str, float]:
    """Return measurements that are exact in binary, so they are equal on every machine."""
    reached = score(architecture) * (1.0 - 0.5**rung)
    return {"accuracy": reached, "loss": 2.0 - reached, "train_loss": 2.0 - 1.25 * reached}


def proposals_of(case: str) -> dict[str, Any]:
    """Return the proposals of a search of this case, which has two trials at a time."""
    name, sampler, pruner = case.split("/")
    more = dict(CASES[case])
    reopened, tuned = more.pop("reopened", False), more.pop("tuned", False)
    make, size = SPACES[name]
    space = make()
    settings = Settings(epochs=RUNGS, recipe="classic")
    fields = {"objectives": ("accuracy", "flops"), "seed": 0, "target": TRIALS, **more}
    unsaved = SearchRecord(
        id=0,
        name="recorded",
        space=space.to_dict(),
        settings=settings,
        sampler=sampler,
        pruner=pruner,
        input_size=size,
        classes=10,
        tuned=tunable(settings) if tuned else (),
        **fields,
    )
    with new_ledger() as ledger:
        record = ledger.create_search(unsaved)
        search = Search(SearchSpec.from_record(record), record, ledger)
        running: list[Any] = []
        while True:
            while len(running) < 2 and (trial := search.ask()) is not None:
                running.append(trial)
            if not running:
                break
            trial = running.pop(0)
            if trial.number == FAILED:
                assert search.fail(trial, "bug", "it fails on purpose") is None
            else:
                for rung in range(1, RUNGS + 1):
                    numbers = fake_numbers(trial.architecture, rung)
                    if search.report(trial, Report(rung, numbers, last=rung == RUNGS)) == "stop":
                        break
                else:
                    search.tell(trial, Outcome("complete", numbers))
            if reopened and trial.number == REOPENED:
                running = []  # the other trial is unfinished and will be retried
                search = Search(SearchSpec.from_record(record), record, ledger)
        progress = search.progress()
        trials = [
            [trial.digest, dict(trial.choices), trial.state, trial.attempt, trial.rung, trial.audit_rung]
            for trial in ledger.read(reads.trials, record.id)
        ]
        untrained = [[proposal.reason, proposal.digest] for proposal in ledger.read(reads.proposals, record.id)]
        counts = {
            **progress.counts,
            "gated": progress.over_budget,
            "duplicates": progress.duplicates,
            "waits": progress.deferred,
        }
        space_of = {"digest": space.digest, "size": space.size()}
        front = sorted(search.front())
        volume = progress.hypervolume
    found = {"space": space_of, "counts": counts, "hypervolume": volume, "front": front}
    return plain({**found, "trials": trials, "untrained": untrained})


def file_of(case: str) -> str:
    return f"proposals-{case.replace('/', '-')}.json"


def exact_anywhere(case: str) -> bool:
    """Return whether no proposal depends on a model, whose last bits depend on the processor."""
    _, sampler, pruner = case.split("/")
    return sampler not in ("known-cost", "gp") and pruner == "none"


def record_proposals() -> None:
    for case in CASES:
        write(file_of(case), proposals_of(case))


def test_every_sampler_and_pruner_has_recorded_proposals():
    assert {case.split("/")[1] for case in CASES} == set(SAMPLERS)
    assert {current_name(case.split("/")[2]) for case in CASES} == set(PRUNERS)


@pytest.mark.parametrize("case", CASES)
def test_the_proposals_are_unchanged(case):
    found, recorded = proposals_of(case), read(file_of(case))
    assert found["space"] == recorded["space"]
    assert found["trials"][:ALIKE] == recorded["trials"][:ALIKE]
    if exact_anywhere(case) or same_machine():
        assert found["trials"] == recorded["trials"]
        assert found["untrained"] == recorded["untrained"]
        assert (found["counts"], found["front"]) == (recorded["counts"], recorded["front"])
        assert found["hypervolume"] == pytest.approx(recorded["hypervolume"], rel=1e-12)
    else:
        assert len(found["trials"]) == len(recorded["trials"])


# -- 2 and 4: a search that trains, and the export of one of its trials --

TRAINED = Settings(
    train_images=320, validation_images=160, epochs=2, batch_size=32, threads=1, device="cpu", recipe="classic"
)
MACHINES = ("commit", "hybrid-search", "python", "torch", "host", "cpu", "worker")  # facts about the machine
MACHINES += ("validation_classes", "smallest_class")  # facts that are stored since later than the records


def train_and_export(folder: Path) -> dict[str, Any]:
    """Train four trials of the space digits for two epochs on 320 images, and export the best one."""
    with Ledger(f"sqlite:///{folder}/ledger.db") as ledger:
        options = {"sampler": "random", "seed": 5, "known_designs": False, "name": "recorded", "checkpoints": "none"}
        run(
            "digits",
            trials=4,
            resources=Resources(engine="local"),
            ledger=ledger,
            settings=TRAINED,
            notice=lambda line: None,
            **options,
        )
        record = ledger.search("recorded")
        trials = {}
        for trial in ledger.read(reads.trials, record.id):
            curve = [[rung, bits(numbers)] for rung, numbers in ledger.read(reads.curve, trial.id)]
            facts = {name: value for name, value in trial.facts.items() if name not in MACHINES}
            trials[str(trial.number)] = {
                "state": trial.state,
                "digest": trial.digest,
                "choices": dict(trial.choices),
                "architecture": dict(trial.architecture),
                "settings": dict(trial.settings),
                "facts": facts,
                "measurements": bits(trial.measurements),
                "curve": curve,
            }
        front = sorted(Search(SearchSpec.from_record(record), record, ledger).front())
        kept = sorted(each.number for each in ledger.read(reads.trials_with_weights, record.id))
        export_trial(ledger, "recorded", folder / "export", "best")
    return plain(
        {"trials": trials, "front": {"front": front, "kept weights": kept}, "export": export_of(folder / "export")}
    )


def bits(numbers: Mapping[str, float]) -> dict[str, str]:
    """Return every number except the times and the added ones, to the last bit."""
    return {name: float(value).hex() for name, value in sorted(numbers.items()) if name not in (*TIMES, *ADDED)}


def export_of(folder: Path) -> dict[str, Any]:
    """Return the contents of an exported folder without times and places."""
    described = json.loads((folder / "architecture.json").read_text(encoding="utf-8"))
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    origin = described["origin"]
    origin["measurements"] = bits(origin["measurements"])
    origin["facts"] = {name: value for name, value in origin["facts"].items() if name not in MACHINES}
    return {
        "files": sorted(path.name for path in folder.iterdir()),
        "architecture.json": described,
        "manifest.json": sorted(manifest),
        "hashed": sorted(manifest["files"]),
        "proof": manifest["proof"]["safetensors"],
        "weights": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
    }


def record_digits() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write("digits.json", train_and_export(Path(folder)))


def near(found: Mapping[str, str], recorded: Mapping[str, str]) -> bool:
    """Return whether costs are equal and accuracies within 0.05, for a machine with other last bits."""
    exact = all(found[name] == recorded[name] for name in ("flops", "params") if name in recorded)
    off = abs(float.fromhex(found["accuracy"]) - float.fromhex(recorded["accuracy"]))
    return exact and set(found) == set(recorded) and off <= 0.05


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train_and_export(tmp_path_factory.mktemp("digits"))


def test_the_measurements_of_a_training_search_are_unchanged(trained):
    recorded = read("digits.json")
    assert trained["trials"].keys() == recorded["trials"].keys()
    for number, was in recorded["trials"].items():
        now = trained["trials"][number]
        for name in ("state", "digest", "choices", "architecture", "settings"):
            assert now[name] == was[name], (number, name)
        assert [rung for rung, _ in now["curve"]] == [rung for rung, _ in was["curve"]]
        if same_machine():
            assert now == was
        else:
            pairs = [(now["measurements"], was["measurements"])]
            pairs += [(one, other) for (_, one), (_, other) in zip(now["curve"], was["curve"], strict=True)]
            assert all(near(one, other) for one, other in pairs)
    if same_machine():
        assert trained["front"] == recorded["front"]


def test_the_contents_of_an_export_are_unchanged(trained):
    found, recorded = trained["export"], read("digits.json")["export"]
    recorded.pop("card")  # the text of README.md is not a result
    for names in (found["files"], found["hashed"]):  # the drawing of the model card came later
        names.remove("architecture.svg")
    for export in (found, recorded):  # the proof used 16 images then, and uses up to 256 now
        export["proof"] = {name: export["proof"][name] for name in ("max_difference", "equal_answers")}
    if same_machine():
        assert found == recorded
    for name in ("files", "manifest.json", "hashed", "proof"):
        assert found[name] == recorded[name]
    one, other = found["architecture.json"], recorded["architecture.json"]
    assert one.keys() == other.keys()
    assert one["origin"].keys() == other["origin"].keys()
    for name in ("input_size", "classes", "preprocessing"):
        assert one[name] == other[name]


# -- 3: the costs of the reference networks --


def costs_of(name: str) -> dict[str, Any]:
    """Return FLOPs and parameters of a network at 224 x 224 with 1000 classes: total, parts, hash of all layers."""
    architecture = reference(name)
    found = cost(architecture, (3, 224, 224), 1000)
    parts: dict[str, list[int]] = {}
    for layer in found.layers:
        words = layer.name.split(".")
        part = parts.setdefault(".".join(words[:3] if words[0] == "stages" else words[:1]), [0, 0])
        part[0] += layer.flops
        part[1] += layer.params
    layers = [[layer.name, layer.params, layer.macs, layer.rows, layer.cols] for layer in found.layers]
    mark = hashlib.sha256(json.dumps(layers).encode()).hexdigest()
    total = {"digest": architecture.digest, "flops": found.flops, "params": found.params}
    return {**total, "layers": len(layers), "sha256 of layers": mark, "parts": parts}


def record_costs() -> None:
    write("costs.json", {"references": {name: costs_of(name) for name in references()}})


def test_the_costs_of_the_reference_networks_are_unchanged():
    recorded = read("costs.json")["references"]
    assert list(recorded) == references()
    for name, was in recorded.items():
        assert costs_of(name) == was, name


# -- 5: the schema --


def schema_of(path: Path) -> dict[str, Any]:
    """Return every table of a SQLite file: columns with type, null, default and key; indexes; foreign keys."""
    found: dict[str, Any] = {}
    with closing(sqlite3.connect(path)) as db:
        tables = db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1"
        )
        for (table,) in tables.fetchall():
            columns = [list(row[1:]) for row in db.execute(f"PRAGMA table_info({table})")]
            indexes = []
            for _, name, unique, origin, _ in db.execute(f"PRAGMA index_list({table})").fetchall():
                names = [row[2] for row in db.execute(f"PRAGMA index_info({name})")]
                indexes.append([name if origin == "c" else origin, bool(unique), names])
            keys = [list(row[2:7]) for row in db.execute(f"PRAGMA foreign_key_list({table})")]
            found[table] = {"columns": columns, "indexes": sorted(indexes), "foreign keys": sorted(keys)}
        revision = db.execute("SELECT version_num FROM alembic_version").fetchall()
        others = "SELECT type, name FROM sqlite_master WHERE type NOT IN ('table', 'index') ORDER BY 1, 2"
        rest = db.execute(others).fetchall()
    return plain({"tables": found, "revision": revision, "views and triggers": rest})


def new_schema() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        Ledger(f"sqlite:///{path}").close()
        return schema_of(path)


def record_schema() -> None:
    write("schema.json", new_schema())


def test_the_schema_of_a_new_ledger_is_unchanged():
    found, recorded = new_schema(), read("schema.json")
    assert found["tables"].keys() == recorded["tables"].keys()
    for table, was in recorded["tables"].items():
        assert found["tables"][table] == was, table
    assert found == recorded


# -- 6: a ledger that the code before the redesign wrote --


def fake_evaluation(architecture, settings):
    """Yield three rungs of synthetic numbers; fail for one design in eight."""
    for rung in range(1, RUNGS + 1):
        if rung == 2 and int(architecture.digest[-1], 16) < 2:
            raise ValueError("this design fails on purpose")
        yield fake_numbers(architecture, rung)


# The name of the evaluation is part of the spec and is stored in the old ledger. Do not change it.
fake_evaluation.__module__ = "test_unchanged_results"
fake_evaluation.__qualname__ = "fake_evaluation"

PRUNED = {
    "evaluate": fake_evaluation,
    "settings": Settings(epochs=RUNGS, recipe="classic"),
    "sampler": "random",
    "pruner": "moasha",
    "seed": 2,
    "name": "pruned",
    "max_flops": 700_000.0,
    "known_designs": True,
    "checkpoints": "none",
}
PLAIN = {
    "settings": Settings(epochs=1, batch_size=64, threads=1, device="cpu", recipe="classic"),
    "sampler": "known-cost",
    "name": "plain",
    "known_designs": True,
    "checkpoints": "none",
}


def resume(ledger: Ledger, trials: Mapping[str, int]) -> None:
    """Run the two searches up to these numbers of trials."""
    common = {"resources": Resources(engine="local"), "ledger": ledger, "notice": lambda line: None}
    run("fashion-table", trials=trials["pruned"], **PRUNED, **common)
    run("digits", trials=trials["plain"], **PLAIN, **common)


def record_ledger() -> None:
    """Write the old ledger anew: two searches, the plain one confirmed by two retrainings."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        with Ledger(f"sqlite:///{path}") as ledger:
            resume(ledger, {"pruned": 36, "plain": 4})
            confirm(
                "plain",
                seeds=1,
                trials=2,
                resources=Resources(engine="local"),
                ledger=ledger,
                notice=lambda line: None,
                checkpoints="none",
            )
        with closing(sqlite3.connect(path)) as db:
            for table in ("trial", "failure"):
                db.execute(f"UPDATE {table} SET worker = 'recorded:1' WHERE worker <> ''")
            facts = "json_set(facts, '$.worker', 'recorded:1', '$.host', 'recorded')"
            db.execute(f"UPDATE trial SET facts = {facts} WHERE json_extract(facts, '$.worker') IS NOT NULL")
            db.commit()
            db.execute("PRAGMA journal_mode = DELETE")
            db.execute("VACUUM")
        RECORDED.mkdir(exist_ok=True)
        shutil.copyfile(path, OLD_LEDGER)
    record_reading()


def reading_of(ledger: Ledger, name: str) -> dict[str, Any]:
    """Return all contents of a ledger about one search, without times and places."""
    record = ledger.search(name)
    trials = [
        [
            trial.number,
            trial.state,
            trial.digest,
            trial.seed,
            trial.attempt,
            trial.rung,
            trial.audit_rung,
            trial.failure_kind,
            bits(trial.measurements),
            [[rung, bits(numbers)] for rung, numbers in ledger.read(reads.curve, trial.id)],
        ]
        for trial in ledger.read(reads.trials, record.id)
    ]
    proposals = [[each.reason, each.digest, dict(each.choices)] for each in ledger.read(reads.proposals, record.id)]
    failures = [
        [each.number, each.attempt, each.kind, each.rung, each.seed] for each in ledger.read(reads.failures, record.id)
    ]
    repeats = {
        str(number): [bits(each.own), {str(seed): bits(numbers) for seed, numbers in each.fresh.items()}]
        for number, each in ledger.read(reads.repeats, record.id, confirmed=True).items()
    }
    search = Search(SearchSpec.from_record(record), record, ledger)
    progress = search.progress()
    fields = {
        "objectives": record.objectives,
        "settings": record.settings.to_dict(),
        "sampler": record.sampler,
        "pruner": record.pruner,
        "seed": record.seed,
        "target": record.target,
        "max_flops": record.max_flops,
        "evaluation": record.evaluation,
        "warm_start": record.known_designs,
        "input_size": record.input_size,
        "classes": record.classes,
        "tuned": record.tuned,
        "uid": record.uid,
    }
    return plain(
        {
            "search": fields,
            "counts": {**ledger.read(reads.counts, record.id), **Counter(each[0] for each in proposals)},
            "front": sorted(search.front()),
            "hypervolume": progress.hypervolume,
            "trials": trials,
            "proposals": proposals,
            "failures": failures,
            "repeats": repeats,
            "openings": [[each.images, each.fingerprint] for each in ledger.read(reads.openings, record.id)],
        }
    )


@contextmanager
def old_ledger() -> Iterator[Ledger]:
    """Yield a copy of the old ledger that can be written."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        shutil.copyfile(OLD_LEDGER, path)
        with Ledger(f"sqlite:///{path}", notice=lambda line: None) as ledger:
            yield ledger


def next_trials(ledger: Ledger, was: Mapping[str, Any]) -> dict[str, Any]:
    """Run two more trials of each search; return them."""
    resume(ledger, {name: was[name]["search"]["target"] + 2 for name in ("pruned", "plain")})
    return {name: reading_of(ledger, name)["trials"][-2:] for name in ("pruned", "plain")}


def record_reading() -> None:
    with old_ledger() as ledger:
        found = {name: reading_of(ledger, name) for name in ("pruned", "plain")}
        write("ledger.json", {**found, "next trials": next_trials(ledger, found)})


def test_an_old_ledger_has_the_same_contents_and_its_searches_resume():
    recorded = read("ledger.json")
    with old_ledger() as ledger:
        assert sorted(record.name for record in ledger.searches()) == ["plain", "pruned"]
        for name in ("pruned", "plain"):
            found, was = reading_of(ledger, name), recorded[name]
            assert found.pop("hypervolume") == pytest.approx(was.pop("hypervolume"), rel=1e-12)
            for what in was:
                assert found[what] == was[what], (name, what)
        after = next_trials(ledger, recorded)
        for name, trials in after.items():
            before, record = recorded[name], ledger.search(name)
            everything = ledger.read(reads.trials, record.id)
            assert [trial.digest for trial in everything][:-2] == [trial[2] for trial in before["trials"]]
            assert [trial.number for trial in everything] == list(range(len(before["trials"]) + 2))
            assert {trial[1] for trial in trials} <= {"complete", "stopped", "failed"}
        if same_machine():
            assert plain(after) == recorded["next trials"]


def test_the_old_ledger_has_every_kind_of_trial_and_proposal():
    recorded = read("ledger.json")
    kinds = ("complete", "stopped", "failed", "gated", "duplicate", "passed over")
    assert all(recorded["pruned"]["counts"][kind] > 0 for kind in kinds)
    assert recorded["plain"]["repeats"]
    assert recorded["plain"]["openings"]


# -- recording --

RECORDERS = {
    "proposals": record_proposals,
    "digits": record_digits,
    "costs": record_costs,
    "schema": record_schema,
    "ledger": record_ledger,
    "ledger-reading": record_reading,
}


def main(words: list[str]) -> None:
    if words[:1] != ["--record"] or not set(words[1:]) <= set(RECORDERS):
        sys.exit(f"usage: python {sys.argv[0]} --record [{'|'.join(RECORDERS)}]...")
    if os.environ.get("OMP_NUM_THREADS") != "1":
        sys.exit("set OMP_NUM_THREADS=1, as the tests do: sums over several threads have other last bits")
    if words[1:] and (RECORDED / "machine.json").exists() and not same_machine():
        sys.exit("the records were made on another machine or with other versions; record them all")
    for name in words[1:] or [name for name in RECORDERS if name != "ledger"]:
        RECORDERS[name]()
    write("machine.json", machine())


if __name__ == "__main__":
    main(sys.argv[1:])
