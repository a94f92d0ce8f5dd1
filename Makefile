# Atomos: every task of a developer. `make` alone prints this help.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(VENV)/.installed-run
DEV    := $(VENV)/.installed-dev
XDIST  ?= -n 2

# Tests start many processes; without bytecode each of them compiles the whole framework anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run dev test test-all check format lint types contracts faults fuzz bench lock clean

help: ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(RUN) ## set everything up and serve on http://127.0.0.1:8000 (SQLite, one process)
	@$(BIN)/atomos run

dev: $(DEV) ## serve with reloader and debugger (`make dev SQL=1` prints every statement)
	@$(BIN)/atomos run --dev $(if $(SQL),--sql)

QUICK := not services and not slow
OTHER := services or slow or hypothesis
BROKERS := src/atomos/core/adapters/messaging
SERVERS := $(BROKERS)/nats*,$(BROKERS)/rabbitmq/*,$(BROKERS)/redis*
APART := tests/architecture tests/typing tests/e2e tests/faults

test: $(DEV) ## what needs no service and no patience: not the faults, nor what is marked `slow`
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(XDIST) -m "$(QUICK)" $(APART:%=--ignore %)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --omit "$(SERVERS)"
	$(BIN)/pytest $(XDIST) -m "$(QUICK)" tests/architecture tests/typing tests/e2e

test-all: $(DEV) ## the rest: services (PostgreSQL: ATOMOS_TEST_POSTGRES_URL), `slow`, faults, many examples, a browser
	.ci/browser
	.ci/schemas
	ATOMOS_TEST_EXAMPLES=long $(BIN)/pytest $(XDIST) -m "$(OTHER)" $(APART:%=--ignore %) --ignore tests/integration/brokers
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(XDIST) tests/integration/brokers tests/unit/core/test_nats_names.py tests/unit/core/test_rabbitmq.py
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --include "$(SERVERS)"
	$(BIN)/pytest $(XDIST) --dist load -m "$(OTHER)" tests/e2e
	$(BIN)/pytest $(XDIST) --dist load tests/faults

check: format lint types contracts test test-all ## all that CI runs

format: $(DEV) ## is every file formatted?
	$(BIN)/ruff format --check .

lint: $(DEV) ## ruff
	$(BIN)/ruff check .

types: $(DEV) ## mypy strict, pyright
	$(BIN)/mypy
	$(BIN)/pyright --warnings

contracts: $(DEV) ## who may import whom (setup.cfg)
	$(BIN)/lint-imports --config setup.cfg

faults: $(DEV) ## the long form of the faults, then a thousand kills by a seed (SEED=7) on each database
	ATOMOS_TEST_FAULTS=long $(BIN)/pytest $(XDIST) --dist load tests/faults tests/integration/test_flow_faults.py
	$(BIN)/atomos faults --kills 1000 $(if $(SEED),--seed $(SEED))
	$(BIN)/atomos faults --kills 1000 $(if $(SEED),--seed $(SEED)) --database $${ATOMOS_TEST_POSTGRES_URL:-postgresql://postgres@127.0.0.1:5432/postgres}

fuzz: $(DEV) ## 20,000 requests of schemathesis and more, against a real service (SEED=7)
	ATOMOS_TEST_FUZZ=long $(if $(SEED),ATOMOS_TEST_FUZZ_SEED=$(SEED)) $(BIN)/pytest -s tests/e2e/test_schemathesis.py

bench: $(DEV) ## measure against peers, side by side (installs them into .venv-bench)
	$(PYTHON) benchmarks/run.py

SERVED := nats oidc rabbitmq redis
lock: ## resolve the lock files again
	$(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/pip -q install uv
	$(VENV)-lock/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $(SERVED:%=--extra %) -o requirements.lock pyproject.toml
	$(VENV)-lock/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev -o requirements-dev.lock pyproject.toml

clean: ## remove the environment, caches and the embedded database
	rm -rf $(VENV) $(VENV)-lock $(VENV)-bench var .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(RUN): requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/pip install -q --require-hashes -r requirements.lock
	$(BIN)/pip install -q --no-deps -e .
	@touch $@

$(DEV): requirements-dev.lock pyproject.toml | $(BIN)/python
	$(BIN)/pip install -q --require-hashes -r requirements-dev.lock
	$(BIN)/pip install -q --no-deps -e .
	@touch $@ $(RUN)
