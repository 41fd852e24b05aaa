"""Does each record stand at its desk as we left it: once, and where it should be?

Nothing here writes: what is found is a value, with what may be done about it. What people did is no drift.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta

from tocsin.domain.people import Stance
from tocsin.domain.record import Record
from tocsin.domain.seen import Discrepancy, Drift, Seen

SETTLED_FOR = timedelta(minutes=10)
"""A record that was written so lately is left alone: search indexes lag, and a poll must have had its turn."""
MOST_VANISHED = 0.5
"""More of a destination's records than this do not vanish at once: a lost permission is likelier."""
FEW = 3
BY_PEOPLE = "moved_by_people"
"""Of `Seen.values`: true where the desk says that a person moved it last."""
LONG_AGO = "2000-01-01T00:00:00+00:00"
"""Jira's connector sweeps doubles until this moment, and once more when it has passed."""
OURS = "ours"
"""Of `Seen.values`: false for a foreign record that holds ours now (a merged incident)."""


def compare(
    destination: str, kept: Sequence[tuple[Record, Stance | None]], seen: Sequence[Seen]
) -> tuple[Discrepancy, ...]:
    """What is not as the database says, of the records that were asked for by their keys."""
    by_key: dict[str, list[Seen]] = {}
    for one in seen:
        by_key.setdefault(one.key, []).append(one)
    gone = [record for record, _ in kept if not by_key.get(record.wanted.key)]
    many = len(gone) > FEW and len(gone) > MOST_VANISHED * len(kept)
    found = [_vanished(destination, record, many=many) for record in gone]
    for record, stance in kept:
        there = by_key.get(record.wanted.key, [])
        found += _doubled(destination, record, there)
        found += _drifted(destination, record, stance, there)
    return tuple(found)


def unknown(destination: str, seen: Sequence[Seen], known: Collection[str]) -> tuple[Discrepancy, ...]:
    """Records that carry our mark under a key that the database does not know: of a database that was restored or
    wiped, or of another installation. Never written."""
    return tuple(
        Discrepancy(
            finding=Drift.UNKNOWN,
            destination=destination,
            external_id=one.external_id,
            number=one.number,
            url=one.url,
            says=f"{one.status} and marked as ours, but no record of this database",
            remedy="of another installation: nothing to do; of a lost database: resolve it by hand",
        )
        for one in seen
        if one.key and one.key not in known
    )


def _of(finding: Drift, destination: str, record: Record, **more: object) -> Discrepancy:
    fields: Mapping[str, object] = {
        "external_id": record.external_id,
        "number": record.number,
        "url": record.url,
        "record_id": record.id,
        "incident_id": record.incident_id,
        "environment": record.environment,
        **more,
    }
    return Discrepancy(finding=finding, destination=destination, **fields)  # type: ignore[arg-type]  # its own fields


def _vanished(destination: str, record: Record, *, many: bool) -> Discrepancy:
    if many:
        says = "not found, as most records of this destination"
        remedy = "check the integration's permissions and address (tocsin doctor); nothing is opened anew"
        return _of(Drift.VANISHED, destination, record, says=says, remedy=remedy)
    return _of(
        Drift.VANISHED,
        destination,
        record,
        says="deleted, or hidden from us",
        remedy="its incident, if it is open, gets the next record",
        mends=True,
    )


def _doubled(destination: str, record: Record, there: Sequence[Seen]) -> Iterator[Discrepancy]:
    """The oldest stays; Jira's connector closes the others itself with its next attempt."""
    standing = [one for one in there if one.values.get(OURS, True) and one.status in ("open", "acknowledged")]
    for one in sorted(standing, key=lambda one: (one.created_at is None, one.created_at, one.external_id))[1:]:
        yield _of(
            Drift.DOUBLED,
            destination,
            record,
            external_id=one.external_id,
            number=one.number,
            url=one.url,
            says=f"a second record beside {record.number or record.external_id}",
            remedy="closed as a duplicate by the next attempt" if record.kind == "jira" else "close it as a duplicate",
            mends=record.kind == "jira",
            rebase={"sweep_until": LONG_AGO} if record.kind == "jira" else {},
        )


def _drifted(destination: str, record: Record, stance: Stance | None, there: Sequence[Seen]) -> Iterator[Discrepancy]:
    """It stands open although we resolved it, and no person opened it again."""
    if record.sent_wanted is None or record.sent_wanted.status != "resolved" or record.wanted.status != "resolved":
        return
    for one in there:
        if one.status in ("open", "acknowledged") and _by_nobody(one, stance):
            yield _of(
                Drift.DRIFTED,
                destination,
                record,
                says=f"{one.status}, though we resolved it and nobody opened it again",
                remedy="resolved again by a new attempt",
                mends=True,
                rebase=_rebase(record, one),
            )


def _rebase(record: Record, one: Seen) -> Mapping[str, object]:
    """What makes the connector write over it: the values count as ours; a page is to be resolved on its route anew."""
    if record.kind == "pagerduty":
        return {"resolving": {str(record.sent.get("routing_key", "")): ""}, "resolve_repeated": False}
    return {name: value for name, value in one.values.items() if name in record.sent}


def _by_nobody(one: Seen, stance: Stance | None) -> bool:
    """The last word on the record was not a person's. Where neither the desk nor an update tells, it may have been."""
    if stance is not None and stance.stands in ("open", "acknowledged"):
        return False
    by_people = one.values.get(BY_PEOPLE)
    return not by_people if by_people is not None else stance is not None and stance.stands != ""
