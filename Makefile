.DEFAULT_GOAL := help
PYTHON ?= python3.11
BIN := .venv/bin
UV_VERSION := 0.13.8
MLFLOW_VERSION := 3.17.2
JUDGES_NPM := @stoplight/prism-cli@5.14.2 @atlaskit/adf-schema@57.7.22 jira.js@6.2.0
JUDGES_PYPI := pysnc==1.2.1 pagerduty==7.2.0 jira==3.10.5 atlassian-python-api==5.0.5 schemathesis==4.32.5
# Real senders, each in a .venv-NAME of its own; what they bring along is as it stood on that day.
SENDERS_AS_OF := 2026-11-15
SENDER_evidently := evidently==0.7.23 pandas==2.3.3
SENDER_gx := great-expectations==1.24.1
SENDER_gx0 := great-expectations==0.18.22
SENDER_dbt := dbt-core==1.11.16 dbt-duckdb==1.10.1 openlineage-dbt==1.54.0
SENDER_airflow := apache-airflow==3.3.2 apache-airflow-providers-openlineage==2.20.3 apache-airflow-providers-standard==1.21.0
define sender
@echo "$(SENDER_$(1))" | cmp -s - .venv-$(1)/wanted || { $(BIN)/uv venv --quiet --clear --python $(PYTHON) .venv-$(1) && $(BIN)/uv pip install \
  --quiet --exclude-newer $(SENDERS_AS_OF) --python .venv-$(1)/bin/python $(SENDER_$(1)) && \
  echo "$(SENDER_$(1))" > .venv-$(1)/wanted; } || echo "$(1) could not be installed; its test is skipped"
endef

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
	$(BIN)/pytest -q --ignore=tests/judges

test-e2e: install ## only the tests that start real processes (TOCSIN_LONG=1: outages of minutes, 20 runs)
	$(BIN)/pytest -q -s tests/e2e

judges: install ## fetch the outsiders that judge us: real senders, vendors' clients, schema validators; never fails
	@test -x .venv-judges/bin/mlflow || { $(PYTHON) -m venv .venv-judges && .venv-judges/bin/pip install --quiet \
	  --disable-pip-version-check mlflow==$(MLFLOW_VERSION); } || echo "MLflow could not be installed; its test is skipped"
	@test -x .venv-clients/bin/schemathesis || { $(PYTHON) -m venv .venv-clients && .venv-clients/bin/pip install --quiet \
	  --disable-pip-version-check $(JUDGES_PYPI) pytest; } || echo "Vendors' clients could not be installed; their tests are skipped"
	@test -d node_modules/jira.js || { command -v npm >/dev/null && npm install --silent --no-save --no-audit --no-fund \
	  $(JUDGES_NPM) >/dev/null; } || echo "npm packages could not be installed; the tests with Prism, jira.js and the ADF schema are skipped"
	@{ command -v prometheus && command -v prometheus-alertmanager; } >/dev/null || { test "$$(id -u)" = 0 && \
	  command -v apt-get >/dev/null && apt-get update -qq && apt-get install -qq -y --no-install-recommends prometheus prometheus-alertmanager \
	  >/dev/null; } || echo "Install prometheus and prometheus-alertmanager for their test (apt-get install, as root)"
	$(call sender,evidently)
	$(call sender,gx)
	$(call sender,gx0)
	$(call sender,dbt)
	$(call sender,airflow)

test-judges: install ## our simulators and connectors before the outsiders that `make judges` fetched
	$(BIN)/pytest -q tests/judges

ONCE ?=
demo: install ## watch realistic outages arrive and read the incidents (ONCE=1 ends by itself)
	$(BIN)/tocsin demo $(if $(ONCE),--once)

bench: install ## receiver, end to end, storm and memory, beside Alerta
	$(BIN)/python -m benchmarks.run

SCHEDULES ?= 100
SEED ?= 1
chaos: install ## fault schedules per vendor: SCHEDULES=1000 SEED=1 VENDOR=jira GUARDS=1 PROCESSES=36 STORM=5000
	$(BIN)/python -m benchmarks.chaos --schedules $(SCHEDULES) --seed $(SEED) $(if $(VENDOR),--vendor $(VENDOR)) \
	  $(if $(GUARDS),--guards) $(if $(PROCESSES),--processes $(PROCESSES)) $(if $(STORM),--storm $(STORM))

attribution: install ## rules, the product and the ceiling on generated worlds with known causes (takes 10 minutes)
	$(BIN)/python -m benchmarks.attribution

stream: install ## grouping and pages on streams of alerts, beside rules and ceilings: SEEDS=8 FIRST=401 DAYS=5 CAUSES=1
	$(BIN)/python -m benchmarks.stream --seeds $(or $(SEEDS),8) --from $(or $(FIRST),401) $(if $(DAYS),--days $(DAYS)) $(if $(CAUSES),--causes)

corpus: install ## every real body of ../shared/payloads against its golden facts, and mutilated copies of it
	$(BIN)/python -m benchmarks.corpus $(if $(ACCEPT),--accept)

.PHONY: help install format check test test-e2e test-judges judges demo bench attribution stream corpus chaos
