# make reproduce: the main job on the default parameters; make test: the test suite.
# Both set up what they need the first time.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup reproduce bench soak test test-fast lint check format lock

help:
	@echo "make reproduce  data, pretraining, evaluation, tables and figures of params.yaml"
	@echo "make bench      speed and memory beside a textbook implementation: results/benchmarks.md"
	@echo "make soak       a training killed at random, and disturbed on SLURM: results/soak*.md"
	@echo "make test       the test suite, two tests at a time (WORKERS=2)"
	@echo "make test-fast  the tests of a few seconds: without SLURM, browser and workflow"
	@echo "make lint       style, types, layers, workflow"
	@echo "make check      test and lint: what CI runs"
	@echo "make format     rewrite the sources in the project's style"
	@echo "make lock       renew requirements.txt and requirements-dev.txt"

# ---- set-up: again only when a lock file or the project's metadata changed

setup: $(VENV)/installed

$(VENV)/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@echo "--- installing the locked packages into $(VENV) (some minutes, about 6 GB)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.txt
	@echo "--- installing the packages of the tests"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# ---- the main job

reproduce: setup
	@echo "--- computing what is not up to date: snakemake decides"
	@snakemake
	@echo "--- results/report.html, results/summary.json, results/tables, results/figures"

# ---- speed and memory; one part alone: make bench NAMES=update

bench: setup
	@python -m benchmarks $(NAMES)

# ---- faults

soak: $(VENV)/installed-dev
	@python -m soak
	@python -m soak.on_slurm

# ---- checks

WORKERS ?= 2

test: $(VENV)/installed-dev
	pytest -n $(WORKERS)

test-fast: $(VENV)/installed-dev
	pytest -n $(WORKERS) -m "not slow"

# no cache: which imports are our own depends on the folders here, which the cache does not see
lint: $(VENV)/installed-dev
	ruff check --no-cache
	ruff format --check
	mypy
	lint-imports
	snakefmt --check Snakefile workflow
	python workflow/lint.py

check: lint test

format: $(VENV)/installed-dev
	ruff check --fix-only
	ruff format
	snakefmt Snakefile workflow

# The locks name versions only: where packages come from is the user's configuration.
lock: $(VENV)/installed-dev
	pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--no-header --output-file requirements.txt pyproject.toml
	pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--no-header --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml
