.DEFAULT_GOAL := help
PYTHON ?= python3.11
BIN := .venv/bin
UV_VERSION := 0.13.8
MLFLOW_VERSION := 3.17.2

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

.venv/.ready: pyproject.toml uv.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv sync --frozen --quiet --python $(BIN)/python
	@$(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

install: .venv/.ready ## build .venv with everything pinned in uv.lock

format: install ## rewrite the code in house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: install ## format, lint, strict types, layer contracts, generated docs fresh
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/tocsin schema --check
	$(BIN)/tocsin reference --check

test: install ## the whole test suite
	$(BIN)/pytest -q

test-e2e: install ## only the tests that start real processes (TOCSIN_LONG=1: outages of minutes, 20 runs)
	$(BIN)/pytest -q -s tests/e2e

judges: ## fetch the real senders that some tests ask for (else they are skipped); never fails
	@test -x .venv-judges/bin/mlflow || { $(PYTHON) -m venv .venv-judges && .venv-judges/bin/pip install --quiet \
	  --disable-pip-version-check mlflow==$(MLFLOW_VERSION); } || echo "MLflow could not be installed; its test is skipped"
	@{ command -v prometheus && command -v prometheus-alertmanager; } >/dev/null || { test "$$(id -u)" = 0 && \
	  command -v apt-get >/dev/null && apt-get update -qq && apt-get install -qq -y --no-install-recommends prometheus prometheus-alertmanager \
	  >/dev/null; } || echo "Install prometheus and prometheus-alertmanager for their test (apt-get install, as root)"

ONCE ?=
demo: install ## watch realistic outages arrive and read the incidents (ONCE=1 ends by itself)
	$(BIN)/tocsin demo $(if $(ONCE),--once)

bench: install ## receiver, end to end, storm and memory, beside Alerta
	$(BIN)/python -m benchmarks.run

.PHONY: help install format check test test-e2e judges demo bench
