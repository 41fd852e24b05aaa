"""A whole Tocsin in one process, on a real database: post messages, settle, look at what came out."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import orjson
import uuid_utils.compat

from tocsin import pipeline
from tocsin.bootstrap import App
from tocsin.config.settings import Settings
from tocsin.delivery import Couriers, deliver
from tocsin.store import decisions, reading
from tocsin.store.arrivals import Arrival, Writer
from tocsin.store.database import rows, run

MAPPINGS = {
    "teams.yaml": """
        teams:
          platform:
            title: Platform
            owns: ["service:*", "host:*"]
            destinations: {out: {assignment_group: Platform}}
          data:
            title: Data Engineering
            owns: ["job:*", "dataset:*", "feature:*"]
            destinations: {out: {assignment_group: Data Engineering}}
          ml:
            title: ML
            owns: ["model:*"]
            destinations: {out: {assignment_group: ML}}
        services:
          checkout: {depends_on: ["service:payments"], criticality: critical, kpi: orders per minute}
          payments: {}
          search: {}
          churn-api: {depends_on: ["model:churn"], business_service: Customer Retention}
        jobs:
          ingest-orders: {}
        datasets:
          warehouse.orders: {depends_on: ["job:ingest-orders"]}
        features:
          order_count: {depends_on: ["dataset:warehouse.orders"]}
          order_total: {depends_on: ["dataset:warehouse.orders"]}
        models:
          churn: {features: [order_count, order_total], version: "4.2", previous_version: "4.1"}
        """,
    "policies.yaml": """
        hooks:
          am: {source: alertmanager, environment: production, unverified: true}
          gh: {source: github, environment: production, unverified: true}
          staging: {source: alertmanager, environment: staging, unverified: true}
        connectors:
          out: {kind: console, path: OUT}
        policies:
          catch_all: platform
          defaults: {page: [out], ticket: [out]}
          routes:
            - {name: critical-pages, want: page, when: {severity: critical}}
            - {name: warnings-ticket, want: ticket, when: {severity: warning}}
        """,
}


class World:
    """Given these mappings; when these are posted; then these incidents, records and audit lines."""

    def __init__(self, url: str, directory: Path, mappings: Mapping[str, str] = MAPPINGS) -> None:
        self.out = directory / "out.txt"
        tree = directory / "mappings"
        tree.mkdir(exist_ok=True)
        for name, text in mappings.items():
            (tree / name).write_text(dedent(text).replace("OUT", str(self.out)))
        settings = Settings(
            database_url=url,
            redis_url=f"unix://{directory}/nowhere.sock",
            data_key=base64.b64encode(bytes(32)).decode(),
            api_token="token",
            data_dir=directory,
            mappings_dir=tree,
        )
        self.app = App(settings, env=dict(os.environ))
        self.app.apply(tree, actor="test")
        self._writer = Writer(url)
        self._couriers = Couriers(app=self.app)
        self.start = datetime.now(UTC) - timedelta(minutes=30)

    def close(self) -> None:
        self._writer.close()
        self.app.database.close()

    def at(self, minutes: float) -> datetime:
        return self.start + timedelta(minutes=minutes)

    def post(self, hook: str, body: object, *, minutes: float, headers: Mapping[str, str] | None = None) -> None:
        """A message that arrived `minutes` after the world's start."""
        declared = self.app.active().mappings.hooks[hook]
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        self._writer.write(
            Arrival(
                id=uuid_utils.compat.uuid7(),
                received_at=self.at(minutes),
                hook=hook,
                source=declared.source,
                environment=declared.environment,
                headers=dict(headers or {}),
                query={},
                body=self.app.seal.seal(raw),
            )
        )

    def alert(self, name: str, *, minutes: float, resolved: bool = False, hook: str = "am", **labels: str) -> None:
        """An Alertmanager notification of one alert that began at `minutes` (or ended then)."""
        starts = self.at(minutes if not resolved else minutes - 10).isoformat()
        ends = self.at(minutes).isoformat() if resolved else "0001-01-01T00:00:00Z"
        status = "resolved" if resolved else "firing"
        one = {
            "status": status,
            "labels": {"alertname": name, "severity": "critical", **labels},
            "annotations": {"summary": f"{name} of {labels}"},
            "startsAt": starts,
            "endsAt": ends,
            "generatorURL": "http://prometheus.example/graph",
        }
        body = {"version": "4", "groupKey": "{}", "status": status, "receiver": "tocsin", "alerts": [one]}
        self.post(hook, {**body, "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}}, minutes=minutes)

    def deploy(self, service: str, *, minutes: float, deployment: int = 1) -> None:
        """A successful GitHub deployment."""
        at = self.at(minutes).strftime("%Y-%m-%dT%H:%M:%SZ")
        person = {"login": "kim"}
        body = {
            "action": "created",
            "deployment_status": {"id": 1, "state": "success", "created_at": at, "updated_at": at, "creator": person,
                                  "environment": "production", "target_url": "https://ci.example/1"},
            "deployment": {"id": deployment, "sha": "a" * 40, "ref": "main", "environment": "production",
                           "created_at": at, "updated_at": at, "creator": person, "payload": {}},
            "repository": {"name": service, "full_name": f"shop/{service}", "html_url": f"https://git.example/{service}"},
            "sender": person,
        }  # fmt: skip
        self.post("gh", body, minutes=minutes, headers={"x-github-event": "deployment_status"})

    def settle(self, *, send: bool = True) -> None:
        """Run every step until nothing is due."""
        for _ in range(50):
            moved = bool(pipeline.understand(self.app))
            for environment in decisions.environments_due(self.app.database):
                moved |= bool(pipeline.decide(self.app, environment))
            for environment in pipeline.attribute(self.app):
                moved |= bool(pipeline.decide(self.app, environment))
            if send:
                moved |= bool(deliver(self.app, self._couriers))
            if not moved:
                return
        raise AssertionError("it does not settle")

    def sql(self, query: str, **values: object) -> list[dict[str, Any]]:
        with self.app.database.transaction() as connection:
            return [dict(row._mapping) for row in rows(connection, query, **values)]

    def do(self, statement: str) -> None:
        with self.app.database.transaction() as connection:
            run(connection, statement)

    def incidents(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return sorted(reading.incident_list(self.app.database), key=lambda i: int(i["number"]))

    def audit(self, action: str) -> list[str]:
        """Reasons of these audit lines, in order."""
        return [row["reason"] for row in self.sql("SELECT reason FROM audit WHERE action = :a ORDER BY id", a=action)]
