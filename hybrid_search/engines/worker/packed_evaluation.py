"""PackedEvaluation: an evaluation on its way to a worker process, with registered objects and import folders.

A function of a module is pickled by the name of its module. The worker can import that module if it looks in the
folders of the driver: the folder of the script or of the notebook, and those of PYTHONPATH.
"""

import os
import pickle
import platform
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass, field

from hybrid_search._internal.exception_text import message_of
from hybrid_search._internal.installed_code import is_installed
from hybrid_search.engines.worker.evaluation_protocol import Evaluate
from hybrid_search.engines.worker.packed_objects import PackedObjects
from hybrid_search.errors import SettingsError, UserError


@dataclass(frozen=True)
class PackedEvaluation:
    """An evaluation as bytes.

    Attributes:
        content: The pickled evaluation.
        folders: The folders that the driver imports from, in order.
        current: The current folder of the driver.
        machine: The name of the machine of the driver.
        objects: The registered objects of the driver.
    """

    content: bytes
    folders: tuple[str, ...]
    current: str
    machine: str
    objects: PackedObjects = field(default_factory=PackedObjects)

    @classmethod
    def of(cls, evaluate: Evaluate) -> "PackedEvaluation":
        """Return an evaluation as it is sent to workers.

        Args:
            evaluate: The evaluation.

        Raises:
            SettingsError: A part of it cannot be pickled. The message names the part.
            PluginError: A registered object cannot be pickled.
        """
        from ray import cloudpickle

        try:
            content = cloudpickle.dumps(evaluate)  # type: ignore[no-untyped-call]
        except Exception as error:  # of any class: pickling runs code of the objects
            from hybrid_search.engines.worker.unpicklable_part import unpicklable_part

            name, reason = unpicklable_part(evaluate, error)
            raise SettingsError(
                f"evaluate must be sent to worker processes, so all of it must be pickled; got {name}: {reason}. "
                "Create it inside evaluate, or use engine local."
            ) from error
        folders = dict.fromkeys(os.path.abspath(folder) for folder in sys.path if isinstance(folder, str))
        return cls(content, tuple(folders), os.getcwd(), platform.node(), PackedObjects.of_process())

    def unpack(self) -> Evaluate:
        """Return the evaluation, in a worker, and register the objects of the driver.

        Raises:
            PluginError: An object cannot be imported here, or its name is taken.
            UserError: This process cannot import what the evaluation needs.
        """
        self.use_folders()
        self.objects.register()
        where = f"worker {platform.node()}:{os.getpid()}"
        try:
            evaluate: Evaluate = pickle.loads(self.content)  # noqa: S301  (the driver of this search wrote it)
        except ImportError as error:
            raise UserError(
                f"evaluate must be importable in the workers; {where} cannot: {message_of(error)}. Put the module "
                "beside your script, or install it where the workers run."
            ) from error
        except (Exception, SystemExit) as error:
            raise UserError(
                f"evaluate must be importable in the workers; {where} cannot: {type(error).__name__}: "
                f"{message_of(error)}."
            ) from error
        return evaluate

    def use_folders(self) -> None:
        """Import from the folders of the driver in this process, after those of Python itself.

        On another machine only those folders are added that exist there and hold no installed packages. Ray adds the
        current folder of the driver before all others. It is removed unless the driver itself imports from it: a file
        such as `numpy.py` in it would replace the module of that name.
        """
        standard = [folder for folder in sys.path if folder in _standard_folders()]
        theirs = [folder for folder in self.folders if folder not in standard and os.path.exists(folder)]
        mine = [folder for folder in sys.path if folder not in (*standard, self.current, "")]
        if platform.node() != self.machine:
            theirs = [folder for folder in theirs if not is_installed(folder)]
            theirs, mine = mine, theirs  # the installed packages of this machine come first
        sys.path[:] = _without_repeats([*standard, *theirs, *mine])


def _standard_folders() -> set[str]:
    """Return the folders of Python's own modules."""
    folders = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    archive = f"python{sys.version_info.major}{sys.version_info.minor}.zip"
    parts = [os.path.join(folder, "lib-dynload") for folder in folders]
    return {*folders, *parts, *(os.path.join(os.path.dirname(folder), archive) for folder in folders)}


def _without_repeats(folders: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(folders))
