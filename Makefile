# Everything that one does with this repository. `make` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
MLFLOW := $(foreach n,2 3,$(VENV)-mlflow$(n)/.ready)
ARGS ?=
JOBS ?= 3

.PHONY: help
help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

# --- set-up -------------------------------------------------------------------------

$(READY): requirements/dev.txt pyproject.toml scripts/setup.sh
	@PYTHON=$(PYTHON) scripts/setup.sh $(VENV)

.PHONY: install-dev
install-dev: $(READY) ## virtual environment with every locked dependency

$(VENV)-mlflow%/.ready: requirements/mlflow%.txt scripts/mlflow.sh
	@PYTHON=$(PYTHON) scripts/mlflow.sh $(VENV)-mlflow$* $<

.PHONY: mlflow
mlflow: $(MLFLOW) ## MLflow servers of two major versions, for the tests that read from one

.PHONY: lock
lock: ## write requirements/*.txt anew from pyproject.toml (needs uv)
	uv pip compile --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --all-extras --group test pyproject.toml -o requirements/dev.txt -q
	uv pip compile --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --all-extras --group build -c requirements/dev.txt pyproject.toml -o requirements/runtime.txt -q
	for n in 2 3; do uv pip compile --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header requirements/mlflow$$n.in -o requirements/mlflow$$n.txt -q; done

# --- see it -------------------------------------------------------------------------

.PHONY: demo
demo: $(READY) ## the whole story on real data, live (ARGS='--exit --report out.json')
	@$(BIN)/trimtab demo $(ARGS)

.PHONY: up
up: $(READY) ## the control plane with its pages, on the data in ./var
	@TRIMTAB_HOME=$${TRIMTAB_HOME:-var} $(BIN)/trimtab serve $(ARGS)

.PHONY: work
work: $(READY) ## the work of an installation on PostgreSQL (ARGS='--role watch'), beside `make up`
	@TRIMTAB_HOME=$${TRIMTAB_HOME:-var} $(BIN)/trimtab work $(ARGS)

.PHONY: dev
dev: $(READY) ## the same, started anew whenever the source changes
	@TRIMTAB_HOME=$${TRIMTAB_HOME:-var} $(BIN)/watchfiles --filter python '$(BIN)/trimtab serve $(ARGS)' src

.PHONY: reset
reset: ## throw the data in ./var away; refused while a control plane runs on it
	@scripts/reset.sh var

.PHONY: db-migrate
db-migrate: $(READY) ## bring the database to the newest schema
	@TRIMTAB_HOME=$${TRIMTAB_HOME:-var} $(BIN)/trimtab migrate

.PHONY: get-dev-token
get-dev-token: $(READY) ## a short-lived token of the local administrator
	@TRIMTAB_HOME=$${TRIMTAB_HOME:-var} $(BIN)/trimtab token

.PHONY: health-check
health-check: $(READY) ## ask the running control plane how it is
	@$(BIN)/trimtab health $(ARGS)

# --- is it right? -------------------------------------------------------------------

.PHONY: check
check: $(READY) ## format, lint, types, contracts
	$(BIN)/ruff format --check src tests benchmarks scripts
	$(BIN)/ruff check src tests benchmarks scripts
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: lint
lint: check ## the same as check

.PHONY: format
format: $(READY) ## put the source into its one form
	$(BIN)/ruff check --fix-only -q src tests benchmarks scripts
	$(BIN)/ruff format src tests benchmarks scripts

.PHONY: browser
browser: $(READY) ## make sure of the Chromium that the tests of the pages drive
	@scripts/browser.sh

# What decides, measures or waits in the database itself, and one whole story in processes.
ON_BOTH := $(addprefix tests/,approvals checks diagnosis identity incidents monitoring \
  observations registry rollouts remediation retraining workflows worker audit \
  journeys/test_first_window.py)

.PHONY: test
test: $(READY) $(MLFLOW) browser ## every test on SQLite; those of the records on PostgreSQL too
	$(BIN)/pytest -q -n $(JOBS) --dist worksteal $(ARGS)
	$(if $(ARGS),,@$(MAKE) --no-print-directory test-records)

.PHONY: test-records
test-records: $(READY) ## the tests of the records, on PostgreSQL
	TRIMTAB_TEST_DATABASE=postgresql $(BIN)/pytest -q -n $(JOBS) --dist worksteal \
	  -m "on_both or not (slow or chaos or either)" $(ON_BOTH)

.PHONY: test-postgresql
test-postgresql: $(READY) $(MLFLOW) browser ## every test on PostgreSQL
	TRIMTAB_TEST_DATABASE=postgresql $(BIN)/pytest -q -n $(JOBS) --dist worksteal $(ARGS)

.PHONY: test-fast
test-fast: $(READY) ## the tests that take no seconds; under two minutes
	$(BIN)/pytest -q -n $(JOBS) --dist worksteal -m "not slow and not chaos" $(ARGS)

.PHONY: bench
bench: $(READY) ## figures beside this machine's own floor
	@$(BIN)/python -m benchmarks $(ARGS)

PEERS ?= .peers

.PHONY: bench-drift
bench-drift: $(READY) ## drift beside other programs, as a table and a picture (PEERS=FOLDER, see benchmarks/peers/setup.sh)
	@$(BIN)/python -m benchmarks.drift_peers --peers $(PEERS) $(ARGS)

KILLS := tests/chaos/test_kill_every_step.py

.PHONY: chaos
chaos: $(READY) ## kill every step for real on both databases, 10,000 seeds, the other long campaigns
	$(BIN)/pytest -q -m chaos $(ARGS)
	$(if $(ARGS),,TRIMTAB_TEST_DATABASE=postgresql $(BIN)/pytest -q -m chaos $(KILLS))
