"""The table of data sets.

To add a data set to this package: write its file with one `Source`, and add a line to `DATASETS`. Another package adds
a `Source` through the entry-point group `hybrid_search.datasets`; `Source` shows how. A
program calls `DATASETS.register`.
"""

from hybrid_search.data.dataset import Source
from hybrid_search.errors import DataError, PluginError
from hybrid_search.plugins import Table


def _check(name: str, entry: object) -> Source:
    """Return a plugin's entry; raise PluginError unless it is a Source of this name."""
    if not isinstance(entry, Source):
        raise PluginError(f"a data set must be a hybrid_search.data.Source; got {type(entry).__name__}.")
    if entry.name != name:
        raise PluginError(f"the name of a Source must be its name in the table, {name!r}; got {entry.name!r}.")
    return entry


DATASETS: Table[Source] = Table(
    "data",
    "hybrid_search.datasets",
    {
        "digits": "hybrid_search.data.digits:DIGITS",
        "fashion-mnist": "hybrid_search.data.fashion_mnist:FASHION_MNIST",
        "cifar10": "hybrid_search.data.cifar:CIFAR10",
        "cifar100": "hybrid_search.data.cifar:CIFAR100",
        "imagefolder": "hybrid_search.data.image_folder:IMAGEFOLDER",
        "hf": "hybrid_search.data.hugging_face:HF",
        "npz": "hybrid_search.data.npz:NPZ",
    },
    check=_check,
    error=DataError,
    registers=True,
)
