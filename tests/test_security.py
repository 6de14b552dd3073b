"""Every test that SECURITY.md names exists, and nothing is unpickled."""

import ast
import re
from pathlib import Path

import pytest

import hybrid_search
from hybrid_search.errors import SpaceError
from hybrid_search.spaces.space import load_space

TESTS = Path(__file__).parent
NAMED_TESTS = re.findall(r"\| `(test_\w+)` \|", (TESTS.parent / "SECURITY.md").read_text(encoding="utf-8"))
PACKAGE = Path(hybrid_search.__file__).parent

# The modules that may unpickle, and what.
EXCEPTIONS = {
    "data/restricted_pickle.py": "CIFAR's own files, by a loader that admits arrays only",
    "engines/worker/packed_evaluation.py": "the evaluation that the driver sent to its own worker",
    "engines/worker/packed_objects.py": "the registered objects that the driver sent to its own worker or proof",
}
UNPICKLES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


def test_every_test_named_in_the_security_policy_exists():
    there = {
        node.name
        for path in TESTS.rglob("test_*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }
    assert len(NAMED_TESTS) > 15
    assert [name for name in NAMED_TESTS if name not in there] == []


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_unpickles_anything(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            assert path.relative_to(PACKAGE).as_posix() in EXCEPTIONS or not UNPICKLES & {
                module.split(".")[0] for module in modules
            }
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = ast.unparse(node.func)
            assert called != "torch.load", "weights are safetensors"
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert given.get("allow_pickle", "False") == "False"
            if called in ("yaml.load", "yaml.unsafe_load", "yaml.full_load"):
                assert "Safe" in given.get("Loader", ""), "only plain values come out of YAML"


def test_a_space_file_cannot_make_objects(tmp_path):
    path = tmp_path / "evil.yaml"
    path.write_text("data: digits\nstem: !!python/object/apply:os.system ['touch " + str(tmp_path / "made") + "']\n")
    with pytest.raises(SpaceError, match=r"evil\.yaml"):
        load_space(path)
    assert not (tmp_path / "made").exists()
