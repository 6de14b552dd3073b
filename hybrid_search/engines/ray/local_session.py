"""The settings of a Ray session on this machine: its CPUs, GPUs, memory and number of trials at a time."""

import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hybrid_search._internal.process_limits import allowed_cpus, memory_limit
from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.ray.session_files import provide_token, session_folder
from hybrid_search.errors import SettingsError
from hybrid_search.records import Resources

MIB = 2**20
WORKER_BYTES = 512 * MIB  # a worker that trains a small network takes 330 MiB
DRIVER_BYTES = 1024 * MIB  # the driver and Ray's own processes take 650 MiB, without objects
OBJECT_BYTES = 256 * MIB  # evaluations and weights travel as objects
MIN_OBJECT_BYTES = 75 * MIB  # Ray accepts no less
SHARED_MEMORY = Path("/dev/shm")


def check(context: RunContext) -> None:
    """Check what a session on this machine needs, and say what differs from the usual.

    Args:
        context: The context of the run. Its `workers` are set if the memory limit allows fewer trials than the CPUs
            and GPUs.

    Raises:
        SettingsError: One trial needs more CPUs than this process may use, or more GPUs than this machine has; or Ray
            has no folder for its files.
    """
    cpus, need = allowed_cpus(), context.resources.cpus_per_trial
    if need > cpus:
        machine = os.cpu_count() or cpus
        names = f"{cpus} CPU{'s' if cpus > 1 else ''} that this process may use"
        raise SettingsError(
            f"a trial must fit the {names}{f', of {machine} of this machine' if machine > cpus else ''}; got "
            f"cpus_per_trial {need:g} (--cpus-per-trial)."
        )
    resources = context.resources
    gpus = count_gpus() if resources.gpus_per_trial or (not need and resources.gpus_per_trial is None) else None
    wanted = resources.gpus_per_trial or 0
    if gpus is not None and wanted > gpus:
        has = f"{gpus} GPU{'s' if gpus > 1 else ''}" if gpus else "no GPU"
        raise SettingsError(
            f"a trial must fit this machine, where Ray finds {has}; got gpus_per_trial {wanted:g} (--gpus-per-trial)."
        )
    provide_token(context.notice)
    session_folder(context.notice)
    context.resources = limited(resources, gpus, context.notice)
    object_bytes(context.notice)


def options(resources: Resources) -> dict[str, Any]:
    """Return the arguments of `ray.init` for a session on this machine."""
    return {
        "num_cpus": count_cpus(resources),
        "object_store_memory": object_bytes(),
        "_temp_dir": session_folder(),
        "include_dashboard": False,
    }


def limited(resources: Resources, gpus: int | None, notice: Callable[[str], None] = lambda line: None) -> Resources:
    """Return the resources, with `workers` if the memory limit allows fewer trials than the CPUs and GPUs.

    Args:
        resources: The resources of the run. If they have `workers`, they are returned as they are.
        gpus: The GPUs of this machine; None if the GPUs do not limit the number of trials, or are not counted.
        notice: Called with a line if the memory limit counts.
    """
    if resources.workers is not None:
        return resources
    memory = memory_limit()
    fits = max(1, (memory - DRIVER_BYTES) // WORKER_BYTES)
    needs = [(allowed_cpus(), resources.cpus_per_trial)]
    if gpus is not None:
        needs.append((gpus, 1.0 if resources.gpus_per_trial is None else resources.gpus_per_trial))
    slots = min((int(found / each + 1e-9) for found, each in needs if each), default=1)
    if slots <= fits:
        return resources
    notice(
        f"{fits} {'trial runs' if fits == 1 else 'trials run'} at a time, because this process may use "
        f"{memory / 2**30:.1f} GiB of memory. workers (--workers) sets another number"
    )
    return replace(resources, workers=fits)


def count_cpus(resources: Resources) -> int:
    """Return the CPUs of the session: those that `workers` trials take, otherwise those that this process may use.

    Args:
        resources: The resources of the run.
    """
    if resources.workers is None:
        return allowed_cpus()
    return math.ceil(resources.workers * max(resources.cpus_per_trial, 1.0))


def count_gpus() -> int | None:
    """Return the GPUs that a session of Ray would find here, which takes no session; None if Ray cannot say it.

    `RAY_OVERRIDE_RESOURCES` takes the place of what Ray finds, so only the session knows the number.
    """
    if os.environ.get("RAY_OVERRIDE_RESOURCES"):
        return None
    try:
        from ray._private.accelerators import get_accelerator_manager_for_resource

        manager: Any = get_accelerator_manager_for_resource("GPU")
        visible = manager.get_current_process_visible_accelerator_ids()
        found = int(manager.get_current_node_num_accelerators())
    except Exception:  # another version of Ray: the session counts them
        return None
    return found if visible is None else min(found, len(visible))


def object_bytes(notice: Callable[[str], None] = lambda line: None) -> int:
    """Return the size of Ray's object store in bytes: 256 MiB, or less where memory is scarce.

    Args:
        notice: Called with a line if the objects do not fit into shared memory, which a container may limit.
    """
    wanted = max(MIN_OBJECT_BYTES, min(OBJECT_BYTES, memory_limit() // 8))
    try:
        found = os.statvfs(SHARED_MEMORY)
    except OSError:
        return wanted  # macOS: Ray uses files
    free = found.f_bavail * found.f_frsize
    if free >= wanted:
        return wanted
    if free >= MIN_OBJECT_BYTES:
        return free // MIB * MIB
    notice(f"{SHARED_MEMORY} has {free // MIB} MiB free, Ray needs {MIN_OBJECT_BYTES // MIB}: its objects are files")
    return MIN_OBJECT_BYTES
