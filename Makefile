# Two commands for people: `make run` (three labs on a living model) and `make test` (every check there is).
# `make check` is that list of checks; nothing else holds one.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-test
CODE := src tests training benchmarks docs

.PHONY: run test check fix docs bench clean

run: $(STAMP)
	@$(BIN)/invivo quickstart

test: $(TEST_STAMP)
	@$(MAKE) --no-print-directory check

check: $(TEST_STAMP)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/pytest

fix: $(TEST_STAMP)
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)
	$(BIN)/python docs/generate.py

docs: $(TEST_STAMP)
	$(BIN)/python docs/generate.py

bench: $(STAMP)
	$(BIN)/python benchmarks/pair.py
	$(BIN)/python benchmarks/start.py
	$(BIN)/python benchmarks/capture.py

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "error: Python 3.11 or newer is needed" >&2; \
	    echo "hint: install it, then: make run PYTHON=python3.11" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "error: $(PYTHON) cannot make a virtual environment" >&2; \
	    echo "hint: on Debian and Ubuntu: apt install python3-venv" >&2; rm -rf $(VENV); exit 2; }

$(STAMP): $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing invivo and its libraries into $(VENV) (a few minutes the first time) …" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(TEST_STAMP): $(STAMP)
	@echo "Installing what the checks need …" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
