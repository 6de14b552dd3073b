"""What a process may use: affinity, quotas of control groups of both versions and of those around them, limits."""

import os
import resource
import subprocess
import sys
from dataclasses import replace

import pytest

from hybrid_search._internal import process_limits
from hybrid_search._internal.process_limits import allowed_cpus, memory_limit
from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.ray import local_session
from hybrid_search.errors import SettingsError
from hybrid_search.records import Resources

GIB = 2**30
V2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1_CPU = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"
V1_MEMORY = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"


@pytest.fixture(autouse=True)
def _a_machine_of_64(monkeypatch):
    monkeypatch.setattr(process_limits, "_affinity", lambda: 64)
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 64 * GIB // 4096, "SC_PAGE_SIZE": 4096}.__getitem__)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def machine(root, groups, mounts, files):
    """Write the files of a machine below `root`: lines of /proc/self/cgroup and mountinfo, and path -> text."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("\n".join(groups) + "\n")
    (root / "proc/self/mountinfo").write_text("\n".join(mounts) + "\n")
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "cpus"),
    [
        (["0::/"], [V2], {"cpu.max": "200000 100000"}, 2),
        (["0::/"], [V2], {"cpu.max": "max 100000"}, 64),
        (["0::/"], [V2], {}, 64),
        (["0::/"], [V2], {"cpu.max": "250000 100000"}, 2),
        (["0::/"], [V2], {"cpu.max": "50000 100000"}, 1),
        (["0::/"], [V2], {"cpu.max": "10000 5000"}, 2),
        (["0::/a/b"], [V2], {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),
        (["0::/a/b"], [V2], {"a/b/cpu.max": "200000 100000", "a/cpu.max": "300000 100000"}, 2),
        (["0::/a/b"], [V2], {"a/b/cpu.max": "800000 100000", "a/cpu.max": "max", "cpu.max": "400000 100000"}, 4),
        (["0::/a/b"], [V2], {"other/cpu.max": "100000 100000"}, 64),
        (["0::/../../x"], [V2], {"cpu.max": "200000 100000"}, 2),
        (["0::/docker/c1"], [V2.replace(" / ", " /docker/c1 ", 1)], {"cpu.max": "200000 100000"}, 2),
        (["0::/a"], [V2], {"a/cpu.max": "damaged", "cpu.max": ""}, 64),
        (
            ["3:cpu,cpuacct:/s"],
            [V1_CPU],
            {"cpu,cpuacct/s/cpu.cfs_quota_us": "150000", "cpu,cpuacct/s/cpu.cfs_period_us": "50000"},
            3,
        ),
        (
            ["3:cpu,cpuacct:/s"],
            [V1_CPU],
            {"cpu,cpuacct/s/cpu.cfs_quota_us": "-1", "cpu,cpuacct/s/cpu.cfs_period_us": "100000"},
            64,
        ),
        (
            ["3:cpu,cpuacct:/s/t"],
            [V1_CPU],
            {
                "cpu,cpuacct/s/t/cpu.cfs_quota_us": "-1",
                "cpu,cpuacct/s/t/cpu.cfs_period_us": "100000",
                "cpu,cpuacct/s/cpu.cfs_quota_us": "700000",
                "cpu,cpuacct/s/cpu.cfs_period_us": "100000",
            },
            7,
        ),
        (
            ["3:cpu,cpuacct:/docker/c1", "0::/"],
            [V1_CPU.replace(" / ", " /docker/c1 ", 1), V2.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified")],
            {"cpu,cpuacct/cpu.cfs_quota_us": "200000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            2,
        ),
        (["3:cpuset:/s"], [V1_CPU.replace("cpu,cpuacct", "cpuset")], {"cpuset/cpu.cfs_quota_us": "1"}, 64),
        (["0::/a b"], [V2.replace("/sys/fs/cgroup", "/sys/fs/cgroup/my\\040mount")], {"my mount/cpu.max": "5 1"}, 5),
        (["nonsense"], ["nonsense", "1 2 3 - x"], {}, 64),
    ],
)
def test_the_smallest_quota_of_the_control_groups_limits_the_cpus(groups, mounts, files, cpus, tmp_path):
    assert allowed_cpus(machine(tmp_path, groups, mounts, files)) == cpus


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "limit"),
    [
        (["0::/"], [V2], {"memory.max": 3 * GIB}, 3 * GIB),
        (["0::/"], [V2], {"memory.max": "max"}, 64 * GIB),
        (["0::/"], [V2], {"memory.max": "max", "memory.high": 2 * GIB}, 2 * GIB),
        (["0::/a/b"], [V2], {"a/b/memory.max": 8 * GIB, "a/memory.max": 4 * GIB, "memory.max": "max"}, 4 * GIB),
        (["4:memory:/s"], [V1_MEMORY], {"memory/s/memory.limit_in_bytes": 5 * GIB}, 5 * GIB),
        (["4:memory:/s"], [V1_MEMORY], {"memory/s/memory.limit_in_bytes": 9223372036854771712}, 64 * GIB),
        (
            ["4:memory:/s/t"],
            [V1_MEMORY],
            {"memory/s/t/memory.limit_in_bytes": 9 * GIB, "memory/s/memory.limit_in_bytes": 6 * GIB},
            6 * GIB,
        ),
        (["0::/"], [V2], {"memory.max": "0"}, 64 * GIB),
    ],
)
def test_the_smallest_limit_of_the_control_groups_limits_the_memory(groups, mounts, files, limit, tmp_path):
    assert memory_limit(machine(tmp_path, groups, mounts, files)) == limit


def test_a_limit_of_the_address_space_limits_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (7 * GIB, 8 * GIB))
    assert memory_limit(tmp_path) == 7 * GIB


def test_a_machine_without_control_groups_has_its_affinity_and_its_memory(tmp_path):
    assert (allowed_cpus(tmp_path), memory_limit(tmp_path)) == (64, 64 * GIB)


@pytest.mark.parametrize(
    ("memory", "resources", "workers", "cpus", "said"),
    [
        (64, {}, None, 8, ""),
        (64, {"workers": 3}, 3, 3, ""),
        (64, {"workers": 3, "cpus_per_trial": 2}, 3, 6, ""),
        (64, {"workers": 3, "cpus_per_trial": 0.5}, 3, 3, ""),
        (64, {"cpus_per_trial": 4}, None, 8, ""),
        (64, {"cpus_per_trial": 0.25}, None, 8, ""),
        (64, {"cpus_per_trial": 0}, None, 8, ""),
        (64, {"cpus_per_trial": 0, "gpus_per_trial": 0.1}, None, 8, ""),
        (2, {}, 2, 2, "2 trials run at a time, because this process may use 2.0 GiB of memory"),
        (2, {"cpus_per_trial": 0.5}, 2, 2, "2 trials run"),
        (2, {"cpus_per_trial": 0.01}, 2, 2, "2 trials run"),
        (2, {"cpus_per_trial": 0, "gpus_per_trial": 0.1}, 2, 2, "2 trials run"),
        (1.2, {"cpus_per_trial": 0}, 1, 1, "1 trial runs"),
        (2, {"cpus_per_trial": 0, "gpus_per_trial": 0}, None, 8, ""),
        (2, {"gpus_per_trial": 1}, None, 8, ""),
        (2, {"cpus_per_trial": 4}, None, 8, ""),
        (1.2, {"cpus_per_trial": 4}, 1, 4, "1 trial runs at a time, because this process may use 1.2 GiB"),
        (0.5, {}, 1, 1, "1 trial runs"),
        (0.5, {"workers": 5}, 5, 5, ""),
    ],
)
def test_as_many_trials_run_as_fit_the_cpus_the_gpus_and_the_memory(
    memory, resources, workers, cpus, said, monkeypatch
):
    monkeypatch.setattr(local_session, "allowed_cpus", lambda: 8)
    monkeypatch.setattr(local_session, "memory_limit", lambda: int(memory * GIB))
    monkeypatch.setattr(local_session, "count_gpus", lambda: 2)
    lines = []
    context = RunContext(None, Resources(**resources), notice=lines.append)
    local_session.check(context)
    assert context.resources == replace(Resources(**resources), workers=workers)
    assert local_session.count_cpus(context.resources) == cpus
    trials = [line for line in lines if "at a time" in line]
    assert (trials == []) if said == "" else trials[0].startswith(said)


@pytest.mark.parametrize(
    ("free", "memory", "size", "said"),
    [
        (8000, 64, 256, ""),
        (200, 64, 200, ""),
        (64, 64, 75, "/dev/shm has 64 MiB free, Ray needs 75: its objects are files"),
        (0, 64, 75, "/dev/shm has 0 MiB free"),
        (8000, 1, 128, ""),
        (8000, 0.25, 75, ""),
    ],
)
def test_the_object_store_fits_shared_memory_and_the_memory_limit(free, memory, size, said, monkeypatch):
    monkeypatch.setattr(local_session, "memory_limit", lambda: int(memory * GIB))
    found = os.statvfs_result((4096, 4096, 10**6, 10**6, free * 256, 0, 0, 0, 0, 255))
    monkeypatch.setattr(local_session.os, "statvfs", lambda path: found)
    lines = []
    assert local_session.object_bytes(lines.append) == size * 2**20
    assert "".join(lines).startswith(said)
    assert len(lines) == bool(said)


def test_a_trial_that_needs_more_cpus_than_allowed_is_refused_with_both_numbers(monkeypatch):
    monkeypatch.setattr(local_session, "allowed_cpus", lambda: 2)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    law = "a trial must fit the 2 CPUs that this process may use, of 64 of this machine; got cpus_per_trial 4 "
    with pytest.raises(SettingsError, match=law):
        local_session.check(RunContext(None, Resources(cpus_per_trial=4)))


# -- the limits of real processes --

ASK = "from hybrid_search._internal.process_limits import *; print(allowed_cpus(), memory_limit())"


def ask(*before):
    done = subprocess.run([*before, sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    cpus, memory = done.stdout.split()
    return int(cpus), int(memory)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has CPU affinity")
def test_a_process_on_one_cpu_may_use_one():
    first = min(os.sched_getaffinity(0))
    assert ask("taskset", "-c", str(first))[0] == 1


def test_a_process_with_a_limit_of_its_address_space_has_that_memory():
    assert ask("sh", "-c", 'ulimit -v 2000000; exec "$@"', "sh")[1] == 2000000 * 1024


@pytest.fixture
def group():
    """Make a control group inside that of this process, and return the command that enters it; None without rights."""
    made = []

    def make(controller, files):
        places = [place for place in process_limits._groups(process_limits.ROOT, controller) if place[1] in files]
        for folder, version in places[:1]:
            path = folder / f"hybrid-search-test-{os.getpid()}"
            try:
                path.mkdir()
                made.append(path)
                for name, text in files[version].items():
                    (path / name).write_text(text)
                return ("sh", "-c", f'echo $$ > {path}/cgroup.procs && exec "$@"', "sh")
            except OSError:
                break
        return None

    yield make
    for path in made:
        path.rmdir()


def test_a_process_in_a_real_control_group_may_use_its_quota_and_memory(group):
    """Without the right to make a group, the tests above with written files remain."""
    cpu = group("cpu", {1: {"cpu.cfs_quota_us": "100000"}, 2: {"cpu.max": "100000 100000"}})
    memory = group("memory", {1: {"memory.limit_in_bytes": str(GIB)}, 2: {"memory.max": str(GIB)}})
    if cpu:
        assert ask(*cpu)[0] == 1
    if memory:
        assert ask(*memory)[1] == GIB


WATCHED = """
import sys, time
from hybrid_search import Resources, run

def evaluate(architecture, settings):
    time.sleep(0.5)
    yield {"accuracy": 0.5}

most = [0]

def watch(search, context):
    context.on_event = lambda kind, number: most.append(search.progress().counts["running"])

run("digits", trials=4, evaluate=evaluate, checkpoints="none", ledger="sqlite:///a.db", watch=watch)
print(max(most))
"""


@pytest.mark.slow
def test_a_search_on_one_cpu_runs_one_trial_at_a_time():
    words = ["taskset", "-c", str(min(os.sched_getaffinity(0))), sys.executable, "-c", WATCHED]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["1"], done.stderr
