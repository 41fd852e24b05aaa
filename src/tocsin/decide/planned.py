"""Which maintenance does a change request announce? Approved windows, as windows of the policy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change, ChangeKind
from tocsin.domain.policy import Policy, Window

LONGEST = timedelta(days=7)
"""A request that is open longer is a project, not a window: it must not mute for weeks."""


def with_approved(policy: Policy, changes: Sequence[Change], catalog: Catalog) -> Policy:
    """The policy with a window for each approved change request among these changes."""
    found = tuple(_windows(changes, catalog))
    return replace(policy, windows=(*policy.windows, *found)) if found else policy


def _windows(changes: Sequence[Change], catalog: Catalog) -> Iterator[Window]:
    """A request names a configuration item, which the catalogue may know as a service, host or anything else: what has
    its name is covered."""
    for change in changes:
        if change.kind is not ChangeKind.CHANGE_REQUEST or change.labels.get("approved") != "true":
            continue
        starts_at, ends_at = _moment(change, "planned_start"), _moment(change, "planned_end")
        if starts_at is None or ends_at is None or not timedelta(0) < ends_at - starts_at <= LONGEST:
            continue
        yield Window(
            name="of a change request",
            subjects=(_plain(catalog.resolve(change.subject)), f"*:{_plain(change.subject.name)}"),
            starts_at=starts_at,
            duration=ends_at - starts_at,
            environments=frozenset({change.environment}),
            ticket=change.ticket,
        )


def _plain(name: str) -> str:
    """A pattern that matches this name alone: `web[1]` has no class in it."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _moment(change: Change, label: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(change.labels.get(label, ""))
    except ValueError:
        return None
    return found if found.tzinfo else None
