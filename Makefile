# `make help` lists the targets. A fresh clone needs Python 3.11 or 3.12, Node 20 or newer, and
# package registries; everything is installed into .venv and node_modules.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PYTHON_STAMP := $(VENV)/.installed
NODE_STAMP := node_modules/.installed
CHECKOV_VENV := .venv-checkov
CHECKOV_STAMP := $(CHECKOV_VENV)/.checkov-3.3.30
# In the local cloud, which never ships: asserts, the demo's own words taken for passwords, seeded
# randomness, and SQL whose only variable part is the name of a table that the code numbered itself.
BANDIT_DEVHOST_SKIP := B101,B105,B311,B608
# Fail early and plainly: azure-functions 1.x ends at 3.12, and the code needs 3.11.
PYTHON_CHECK := import sys; v = sys.version_info[:2]; \
  (3, 11) <= v <= (3, 12) or sys.exit("Python 3.11 or 3.12 is needed, $(PYTHON) is %d.%d;" % v \
  + " name another: make PYTHON=python3.12 ...")

define PARSE_TEMPLATES
from pathlib import Path
from pycep import BicepParser
for path in sorted(Path('bicep').rglob('*.bicep')):
    print('parsing', path)
    BicepParser().parse(text=path.read_text('utf-8'))
endef
export PARSE_TEMPLATES

.DEFAULT_GOAL := help
.PHONY: help demo up emulators test check bench proofs prove infra clean install
.NOTPARALLEL:

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: install ## Run the whole product once on this machine and check every figure
	@$(PY) -m devhost demo

up: install ## Start the local cloud and leave it running until Ctrl-C
	@$(PY) -m devhost up

emulators: install ## Start everything but the Functions host, for `func start`
	@$(PY) -m devhost emulators

test: check ## Run everything that CI runs
	$(PY) -m pytest

check: install ## Run the static checks only
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	$(PY) -m bandit -q -r functions shared function_app.py witness_app.py
	$(PY) -m bandit -q -r devhost --skip $(BANDIT_DEVHOST_SKIP)

proofs: install ## Run the short share of the proofs that is part of the tests
	$(PY) -m pytest tests/proofs

prove: install ## Play 100,000 fault histories, all crash points and all seeded bugs
	@$(PY) -m tests.proofs

# checkov passes over a template that its parser cannot read, so that is asked first.
infra: $(CHECKOV_STAMP) ## Analyse the Bicep templates with checkov, in an environment of its own
	$(CHECKOV_VENV)/bin/python -c "$$PARSE_TEMPLATES"
	$(CHECKOV_VENV)/bin/checkov --config-file bicep/.checkov.yaml

bench: install ## Measure cold start, admission, batches and round trips
	$(PY) -m bench

clean: ## Remove the local cloud's data, the demo's output and the caches
	rm -rf .devhost demo-output bench/results
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .schemathesis

install: $(PYTHON_STAMP) $(NODE_STAMP) ## Install what the targets above need

$(PYTHON_STAMP): requirements.txt requirements-dev.txt constraints.txt
	@$(PYTHON) -c '$(PYTHON_CHECK)'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "Installing the Python packages into $(VENV)"
	@$(PY) -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@

# Not in .venv: it pins versions that contradict ours, and takes 290 MB.
$(CHECKOV_STAMP):
	@$(PYTHON) -m venv $(CHECKOV_VENV)
	@echo "Installing checkov into $(CHECKOV_VENV)"
	@$(CHECKOV_VENV)/bin/python -m pip install --quiet --disable-pip-version-check checkov==3.3.30
	@touch $@

$(NODE_STAMP): package.json package-lock.json
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' && command -v npm > /dev/null \
	  || { echo "Node 20 or newer with npm is needed on the PATH: it runs Azurite."; exit 1; }
	@echo "Installing Azurite into node_modules"
	@npm ci --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@
