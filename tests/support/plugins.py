"""Packages with entry points for one test: a folder with a module and its metadata, put first on the import path."""

import contextlib
import sys


@contextlib.contextmanager
def installed(tmp_path, monkeypatch, table, name, source, package="other_package"):
    """Install `source` as the module of a package that adds `Thing` to the table under `name`."""
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / f"{package}.py").write_text(source)
    info = tmp_path / f"{package}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[{table.group}]\n{name} = {package}:Thing\n")
    monkeypatch.syspath_prepend(tmp_path)
    table.__dict__.pop("_points", None)
    try:
        yield
    finally:
        table.__dict__.pop("_points", None)
        table._loaded.pop(name, None)
        table._reported.discard(name)
        sys.modules.pop(package, None)
