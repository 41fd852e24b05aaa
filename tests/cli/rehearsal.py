"""The demo's webhooks through the pure pipeline, at any moment: sources, fold, attribution, gate and route."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

import orjson
import uuid_utils.compat

from tocsin.cli._demo.producers import Clock, Post, signed
from tocsin.cli._demo.scenario import Scenario
from tocsin.cli._demo.scenarios import told
from tocsin.cli._demo.stage import _window
from tocsin.config.mappings import Mappings, load
from tocsin.decide.attribute import attribute
from tocsin.decide.enrich import enrich
from tocsin.decide.fold import Fold
from tocsin.decide.group import Groups
from tocsin.decide.route import route
from tocsin.decide.suppress import gate
from tocsin.domain.change import Change
from tocsin.domain.incident import Incident, IncidentState
from tocsin.domain.message import Message, Verdict
from tocsin.sources import find

SHIPPED = Path(__file__).parents[2] / "mappings"
SECRET = "rehearsal"


def mappings_at(now: datetime, directory: Path) -> Mappings:
    """The shipped mappings with the demo's maintenance window."""
    (directory / "demo-window.yaml").write_text(_window(now))
    for file in SHIPPED.rglob("*"):
        if file.is_file():
            copied = directory / file.relative_to(SHIPPED)
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.write_bytes(file.read_bytes())
    return load(directory, env={}, secrets_optional=True)


@dataclass
class Rehearsal:
    """Everything posted until now, folded as one batch."""

    now: datetime
    mappings: Mappings
    changes: dict[str, Change] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scenarios: list[Scenario] = told(Clock(self.now))
        self._fold = Fold(
            environment="production",
            installation_id=UUID(int=1),
            mapping_version=1,
            catalog=self.mappings.catalog,
            policy=self.mappings.policy,
            states={},
            incidents={},
            groups=Groups(self.mappings.catalog),
        )
        for part in ("changes", "alerts", "later"):
            for scenario in self.scenarios:
                self.post(getattr(scenario, part))

    def post(self, posts: Iterable[Post]) -> None:
        for post in posts:
            hook = next(h for h in self.mappings.hooks.values() if h.source == post.source and not h.defaults)
            raw = orjson.dumps(post.body)
            headers = {name.lower(): value for name, value in signed(post, raw, SECRET, now=self.now).items()}
            message = Message(
                id=uuid_utils.compat.uuid7(), hook=hook.name, source=post.source, environment=hook.environment,
                received_at=self.now, headers=headers, query={}, body=raw,
            )  # fmt: skip
            source = find(post.source)
            self.verdicts.append(source.verify(message, [SECRET]))
            said = source.normalize(message, hook)
            for change in said.changes:
                earlier = self.changes.get(change.id, change)
                subject = self.mappings.catalog.resolve(change.subject)
                first = min(earlier.occurred_at, change.occurred_at)
                self.changes[change.id] = replace(change, subject=subject, occurred_at=first)
            for seq, alert in enumerate(said.alerts):
                resolved = replace(alert, subject=self.mappings.catalog.resolve(alert.subject))
                self._fold.take(resolved, message_id=message.id, seq=seq, at=self.now)

    def incidents(self) -> list[Incident]:
        """Judged, in the order of their opening."""
        found = []
        for incident_id in self._fold.opened:
            members = tuple(s for s in self._fold.states.values() if s.incident_id == incident_id)
            bare = Incident(
                id=incident_id, number=1, environment="production", state=IncidentState.OPEN, opened_at=self.now,
                members=members,
            )  # fmt: skip
            found.append(self._judged(bare))
        return found

    def _judged(self, bare: Incident) -> Incident:
        catalog, policy = self.mappings.catalog, self.mappings.policy
        changes = list(self.changes.values())
        scored = replace(bare, attribution=attribute(bare, changes, catalog, now=self.now))
        gated = replace(scored, gate=gate(scored, policy, catalog, now=self.now))
        rich = replace(gated, enrichment=enrich(gated, catalog, policy, changes=changes, similar=(), now=self.now))
        return replace(rich, routing=route(rich, catalog, policy, now=self.now))
