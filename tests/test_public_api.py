"""The public names: complete, documented with arguments, returns and raises, typed for projects that install them."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
import textwrap
import venv
from pathlib import Path
from typing import get_type_hints

import pytest

import hybrid_search
from hybrid_search import ops
from hybrid_search.cli.search_options import search_options_of
from hybrid_search.pruners import PrunerFactory
from hybrid_search.samplers import SamplerFactory
from hybrid_search.search.spec import SearchOptions

ROOT = Path(__file__).parent.parent
DEFERRED = {"SamplerFactory": SamplerFactory, "PrunerFactory": PrunerFactory}  # types that only checkers import
PROMISED = {
    "Architecture", "Stage", "SearchSpace", "load_space", "reference", "build_model", "cost", "Cost", "Settings",
    "Resources", "SearchSpec", "Search", "Trial", "Outcome", "Report", "run", "confirm", "baseline", "train",
    "open_search", "Ledger",
    "Objective", "pareto_front", "hypervolume", "export_model", "load_exported",
    "to_frame", "to_optuna",
}  # fmt: skip


def errors():
    found = {name for name, value in vars(__import__("hybrid_search.errors").errors).items() if inspect.isclass(value)}
    return {name for name in found if issubclass(getattr(hybrid_search.errors, name), Exception)}


# Modules beside the package itself that the documentation imports from, or that a plugin needs. Each has `__all__`.
MODULES = [
    "analysis.effects", "charts", "charts.theme", "data", "engines", "engines.driver", "engines.worker", "errors",
    "export", "ledger", "networks.blocks",
    "networks.stems", "networks.stems.stem", "objectives", "ops", "ops.operator", "pareto", "plugins", "pruners",
    "records", "report", "samplers", "spaces.choosers", "testing", "training.checkpoints",
]  # fmt: skip


def public():
    """Return every public name with its object: those of the package, then those of each module."""
    found = {name: getattr(hybrid_search, name) for name in hybrid_search.__all__}
    for module in MODULES:
        loaded = importlib.import_module(f"hybrid_search.{module}")
        found |= {f"{module}.{name}": getattr(loaded, name) for name in loaded.__all__}
    return {name: value for name, value in found.items() if inspect.isfunction(value) or inspect.isclass(value)}


PUBLIC = public()
# These call a function that refuses wrong arguments, but their own arguments cannot be wrong in that way.
CANNOT_RAISE = {"Stage.on_map", "charts.curve_numbers", "charts.hypervolume_numbers"}


def functions():
    """Return every public function and method: name -> (function, whether it is a method)."""
    found = {}
    for name, value in PUBLIC.items():
        if inspect.isfunction(value):
            found[name] = value
        elif inspect.isclass(value) and not issubclass(value, Exception):
            for member, method in vars(value).items():
                plain = method.__func__ if isinstance(method, classmethod | staticmethod) else method
                left_out = member.startswith(("_", "test_", "pytest_")) or member in getattr(value, "_fields", ())
                left_out = left_out or member in getattr(value, "__dataclass_fields__", ())
                if inspect.isfunction(plain) and not left_out:
                    found[f"{name}.{member}"] = plain
    return found


def parameters(function):
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


def explained(argument, text):
    """Return whether a line of a docstring begins with this argument, alone or in a list: `q, k, v: ...`."""
    return re.search(rf"^\s*(?:[\w*]+, )*\*{{0,2}}{argument}(?:, [\w*]+)*:", text, re.MULTILINE) is not None


def raised_by(function):
    """Return the names of the exceptions that the body of a function raises itself."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = (node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None)
    names = {call.func.id for call in calls if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)}
    return {name for name in names if name.endswith(("Error", "Name", "Lease"))}


def called_by(function):
    """Yield the functions of the package that a function calls by their name, and the constructors of its classes."""
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        called = function.__globals__.get(node.func.id)
        if not str(getattr(called, "__module__", "")).startswith("hybrid_search"):
            continue
        if inspect.isfunction(called):
            yield called
        elif inspect.isclass(called):
            yield from filter(is_written, (vars(called).get(name) for name in ("__init__", "__post_init__")))


def is_written(function):
    """Return whether this is a function with source code: a dataclass has an `__init__` without."""
    return inspect.isfunction(function) and function.__code__.co_filename.endswith(".py")


def test_the_public_names_are_those_promised():
    assert set(hybrid_search.__all__) == PROMISED | errors()
    assert {"local_attention", "LocalAttention2d"} <= set(ops.__all__)
    assert sorted(hybrid_search._MODULE_OF) == sorted(hybrid_search.__all__) == hybrid_search.__all__


def imports_of_documents():
    """Return (file, module, name) of every import of this package in the documentation and the example package."""
    files = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "tests" / "plugin_example").rglob("*.py")]
    line = re.compile(r"from hybrid_search(?:\.([\w.]+))? import (?:\(([^)]*)\)|(.*))")
    for file in files:
        for module, several, one in line.findall(file.read_text(encoding="utf-8")):
            for name in re.sub(r"#.*", "", several or one).replace("\\n", "").strip('"').split(","):
                if name.strip():
                    yield file.name, module, name.strip()


def test_documents_import_public_names_only():
    found = list(imports_of_documents())
    assert len(found) > 30
    for file, module, name in found:
        assert module in ("", *MODULES), f"{file} imports from {module}"
        loaded = importlib.import_module(f"hybrid_search.{module}".rstrip("."))
        assert name in loaded.__all__, f"{file}: {name} is not in __all__ of {module}"


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="evaluate_everything"):
        hybrid_search.evaluate_everything  # noqa: B018


def test_no_public_name_is_hidden_by_a_module_of_that_name():
    for module in hybrid_search._PUBLIC:
        __import__(f"hybrid_search.{module}")
    assert not [name for name in PROMISED if inspect.ismodule(getattr(hybrid_search, name))]


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_name_says_what_it_is(name):
    assert inspect.getdoc(PUBLIC[name]), name
    if inspect.isclass(PUBLIC[name]):
        assert PUBLIC[name].__doc__ != "", name
        assert "__doc__" in vars(PUBLIC[name]), f"{name} inherits its docstring"


@pytest.mark.parametrize("name", sorted(functions()))
def test_a_public_function_documents_arguments_results_and_errors(name):
    function = functions()[name]
    text = inspect.getdoc(function) or ""
    assert text, f"{name} has no docstring"
    missing = [argument for argument in parameters(function) if not explained(argument, text)]
    first = text.splitlines()[0]
    if len(parameters(function)) == 1 and missing and f"`{missing[0]}`" in text:
        missing = []  # one argument may be explained in the first sentence
    assert not missing, f"{name} does not document {', '.join(missing)}"
    returns = inspect.signature(function).return_annotation
    if returns not in (None, "None", inspect.Signature.empty):
        said = "Returns:" in text or "Yields:" in text or first.startswith(("Return", "Yield"))
        assert said, f"{name} does not say what it returns"
    if name not in CANNOT_RAISE:
        check_errors(name, function, text)


def check_errors(name, function, text):
    """Assert that a docstring names every error that the function, or a function that it calls, raises."""
    for error in set().union(raised_by(function), *map(raised_by, called_by(function))):
        kinds = [kind.__name__ for kind in getattr(hybrid_search, error, ValueError).__mro__[:-3]]
        assert any(kind in text for kind in (error, *kinds)), f"{name} raises {error} and does not say so"


@pytest.mark.parametrize("name", [n for n in sorted(PUBLIC) if inspect.isclass(PUBLIC[n])])
def test_a_public_class_documents_the_arguments_of_its_constructor(name):
    value = PUBLIC[name]
    if issubclass(value, Exception):
        return_value = inspect.getdoc(value)
        assert return_value
        return
    text = f"{inspect.getdoc(value)}\n{inspect.getdoc(value.__init__) or ''}"
    names = [n for n in inspect.signature(value).parameters if n not in ("self", "args", "kwargs")]
    missing = [n for n in names if f"{n}:" not in text and f"`{n}`" not in text and f"{n}," not in text]
    assert not missing, f"{name} does not document {', '.join(missing)}"


@pytest.mark.parametrize("name", ["run", "confirm", "train", "load_space", "cost", "build_model", "reference",
                                  "pareto_front", "hypervolume", "export_model", "load_exported", "Ledger",
                                  "SearchSpec", "Resources", "Objective", "open_search"])  # fmt: skip
def test_the_main_names_have_an_example(name):
    assert "Example:" in inspect.getdoc(PUBLIC[name]), name


def test_run_and_its_command_take_the_options_of_a_search_with_their_types_and_defaults():
    create = inspect.signature(hybrid_search.SearchSpec.create).parameters
    options = {name: one for name, one in create.items() if name not in ("space", "trials", "evaluation")}
    assert {name: str(kind) for name, kind in get_type_hints(SearchOptions, None, DEFERRED).items()} == {
        name: str(kind) for name, kind in get_type_hints(hybrid_search.SearchSpec.create, None, DEFERRED).items()
        if name in options
    }  # fmt: skip
    run = inspect.signature(hybrid_search.run).parameters
    assert {name: run.get(name) for name in options} == options
    command = {name: one.default for name, one in inspect.signature(search_options_of).parameters.items()}
    defaults = {name: one.default for name, one in options.items() if name != "settings"}
    assert command == {**defaults, "objectives": ",".join(defaults["objectives"])}


CLIENT = """
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar, Self

import optuna
from torch import nn

from hybrid_search import (
    Architecture, Cost, Ledger, Objective, Outcome, Resources, Search, SearchSpace, SearchSpec, Settings, Stage, Trial,
    UserError, build_model, confirm, cost, export_model, hypervolume, load_exported, load_space, open_search,
    pareto_front, reference, run,
)
from hybrid_search.engines.driver import RunContext, TrialSource
from hybrid_search.ops import Family, Layer, LocalAttention2d, local_attention
from hybrid_search.pruners import NoPruner, Pruner, PrunerObjectives
from hybrid_search.samplers import Facts, KnownCostSampler
from hybrid_search.testing import ObjectiveContract, OperatorContract, SamplerContract

space: SearchSpace = load_space("digits")
found: Cost = cost(reference("resnet26"), (3, 224, 224), 1000)
search: Search = run(space, trials=2, objectives=(Objective("x", "maximize", "x", "", known=False), "flops"),
                     settings=Settings(epochs=1), resources=Resources(engine="local"))
numbers: list[int] = search.front()
spec: SearchSpec = SearchSpec.create(space, trials=3)
opened: Search = open_search(spec, Ledger())
trial: Trial | None = opened.ask()
if trial is not None:
    opened.tell(trial, Outcome("complete", {"accuracy": 0.5}))
volume: float = hypervolume([[0.5, 1.0]], [0.0, 2.0], ["maximize", "minimize"])


@dataclass(frozen=True)
class Shift:
    reach: int = 1
    family: ClassVar[Family] = "other"
    label: ClassVar[str] = "shift"
    symbol: ClassVar[str] = "S"

    def check(self, width: int) -> None: ...
    def canonical(self, width: int, size: tuple[int, int] | None = None) -> Self:
        return self
    def cost(self, width: int, rows: int, cols: int, stride: int) -> list[Layer]:
        return []
    def build(self, width: int, stride: int) -> nn.Module:
        return nn.Identity()


class TestShift(OperatorContract):
    name, operator, width = "shift", Shift, 10
    cases = ({}, {"reach": 2})
    illegal = (({"reach": 0}, 10, "reach must be a whole number"), ({"reach": 1}, 4, "width"))


class TestOwn(ObjectiveContract):
    objective = Objective("own", "maximize")


def sampler(seed: int, facts: Facts) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=facts.shifted_seed(seed))


class TestSampler(SamplerContract):
    factory = staticmethod(sampler)


def pruner(aims: PrunerObjectives, seed: int) -> Pruner:
    return NoPruner()


class Serial:
    def ready(self, context: RunContext) -> AbstractContextManager[None]:
        return nullcontext()

    def drive(self, search: TrialSource, context: RunContext) -> None:
        return


run("digits", trials=1, sampler=sampler, pruner=pruner, resources=Resources(engine=Serial()))
reveal_type(search)
wrong: int = search.front()
run("digits", trials=1, sampler=pruner)
run("digits", trials=1, resources=Resources(engine=3))


class TestWrong(OperatorContract):
    width = "10"
    cases = ({"reach": []},)
"""


@pytest.mark.slow
def test_a_project_that_installed_the_wheel_sees_types(tmp_path):
    site = tmp_path / "env" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    venv.create(tmp_path / "env", with_pip=False)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*pip, "--no-build-isolation", "--target", str(site), str(ROOT)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    others = next(path for path in map(Path, sys.path) if (path / "mypy").is_dir())
    (site / "others.pth").write_text(str(others))
    (tmp_path / "client.py").write_text(CLIENT)
    python = tmp_path / "env" / "bin" / "python"
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python), "client.py"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    said = checked.stdout + checked.stderr
    assert 'Revealed type is "hybrid_search.search.search.Search"' in said, said
    errors_found = [line for line in said.splitlines() if ": error:" in line]
    kinds = [re.search(r"client.py:\d+: error: .*\[([a-z-]+)\]$", line) for line in errors_found]
    # The deliberate ones: a list is no int, a pruner no sampler, 3 no engine, a text no width, and a list no option.
    expected = ["assignment", "arg-type", "arg-type", "assignment", "dict-item"]
    assert [kind and kind[1] for kind in kinds] == expected, said
