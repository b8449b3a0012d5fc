# `make demo` and `make test` work on a fresh machine; the environment is created once, in .venv.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
ENV := $(VENV)/.complete

.PHONY: demo test quick lint check format env clean

demo: $(ENV)            ## run the demo suite
	$(BIN)/python -m benchmarks.run --workers 2

test: $(ENV)            ## the tests
	$(BIN)/python -m pytest -n auto --dist loadgroup

quick: $(ENV)           ## the tests that are not marked slow
	$(BIN)/python -m pytest -n auto --dist loadgroup -m "not slow"

lint: $(ENV)            ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test        ## format, lint, types, tests

format: $(ENV)          ## format, and fix what lint can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

env: $(ENV)             ## create the environment only

# torch is installed first, as constrained: a plain wheel, whereas a range could bring gigabytes of CUDA packages.
# matbench pins versions that do not exist for Python 3.11, so it is installed last and without its dependencies.
$(ENV): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(BIN)/python -m pip install --quiet --no-deps matbench==0.6
	touch $(ENV)

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis docs/_build
