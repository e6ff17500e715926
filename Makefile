# One command each. Everything is installed into .venv, nothing outside this folder is changed.

SHELL := /bin/sh
# Where it is set, each of the processes that the demo and the tests start compiles the whole package anew, a second or more.
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# The first interpreter that is new enough; `make run PYTHON=/path/to/python` chooses another.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then echo $$name; break; fi; done)

.PHONY: run test lint audit bench clean

run: .venv/installed-to-run ## start everything on this machine and say where it is
	@exec $(BIN)/capillary-adobe demo

# More than a small machine has cores: many tests wait for a server most of their time. One file stays with one worker, and
# files in their order: the longest have the fewest tests, and once met each other at the end, seven programs a core.
WORKERS ?= 3

test: .venv/installed-to-develop ## the tests; `make test WORKERS=0` runs one after another
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: .venv/installed-to-develop ## style, format and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/pyright

audit: .venv/installed-to-develop ## the pinned dependencies against known vulnerabilities
	@$(BIN)/python .ci/audit.py

bench: .venv/installed-to-develop ## the figures of the road, measured on this machine
	@$(BIN)/python -m bench.road
	@$(BIN)/python -m bench.mapping_forms
	@$(BIN)/python -m bench.batch_forms
	@$(BIN)/python -m bench.soak
	@$(BIN)/python -m bench.quota
	@$(BIN)/python -m bench.receiver --minutes-of-memory 1
	@$(BIN)/python -m bench.profiles 5000
	@$(BIN)/python -m bench.customers --customers 200000 --updates 20000
	@$(BIN)/python -m bench.history_import --megabytes 100 --double
	@$(BIN)/python -m bench.history --events 50000 --customers 3000 --days 30
	@$(BIN)/python -m bench.backfill --days 30 --before 60 --rate 2
	@$(BIN)/python -m bench.celery --days 20 --single-days 12
	@$(BIN)/python -m bench.ninety_days --days 18 --runs 24 --keep-days 5
	@$(BIN)/python -m bench.lookups --events 1000 --customers 300 --per-batch 50 --seconds 120 --outage 40 --calls 300 --speed 4

clean: ## remove what can be made again; .data stays, it may hold landed events
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Python 3.11 or newer is needed and not found. Install it, or name it: make run PYTHON=/path/to/python3" >&2; exit 1; fi
	@echo "Setting up .venv with $(PYTHON) …"
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo "$(PYTHON) cannot make a virtual environment. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

# Stamps: installed again only when what is to be installed has changed.
.venv/installed-to-run: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing, a minute or two the first time …"
	@$(PIP) -e .
	@touch $@

.venv/installed-to-develop: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing, with what the tests need, a minute or two the first time …"
	@$(PIP) -e '.[dev]'
	@touch $@
