"""A world of data pipelines whose mappings name a dataset and a model, and nothing of what rests on what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.pipeline.world import MAPPINGS, World
from tocsin.decide.lineage import hour_of

BARE = MAPPINGS | {
    "teams.yaml": """
        teams:
          platform: {title: Platform, owns: ["service:*"], destinations: {out: {}}}
          data: {title: Data Engineering, owns: ["job:*"], destinations: {out: {}}}
          ml: {title: ML, owns: ["model:*"], destinations: {out: {}}}
        datasets:
          mart.orders: {}
        models:
          churn: {version: "4.2"}
        """,
    "policies.yaml": MAPPINGS["policies.yaml"].replace(
        "hooks:",
        """hooks:
          ol: {source: openlineage, environment: production, unverified: true}
          ci: {source: native_change, environment: production, unverified: true}""",
    ),
}


class Pipelines(World):
    """A world whose clock began at a full hour, three of them ago: what runs told in it counts by now."""

    def __init__(self, url: str, directory: Path) -> None:
        super().__init__(url, directory, BARE)
        self.start = hour_of(datetime.now(UTC)) - timedelta(hours=3)

    def run(
        self, job: str, *, minutes: float, reads: tuple[str, ...] = (), writes: tuple[str, ...] = (),
        state: str = "COMPLETE", run: str = "",
    ) -> None:  # fmt: skip
        """An OpenLineage run event."""
        event: dict[str, Any] = {
            "eventType": state,
            "eventTime": self.at(minutes).isoformat(),
            "run": {"runId": run or f"{job}-{minutes}"},
            "job": {"namespace": "airflow", "name": job},
            "inputs": [{"namespace": "warehouse", "name": name} for name in reads],
            "outputs": [{"namespace": "warehouse", "name": name} for name in writes],
            "producer": "https://github.com/apache/airflow",
        }
        self.post("ol", event, minutes=minutes)

    def told(self) -> list[tuple[str, str]]:
        """The edges in the database, (upstream, downstream)."""
        found = self.sql("SELECT DISTINCT upstream, downstream FROM lineage ORDER BY 1, 2")
        return [(row["upstream"], row["downstream"]) for row in found]

    def learned_at(self, minutes: float) -> dict[str, tuple[str, ...]]:
        """What is learned as an alert sees it that comes then."""
        found = self.app.lineage.of("production", self.app.active().mappings.catalog, self.at(minutes)).learned
        return {str(below): tuple(map(str, above)) for below, above in found.items()}


def three_runs(world: Pipelines, minutes: float = 5) -> None:
    """raw.orders → load → staging.orders → build → mart.orders → score"""
    world.run("load", minutes=minutes, reads=("raw.orders",), writes=("staging.orders",))
    world.run("build", minutes=minutes + 1, reads=("staging.orders",), writes=("mart.orders",))
    world.run("score", minutes=minutes + 2, reads=("mart.orders",))
