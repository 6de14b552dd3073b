"""The devices of a full training: their number, and the resources that the worker of each one takes."""

from collections.abc import Iterator
from contextlib import contextmanager

from hybrid_search._internal.counted import counted
from hybrid_search._internal.number_text import whole_number
from hybrid_search._internal.process_limits import allowed_cpus
from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.ray.address import cluster_address
from hybrid_search.engines.ray.session import count_slots, describe, need_of, ready
from hybrid_search.errors import SettingsError
from hybrid_search.records import Resources, Settings


def device_resources(devices: object, address: str | None, settings: Settings) -> Resources | None:
    """Return what the workers of a training take; None if it runs in this process.

    Args:
        devices: The number of devices, from 1. One device without an address needs no worker.
        address: Address of an existing Ray cluster; None: RAY_ADDRESS, if set, for several devices.
        settings: `device` and `threads` are used.

    Raises:
        SettingsError: The number is wrong, the devices are named one by one, or this machine has fewer of them.

    Example:
        >>> device_resources(2, None, Settings()).workers
        2
    """
    count = whole_number("devices (--devices)", devices, 1)
    if count == 1 and address is None:
        return None
    if ":" in settings.device:
        raise SettingsError(
            f"device must be auto, cpu or cuda if the number of devices is given (--devices); got {settings.device!r}."
        )
    resources = Resources(
        engine="ray",
        workers=count,
        cpus_per_trial=float(settings.threads),
        gpus_per_trial=0.0 if settings.device == "cpu" else None,
        address=address,
    )
    if cluster_address(resources) is not None:
        return resources
    from hybrid_search.training.from_settings import count_devices

    gpus, cpus = count_devices(settings), allowed_cpus()
    room, what = (gpus, counted(gpus, "GPU") + " of this machine") if gpus else (cpus // settings.threads, "")
    if not what:
        each = "" if settings.threads == 1 else f", {settings.threads} (threads) for each device"
        what = f"{counted(cpus, 'CPU')} that this process may use{each}"
    if count > room:
        raise SettingsError(f"devices (--devices) must be at most {room}: {what}; got {count}.")
    return Resources(
        engine="ray", workers=count, cpus_per_trial=float(settings.threads), gpus_per_trial=float(bool(gpus))
    )


@contextmanager
def devices_ready(context: RunContext) -> Iterator[None]:
    """Hold what the workers of a training need of Ray. An existing cluster is joined here, before anything is written.

    Args:
        context: The context of the training, with resources of `device_resources`.

    Raises:
        SettingsError: The cluster does not answer, or has fewer devices.
    """
    resources = context.resources
    with ready(context):
        if cluster_address(resources) is not None:
            need, count = need_of(resources), resources.workers or 1
            if (room := count_slots(need)) < count:
                raise SettingsError(
                    f"devices (--devices) must be at most {room}: the cluster has room for that many workers with "
                    f"{describe(need)} each; got {count}."
                )
        yield
