.DEFAULT_GOAL := help
PYTHON ?= python3.11
BIN := .venv/bin
UV_VERSION := 0.13.8

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

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

ONCE ?=
demo: install ## watch realistic outages arrive and read the incidents (ONCE=1 ends by itself)
	$(BIN)/tocsin demo $(if $(ONCE),--once)

bench: install ## receiver, end to end, storm and memory, beside Alerta
	$(BIN)/python -m benchmarks.run

.PHONY: help install format check test demo bench
