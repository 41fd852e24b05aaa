"""Does every record still stand at its desk as we left it? What drifted or vanished is mended, the rest reported."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from prometheus_client import Counter, Gauge

from tocsin.bootstrap import App
from tocsin.connectors import Failure
from tocsin.couriers import Courier, Couriers
from tocsin.decide.reconcile import SETTLED_FOR, compare, unknown
from tocsin.domain.policy import Mode
from tocsin.domain.seen import Discrepancy, Drift, Seen
from tocsin.store import looks, people

log = logging.getLogger(__name__)

EVERY = timedelta(hours=1)
UNKNOWN_SINCE = timedelta(days=30)
"""Records of ours that the database does not know are looked for among those of so long."""

FINDINGS = Gauge("tocsin_discrepancies", "Records that are not as we left them", ["destination", "finding"])
MENDED = Counter(
    "tocsin_records_mended_total", "Records that reconciliation had brought right", ["connector", "finding"]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """What was found at one destination; `failed` says why it could not be looked at."""

    destination: str
    records: int = 0
    found: tuple[Discrepancy, ...] = ()
    mended: tuple[Discrepancy, ...] = ()
    failed: str = ""


def reconcile_due(app: App, couriers: Couriers) -> list[Surveyed]:
    """Survey and mend the live destinations whose last survey is an hour old; forget what is old itself."""
    with looks.looking(app.database, "survey") as ours:
        if not ours:
            return []
        every = dict.fromkeys(_live(app), EVERY)
        due = [name for name, _ in looks.due(app.database, "survey", every)]
        done = [survey(app, couriers, name, repair=True) for name in due]
    if done:
        people.forget(app.database)
    return done


def reconcile(app: App, couriers: Couriers, destination: str = "", *, repair: bool) -> list[Surveyed]:
    """The same now, for one destination or for all, mending only with `repair`."""
    names = [name for name in _live(app) if destination in ("", name)]
    return [survey(app, couriers, name, repair=repair) for name in names]


def _live(app: App) -> list[str]:
    return [name for name, one in app.active().mappings.destinations.items() if one.mode is Mode.LIVE]


def survey(app: App, couriers: Couriers, destination: str, *, repair: bool) -> Surveyed:
    """Look at one destination, report what is found, and mend what can be mended."""
    courier = couriers.of(destination)
    if not isinstance(courier, Courier) or courier.connector.survey is None:
        return Surveyed(destination=destination, failed="this kind of destination cannot be asked")
    ask, config, http = courier.connector.survey, courier.config, courier.http
    now = app.database.now()
    kept = looks.surveyed(app.database, destination, older_than=SETTLED_FOR)
    keys = [one.record.wanted.key for one in kept]
    oldest = min((one.record.created_at for one in kept if one.record.created_at), default=now)
    ours = ask(config, keys, oldest - EVERY, http.attempt(now)) if keys else ()
    marked = ask(config, (), now - UNKNOWN_SINCE, http.attempt(now))
    for answer in (ours, marked):
        if isinstance(answer, Failure):
            looks.failed(app.database, "survey", destination, answer.detail)
            log.warning("destination=%s survey failed: %s %s", destination, answer.reason, answer.detail)
            return Surveyed(destination=destination, records=len(kept), failed=answer.detail or answer.reason)
    assert not isinstance(ours, Failure)
    assert not isinstance(marked, Failure)
    found = compare(destination, [(one.record, one.stance) for one in kept], ours)
    found += unknown(destination, _strange(marked, now), looks.known_keys(app.database, [one.key for one in marked]))
    looks.report(app.database, destination, found)
    _count(destination, found)
    mended = tuple(one for one in found if repair and one.mends and looks.mend(app.database, one))
    for one in mended:
        MENDED.labels(courier.connector.kind, one.finding).inc()
    return Surveyed(destination=destination, records=len(kept), found=found, mended=mended)


def _strange(seen: Sequence[Seen], now: datetime) -> list[Seen]:
    """Those that have stood for a while: one that is being opened just now is not yet settled in the database."""
    return [one for one in seen if one.created_at is None or now - one.created_at > SETTLED_FOR]


def _count(destination: str, found: Sequence[Discrepancy]) -> None:
    for finding in Drift:
        FINDINGS.labels(destination, finding).set(sum(one.finding is finding for one in found))
