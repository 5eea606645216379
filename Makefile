# make demo: everything, on a simulated genome.  make test: the test suite.  make docs: the documentation.  make test-docs: its examples.
# make setup: install into .venv.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Two workers, each with whole files: their fixtures train networks. Long files come first (tests/conftest.py).
PYTEST_ARGS ?= -n 2 --dist loadfile --no-loadscope-reorder
DURATIONS := --durations=20

.PHONY: setup demo test test-unit test-docs docs lint format clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "capsight needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

demo: setup
	$(BIN)/capsight run demo -o demo

test: setup
	$(BIN)/python -m pytest $(PYTEST_ARGS) $(DURATIONS) -m 'not docs'

test-unit: setup
	$(BIN)/python -m pytest $(PYTEST_ARGS) $(DURATIONS) -m 'not pipeline and not real and not docs'

# Pages share nothing, so any process takes the next.
test-docs: setup
	$(BIN)/python -m pytest -n 2 tests/test_docs.py tests/test_doc_blocks.py

docs: setup
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python -m sphinx -b html -W --keep-going -q docs build/docs
	@echo "build/docs/index.html"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf demo build dist .pytest_cache .mypy_cache .ruff_cache
