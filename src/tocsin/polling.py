"""What did people do at the service desks? Asked of those that tell us nothing by themselves, and of the others too.

What is heard is queued as if it had been posted: polling alone is enough, and both together count each act once.
"""

from __future__ import annotations

import logging

from prometheus_client import Counter

from tocsin.bootstrap import App
from tocsin.connectors import Failure
from tocsin.couriers import Courier, Couriers
from tocsin.decide.people import cleaned
from tocsin.domain.policy import Mode
from tocsin.store import looks

log = logging.getLogger(__name__)

LOOKS_AT_ONCE = 5
"""A destination that has more to tell is asked again at once, so often at most."""

POLLED = Counter("tocsin_polled_updates_total", "Acts of people found by polling, by what became of them",
                 ["connector", "outcome"])  # fmt: skip
FAILED = Counter("tocsin_polls_failed_total", "Polls that came to nothing, by reason", ["connector", "reason"])


def poll(app: App, couriers: Couriers, *, now_due: bool = False) -> int:
    """Ask every live destination whose turn it is (with `now_due`: every one); returns how many acts were queued. One
    process polls at a time: another returns 0 at once."""
    with looks.looking(app.database, "poll") as ours:
        if not ours:
            return 0
        every = {
            name: declared.poll_every * (0 if now_due else 1)
            for name, declared in app.active().mappings.destinations.items()
            if declared.mode is Mode.LIVE and declared.poll_every
        }
        return sum(_ask(app, couriers, name, mark) for name, mark in looks.due(app.database, "poll", every))


def _ask(app: App, couriers: Couriers, destination: str, watermark: str) -> int:
    courier = couriers.of(destination)
    if not isinstance(courier, Courier) or courier.connector.poll is None:
        return 0
    connector = courier.connector
    clean = app.active().redactor.text
    kept = 0
    for _ in range(LOOKS_AT_ONCE):
        found = courier.connector.poll(courier.config, watermark, app.database.now(), courier.http)
        if isinstance(found, Failure):
            looks.failed(app.database, "poll", destination, found.detail)
            FAILED.labels(connector.kind, found.reason).inc()
            log.warning("destination=%s poll failed: %s %s", destination, found.reason, found.detail)
            return kept
        updates = [cleaned(update, clean) for update in found.updates]
        heard = looks.hear(app.database, destination, updates, found.watermark)
        POLLED.labels(connector.kind, "queued").inc(heard.kept)
        POLLED.labels(connector.kind, "unknown_record").inc(heard.strange)
        kept, watermark = kept + heard.kept, found.watermark
        if not found.more:
            break
    return kept
