# raynas: every target installs what it needs into .venv from requirements.lock first; a second call installs nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help install demo test test-spaces bench check format truth lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP)  ## make .venv from the lock

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "raynas needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --config-settings editable_mode=compat -e .
	@touch $(STAMP)

demo: install  ## the first search: two to three minutes on two cores
	$(BIN)/raynas run experiments/quickstart.yaml

test: install  ## all tests, the fast ones first and side by side
	$(BIN)/pytest -m "not ray" --numprocesses auto --maxprocesses 8 --dist loadfile
	$(BIN)/pytest -m ray

test-spaces: install  ## search every space once (a quarter of an hour; needs the raw files, see experiments/prepare_data.py)
	$(BIN)/python experiments/prepare_data.py
	$(BIN)/python experiments/run_spaces.py

bench: install  ## time everything against bare networks, write benchmarks/results and the README's tables (half an hour)
	for name in step kernels scoring methods not_taken sweep; do $(BIN)/python benchmarks/$$name.py --out benchmarks/results/$$name.json || exit; done
	$(BIN)/python benchmarks/prefix.py --full --out benchmarks/results/prefix.json
	$(BIN)/python benchmarks/orchestration.py --out benchmarks/results/orchestration.json
	$(BIN)/python benchmarks/table.py

check: install  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install  ## let ruff fix what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

truth: install  ## build the shipped truth table anew (half an hour on two cores)
	$(BIN)/raynas truth build digits201

lock: install  ## write requirements.lock from what is installed
	$(BIN)/pip freeze --exclude-editable | sed 's/+cpu$$//' > requirements.lock

clean:  ## remove .venv and caches, keep runs/
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
