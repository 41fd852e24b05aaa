"""The small company whose outages these tests make: its services, teams, ways out and senders."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

SECRET = "s3cret-of-the-hooks"
VENDOR_PASSWORD = "tocsin"

PAGED, TICKETED, TRACKED = "paged", "ticketed", "tracked"
"""First words of services' names: a page with its ticket; a ServiceNow ticket; a Jira issue."""
DESTINATIONS = {PAGED: ("pagerduty", "servicenow"), TICKETED: ("servicenow",), TRACKED: ("jira",)}

MAPPINGS = {
    "teams.yaml": """
        teams:
          platform:
            title: Platform
            owns: ["service:*"]
            destinations:
              servicenow: {assignment_group: Platform}
              pagerduty: {routing_key: main}
              jira: {project: OPS}
          ml:
            title: ML
            owns: ["model:*", "feature:*"]
            destinations: {servicenow: {assignment_group: Machine Learning}}
          data:
            title: Data
            owns: ["dataset:*", "job:*"]
            destinations: {servicenow: {assignment_group: Data Engineering}}
        models:
          fraud-scorer: {features: [amount], version: "17", criticality: critical, risk: high}
          churn-scorer: {version: "1", criticality: high, risk: high}
          churn: {features: [age_days], version: "7", criticality: high}
        features:
          amount: {}
          age_days: {}
        jobs:
          dbt-run-shop: {}
          shop.main.shop.refunds.build.run: {depends_on: [job:dbt-run-shop]}
          build_features: {}
          build_features.load: {depends_on: [job:build_features]}
        datasets:
          orders: {aliases: [shop.main.orders], depends_on: [job:dbt-run-shop]}
          refunds: {aliases: [shop.main.refunds], depends_on: [job:dbt-run-shop]}
          customers: {}
          buyers: {}
        """,
    "hooks.yaml": """
        hooks:
          am: {source: alertmanager, environment: production, secret: {env: E2E_HOOK_SECRET}}
          prometheus: {source: alertmanager, environment: production, secret: {env: E2E_HOOK_SECRET}}
          registry: {source: mlflow, environment: production, secret: {env: E2E_HOOK_SECRET}}
          evidently: {source: evidently, environment: production, secret: {env: E2E_HOOK_SECRET}}
          great-expectations: {source: great_expectations, environment: production, secret: {env: E2E_HOOK_SECRET}}
          dbt: {source: dbt, environment: production, secret: {env: E2E_HOOK_SECRET}}
          lineage: {source: openlineage, environment: production, secret: {env: E2E_HOOK_SECRET}}
          airflow: {source: airflow, environment: production, secret: {env: E2E_HOOK_SECRET}}
        """,
    "connectors.yaml": """
        connectors:
          servicenow: {kind: servicenow, url: {env: E2E_SERVICENOW}, username: admin, max_new_per_hour: 10000,
            password: {env: E2E_VENDOR_PASSWORD}, read_timeout_s: 3, deadline_s: 15}
          pagerduty: {kind: pagerduty, url: {env: E2E_PAGERDUTY}, routing_keys: {main: {env: E2E_ROUTING_KEY}},
            max_new_per_hour: 10000, read_timeout_s: 3}
          jira: {kind: jira, url: {env: E2E_JIRA}, email: admin, api_token: {env: E2E_VENDOR_PASSWORD},
            project: OPS, read_timeout_s: 3, max_new_per_hour: 10000}
        """,
    "policies.yaml": """
        policies:
          catch_all: platform
          defaults: {page: [pagerduty, servicenow], ticket: [servicenow]}
          routes:
            - {name: paged, want: page, when: {subjects: ["service:paged-*"]}}
            - {name: tracked, want: ticket, destinations: [jira], when: {subjects: ["service:tracked-*"]}}
            - {name: everything-else, want: ticket}
        """,
}
TAGS = {"storm": 20, "worker": 5, "wiped": 5, "redis": 5, "frozen": 5, "restart": 5, "away": 5, "beats": 5, "lost": 5,
        "slow": 5, "bombs": 5, "dead": 5, "spool": 5, "stopped": 5}  # fmt: skip
"""Each test's services of each way out: known, and unrelated to one another, so that each is an outage of its own."""


def services(tag: str) -> list[str]:
    """The services that only this test uses, the ways out taking turns."""
    return [f"{way}-{tag}-{number:02d}" for number in range(TAGS[tag]) for way in DESTINATIONS]


def write_mappings(directory: Path) -> None:
    """The company's mapping files."""
    directory.mkdir(mode=0o755, exist_ok=True)
    for name, text in MAPPINGS.items():
        (directory / name).write_text(dedent(text))
    known = "".join(f"  {service}: {{}}\n" for tag in TAGS for service in services(tag))
    (directory / "services.yaml").write_text(f"services:\n{known}")
