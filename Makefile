# Two commands set up everything they need: `make run` (a first search) and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt
TRIALS ?= 32

# Packages are installed without bytecode and compiled at their first import. If bytecode may not be written, every
# process compiles torch again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test slow fuzz faults formats check docs page front pictures wheel clean

run: $(VENV)/.run  ## search the digits space, 32 trials on Ray workers, and print the front; run again to continue
	$(BIN)/hybrid-search run digits --trials $(TRIALS)

page: $(VENV)/.run  ## the live page over the same database
	$(BIN)/hybrid-search dashboard

front: $(VENV)/.run
	$(BIN)/hybrid-search front

test: $(VENV)/.test  ## every test but the slow ones and the long ones of faults, three files at a time
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

slow: $(VENV)/.test  ## the slow tests: documentation, recorded results, installed packages
	$(BIN)/python -m pytest -n 3 --dist loadgroup -m slow

fuzz: $(VENV)/.test  ## 20,000 wrong space files, exports, data files and 10,000 passwords
	$(BIN)/python -m pytest -n 2 -m fuzz

faults: $(VENV)/.test  ## the long tests of kills, full disks and corrupt files
	$(BIN)/python -m pytest -m faults

formats:  ## the formats openvino, litert and executorch, in an environment of their own (3 GB)
	test -x .venv-formats/bin/python || $(PYTHON) -m venv .venv-formats
	.venv-formats/bin/python -m pip install --quiet --no-compile torch==2.13.0 --editable ".[all,test,openvino,litert,executorch]"
	.venv-formats/bin/python -m pytest -W ignore -m formats

check: $(VENV)/.test  ## format, lint, types, documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir build/site

docs: $(VENV)/.test  ## the documentation site on http://localhost:8000, rebuilt as files change
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

pictures: $(VENV)/.test  ## the README's pictures and table, from the newest search
	$(BIN)/python docs/pictures.py

wheel: $(VENV)/.run
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

# One stamp file for each set of packages, so make does not call pip if they are installed.
$(VENV)/.run: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable ".[all]"
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(PIP) --editable ".[all,test,dev,docs]"
	touch $@

clean:
	rm -rf $(VENV) build dist
