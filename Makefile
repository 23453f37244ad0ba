# Two commands for people: `make run` (three labs on a living model) and `make test` (every check there is).
# `make check` is that list of checks; nothing else holds one.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-test
CODE := src tests training benchmarks docs page
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# A torch that somebody put into .venv, say for a GPU, stays; pip still sees to it that it is new enough.
PINS = $$($(BIN)/python -c 'import importlib.metadata as m; m.version("torch")' 2>/dev/null || echo -c constraints.txt)
# Not empty where .venv has to be made again: its interpreter is gone; or where this package has moved since.
DEAD := $(shell $(BIN)/python -c '' >/dev/null 2>&1 || echo dead)
LOST := $(if $(wildcard $(STAMP)),$(shell $(BIN)/python -c 'import invivo' >/dev/null 2>&1 || echo lost))

.PHONY: run test check fix docs page bench bench-peers clean again

run: $(STAMP)
	@$(BIN)/python -m invivo quickstart

test: $(TEST_STAMP)
	@$(MAKE) --no-print-directory check

check: $(TEST_STAMP)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadgroup

fix: $(TEST_STAMP)
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)
	$(BIN)/python docs/generate.py

# The pages first: what is generated names those that there are. Labs whose page is fresh are not run again.
docs: $(TEST_STAMP)
	$(BIN)/python docs/lab_pages.py
	$(BIN)/python docs/families.py
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html"

page:
	cd page && npm install --no-audit --no-fund && npm run check && npm run build

bench: $(STAMP)
	$(BIN)/python benchmarks/pair.py
	$(BIN)/python benchmarks/start.py
	$(BIN)/python benchmarks/capture.py

bench-peers: $(PEERS)/.installed
	$(PEERS)/bin/python benchmarks/causal.py

again:

$(VENV)/bin/python: $(if $(DEAD),again)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "error: Python 3.11 or newer is needed" >&2; \
	    echo "hint: install it, then: make run PYTHON=python3.11" >&2; exit 2; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "error: $(PYTHON) cannot make a virtual environment" >&2; \
	    echo "hint: on Debian and Ubuntu: apt install python3-venv" >&2; rm -rf $(VENV); exit 2; }

$(STAMP): $(VENV)/bin/python pyproject.toml constraints.txt $(if $(LOST),again)
	@echo "Installing invivo and its libraries into $(VENV) (a few minutes the first time) …" >&2
	@$(PIP) $(PINS) -e .
	@touch $@

$(TEST_STAMP): $(STAMP)
	@echo "Installing what the checks need …" >&2
	@$(PIP) $(PINS) -e '.[test,docs]'
	@touch $@

# torch first and by itself: the peers would let pip choose one.
$(PEERS)/.installed: benchmarks/peers.txt pyproject.toml constraints.txt
	@echo "Installing invivo and its peers into $(PEERS) …" >&2
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  -r benchmarks/peers.txt -e .
	@touch $@

clean:
	rm -rf $(VENV) $(PEERS) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
