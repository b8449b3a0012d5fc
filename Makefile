# `make demo` and `make test` work on a fresh machine; the environment is made once in .venv.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
ENV := $(VENV)/.complete

.PHONY: demo test lint check format env clean

demo: $(ENV)            ## the main job on the embedded demo suite
	$(BIN)/python -m benchmarks.run --workers 2

test: $(ENV)            ## the tests
	$(BIN)/python -m pytest -n auto

lint: $(ENV)            ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test        ## format, lint, types, tests

format: $(ENV)          ## mend format and what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

env: $(ENV)             ## the environment alone

# torch comes first: a plain wheel, where a range could bring gigabytes of CUDA packages.
# matbench pins versions that Python 3.11 cannot have, so it is installed last and alone.
$(ENV): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(BIN)/python -m pip install --quiet --no-deps matbench==0.6
	touch $(ENV)

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis docs/_build
