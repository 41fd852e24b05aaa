"""What did people do at the service desks? Asked of those that tell us nothing by themselves, and of the others too.

What is heard is queued as if it had been posted: polling alone is enough, and both together count each act once.
Senders are asked as well, for what their own protocol needs: the certificate that signs, the confirmation of a
subscription (`run_errands`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from urllib.parse import urlsplit

import uuid_utils.compat
from prometheus_client import Counter

from tocsin.bootstrap import App
from tocsin.connectors import Failure, Fetcher
from tocsin.couriers import Courier, Couriers
from tocsin.decide.people import cleaned
from tocsin.domain.audit import AuditEntry
from tocsin.domain.message import Message
from tocsin.domain.policy import Mode
from tocsin.domain.record import Reason
from tocsin.sources import find as find_source
from tocsin.store import errands, looks
from tocsin.store.errands import KEY, Errand
from tocsin.store.inbox import Signal, keep_signals, put_aside
from tocsin.understanding import alert_of_ours, own_alert, signal_of, signal_of_ours, understood_as

log = logging.getLogger(__name__)

LOOKS_AT_ONCE = 5
"""A destination that has more to tell is asked again at once, so often at most."""

POLLED = Counter("tocsin_polled_updates_total", "Acts of people found by polling, by what became of them",
                 ["connector", "outcome"])  # fmt: skip
FAILED = Counter("tocsin_polls_failed_total", "Polls that came to nothing, by reason", ["connector", "reason"])


ERRANDS_AT_ONCE = 20
TELL_AFTER = 3
"""An errand that failed so often in a row is told to the catch-all team, and about hourly from then on."""
TELL_EVERY = 12

NEVER_CHECKED = "the certificate that it is signed with could not be fetched for a day: it was not read"

ERRANDS = Counter("tocsin_errands_total", "Addresses opened for senders' protocols, by how it ended",
                  ["kind", "outcome"])  # fmt: skip


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


def run_errands(app: App, fetch: Callable[[str], bytes | Failure] | None = None) -> int:
    """Open what senders' protocols ask us to open and what is due; returns how many were tried. Only addresses on the
    allow-list of the source are opened (`Source.may_fetch`)."""
    tried = 0
    while tried < ERRANDS_AT_ONCE and (errand := errands.take(app.database)):
        _run_errand(app, errand, fetch or Fetcher().fetch)
        tried += 1
    return tried


def _run_errand(app: App, errand: Errand, fetch: Callable[[str], bytes | Failure]) -> None:
    allowed = find_source(errand.source).may_fetch
    if allowed is None or not allowed(errand.url):
        answer: bytes | Failure = Failure("rejected", Reason.FORBIDDEN, detail="not on the source's allow-list")
    else:
        answer = fetch(errand.url)
    if isinstance(answer, bytes) and errand.kind == KEY and b"-----BEGIN" not in answer:
        answer = Failure("retry", Reason.BAD_ANSWER, detail="what stands there is no certificate")
    ERRANDS.labels(errand.kind, "failed" if isinstance(answer, Failure) else "done").inc()
    what = "certificate" if errand.kind == KEY else "confirmation of the subscription"
    host = urlsplit(errand.url).hostname or ""
    with app.database.transaction() as connection:
        if isinstance(answer, Failure):
            late = errands.give_up(connection, errand.url)
            put_aside(connection, late, NEVER_CHECKED, _never_checked)
            errands.failed(connection, errand, f"{answer.reason}: {answer.detail}")
            count = errand.failures + 1
            log.warning("hook=%s errand=%s host=%s failed times=%d: %s", errand.hook, what, host, count, answer.detail)
            tell = count == TELL_AFTER or count % TELL_EVERY == 0
            words = f"hook {errand.hook}: the {what} at {host} cannot be opened ({answer.reason}); messages wait for it"
        else:
            errands.done(connection, errand, answer)
            log.info("hook=%s errand=%s host=%s done", errand.hook, what, host)
            tell = errand.failures >= TELL_AFTER
            words = f"hook {errand.hook}: the {what} at {host} was opened"
        if tell:
            alert = alert_of_ours(
                "SenderUnreachable",
                f"{errand.hook} {host}",
                words,
                environment=errand.environment,
                labels={"hook": errand.hook, "source": errand.source},
                now=app.database.now(),
                over=not isinstance(answer, Failure),
            )
            keep_signals(connection, [signal_of_ours(uuid_utils.compat.uuid7(), alert)])


def _never_checked(message: Message) -> tuple[Signal, AuditEntry]:
    own = own_alert(message, NEVER_CHECKED, now=message.received_at)
    because: dict[str, object] = {"hook": message.hook, "why": NEVER_CHECKED}
    return signal_of(message, own.environment, 0, "alert", own), understood_as(message, "quarantined", because)
