"""The settings of a Ray job: workers import from no folder that Ray chooses."""

from collections.abc import Iterable
from typing import Any


class _NoFolders(list[str]):
    """A list to which Ray adds folders in vain."""

    def extend(self, values: Iterable[str]) -> None:
        """Ignore the folders of the script and of the shell."""


def job_config() -> Any:
    """Return the `JobConfig` of a session that this package starts or joins.

    Ray puts the current folder before all others on the module path of its workers. A file such as `numpy.py` in that
    folder would replace the module of that name. Workers get the folders of the driver with the evaluation instead: see
    `PackedEvaluation`.
    """
    from ray.job_config import JobConfig

    config = JobConfig()
    config._py_driver_sys_path = _NoFolders()
    return config
