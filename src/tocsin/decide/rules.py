"""What would simple rules blame? They run beside the scorer, so that it never does worse unseen (correlation.md §9)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change
from tocsin.domain.incident import Incident
from tocsin.domain.subject import Subject

TOLERANCE = timedelta(minutes=1)
"""A change stamped this much after the first alert still counts as before it."""


def nearest_change(incident: Incident, changes: Sequence[Change]) -> Change | None:
    """What "the latest change before the first alert" blames; of equal times the smallest id. None: no change."""
    latest = min(m.starts_at for m in incident.members) + TOLERANCE
    return min(
        (c for c in changes if c.occurred_at <= latest), key=lambda c: (-c.occurred_at.timestamp(), c.id), default=None
    )


def nearest_related_change(incident: Incident, changes: Sequence[Change], catalog: Catalog) -> Change | None:
    """What a PagerDuty-like order blames: a change on the subject that alerted first, else on its direct neighbours
    (one hop either way), else any; the latest of these. None: no change."""
    first = min(incident.members, key=lambda m: (m.starts_at, m.fingerprint))
    origin = catalog.resolve(first.alert.subject)
    near: frozenset[Subject] = frozenset({*catalog.upstream(origin, 1), *catalog.downstream(origin, 1)})
    on_origin = [c for c in changes if catalog.resolve(c.subject) == origin]
    beside = [c for c in changes if catalog.resolve(c.subject) in near]
    found = (nearest_change(incident, some) for some in (on_origin, beside, changes))
    return next((change for change in found if change is not None), None)
