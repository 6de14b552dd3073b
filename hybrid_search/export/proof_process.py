"""The new process of a proof: `python -I proof_process.py TASK.json`.

`-I` keeps the current folder, PYTHONPATH and the folder of this file out of the module path. So a user's `numpy.py` or
`torch.py` is not imported. This package is then loaded from its own folder, whatever the module path is. Folders of
the first process that are missing here, such as those of PYTHONPATH, come last: they may contain plugins, and hide no
installed package.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path

PACKAGE = "hybrid_search"


def main(task: Path) -> None:
    """Compare logits as a task says.

    Args:
        task: a JSON file with the module path of the first process and the arguments of `compare`.
    """
    described = json.loads(task.read_text(encoding="utf-8"))
    sys.path += [each for each in described["path"] if os.path.isabs(each) and each not in sys.path]
    root = Path(__file__).parents[1]
    spec = importlib.util.spec_from_file_location(PACKAGE, root / "__init__.py", submodule_search_locations=[str(root)])
    assert spec is not None
    assert spec.loader is not None
    sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[PACKAGE])
    from hybrid_search.errors import HybridSearchError
    from hybrid_search.export.proof import compare

    try:
        compare(*described["arguments"])
    except HybridSearchError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
