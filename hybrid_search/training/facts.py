"""The facts that make a result reproducible: data, settings, code, versions and machine."""

import platform
import subprocess
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from hybrid_search import __version__
from hybrid_search.data import Dataset
from hybrid_search.networks.network import Network
from hybrid_search.networks.timm_network import TimmNetwork
from hybrid_search.ops.local_attention import which_backend
from hybrid_search.records import Settings
from hybrid_search.training.from_settings import device_of, precision_of


def gather_facts(architecture: Network, dataset: Dataset, settings: Settings) -> dict[str, str]:
    """Return the facts that the ledger stores with the measurements of a trial.

    Args:
        architecture: the network.
        dataset: the images.
        settings: the training settings.

    Returns:
        Fact name -> text: data, fingerprint, the number of classes that have validation images and the images of the
        smallest one, digests, precision, threads, device, commit, versions, host and CPU.
    """
    images = np.bincount(dataset.validation.labels)
    device = device_of(settings)
    return {
        "data": dataset.name,
        "fingerprint": dataset.fingerprint,
        "validation_classes": str(np.count_nonzero(images)),
        "smallest_class": str(images[images > 0].min()),
        "settings": settings.digest,
        "architecture": architecture.digest,
        "precision": precision_of(settings, device),
        "threads": str(settings.threads),
        "attention_backend": attention_backend(architecture, device),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        **_machine(),
    }


def attention_backend(architecture: Network, device: torch.device) -> str:
    """Return the implementations of local attention that this network uses on a device.

    Args:
        architecture: the network.
        device: where it runs.

    Returns:
        The names joined by " + "; an empty string for a network without local attention.
    """
    names = set()
    for stage in () if isinstance(architecture, TimmNetwork) else architecture.stages:
        options = dict(stage.options)
        if stage.operator == "local_attention":
            heads, extent = int(options["heads"]), int(options["extent"])
            q = torch.empty(1, heads, stage.width // heads, 8, 8, device=device)
            names.add(which_backend(q, extent=extent, border=str(options["border"])))
    return " + ".join(sorted(names))


def commit(folder: Path) -> str:
    """Return the git commit of the source code in a folder.

    Args:
        folder: the folder that contains this file. A folder that git does not track, such as a virtual environment
            inside another repository, has no commit.

    Returns:
        Twelve hexadecimal digits, with "-dirty" after local changes; without a commit, "v" and the package version.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "facts.py")
        return git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return f"v{__version__}"


@lru_cache(maxsize=1)
def _machine() -> dict[str, str]:
    return {
        "commit": commit(Path(__file__).resolve().parent),
        "hybrid-search": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "host": platform.node(),
        "cpu": _cpu_model(),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
