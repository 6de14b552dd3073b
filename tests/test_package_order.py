"""The packages import in one order only, and each heavy package is imported by the packages that need it only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hybrid_search

ROOT = Path(hybrid_search.__file__).parent

# The order: a package may import itself and the packages before it.
ORDER = [
    "errors", "_internal", "plugins", "objectives", "settings", "records", "pareto", "gaussian_process", "ops",
    "networks", "spaces", "data", "training", "ledger", "samplers", "pruners", "analysis", "charts", "search",
    "engines", "export", "loggers", "runs", "report", "dashboard", "cli", "testing", "__main__",
]  # fmt: skip

# heavy package -> the packages that may import it, also inside a function
HEAVY = {
    "torch": {"ops", "networks", "training", "export", "loggers", "cli", "testing"},
    "triton": {"ops"},
    "timm": {"networks", "training"},
    "onnx": {"export"},
    "onnxruntime": {"export"},
    "openvino": {"export"},
    "litert_torch": {"export"},
    "executorch": {"export"},
    "torchvision": {"_internal", "data"},
    "sklearn": {"data"},
    "PIL": {"data", "charts"},
    "pyarrow": {"data"},
    "huggingface_hub": {"data"},
    "ray": {"engines"},
    "fsspec": {"training"},
    "wandb": {"loggers"},
    "mlflow": {"loggers"},
    "optuna": {"samplers", "search", "analysis", "testing"},
    "sqlalchemy": {"ledger"},
    "alembic": {"ledger"},
    "psycopg": {"ledger"},
    "plotly": {"charts", "dashboard"},
    "dash": {"dashboard"},
    "dash_ag_grid": {"dashboard"},
    "flask": {"dashboard"},
    "pydantic": {"spaces"},
    "typer": {"cli"},
    "rich": {"runs", "cli"},
}


def package_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports_of(path):
    """Yield the name of every module that a file imports, also inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module
            if node.module == "hybrid_search":
                yield from (f"hybrid_search.{alias.name}" for alias in node.names)


SOURCES = sorted(path for path in ROOT.rglob("*.py") if path.name != "__init__.py" or path.parent != ROOT)


def test_the_order_names_every_package_and_no_other():
    assert {package_of(path) for path in SOURCES} - {"_search_spaces"} == set(ORDER)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_imports_only_packages_before_it(path):
    here = ORDER.index(package_of(path))
    imported = {name.split(".")[1] for name in imports_of(path) if name.startswith("hybrid_search.")}
    after = [name for name in imported & set(ORDER) if ORDER.index(name) > here]
    assert not after, f"{package_of(path)} imports {after}, which come after it"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_packages_are_imported_only_where_allowed(path):
    heavy = {name.split(".")[0] for name in imports_of(path)} & set(HEAVY)
    wrong = [package for package in heavy if package_of(path) not in HEAVY[package]]
    assert not wrong, f"{package_of(path)} imports {wrong}"


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import hybrid_search.cli", "torch ray optuna sqlalchemy plotly dash numpy pydantic"),
        (
            "from hybrid_search import load_space, cost, reference; load_space('digits')",
            "torch ray optuna sqlalchemy plotly",
        ),
        ("from hybrid_search import Ledger, pareto_front", "torch ray optuna plotly dash alembic"),
        ("import hybrid_search.dashboard, hybrid_search.charts, hybrid_search.ops", "torch ray optuna"),
        ("import hybrid_search.engines", "torch ray plotly dash"),
        ("import hybrid_search.engines.driver", "torch ray optuna plotly dash"),
        ("import hybrid_search.engines.worker.actor", "torch ray optuna sqlalchemy scipy numpy plotly dash"),
        (
            "from hybrid_search.engines.worker.failure_report import failure_from; failure_from(ValueError())",
            "torch ray optuna sqlalchemy scipy numpy plotly dash",
        ),
    ],
)
def test_a_fresh_process_loads_no_heavy_package_before_it_needs_it(code, absent):
    check = f"{code}\nimport sys\nprint(sorted(set({absent.split()!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_file_has_more_than_400_lines_and_no_class_more_than_300():
    for path in ROOT.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 400, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                assert node.end_lineno - node.lineno < 300, f"{path}: {node.name}"
