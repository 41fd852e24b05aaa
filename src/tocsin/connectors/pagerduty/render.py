"""What do the events say? Triggers, resolves and changes for the Events API v2, within its limits. Pure.

https://developer.pagerduty.com/docs/events-api-v2/trigger-events/ and …/send-change-events/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson

from tocsin.connectors._connector import PRODUCT, cut, one_line
from tocsin.connectors.pagerduty.config import Config
from tocsin.domain.alert import Severity
from tocsin.domain.record import Note, Wanted
from tocsin.domain.seen import MirroredChange
from tocsin.domain.timeline import FILE

MAX_SUMMARY = 1024
"""Over-long summaries are refused, not cut (trigger-events)."""
MAX_EVENT_BYTES = 500_000
"""The limit is 512 KB for the whole body (overview, size limits)."""
MAX_NOTE = 25_000
MAX_LINKS = 10
MAX_SHORT = 255

_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp")
_PARTS = ("links", "images", "client_url", "client")
_PAYLOAD_PARTS = ("custom_details", "timestamp", "component", "group", "class")
_NEEDED = ("summary", "source", "severity")

Event = dict[str, Any]


def render(config: Config, wanted: Wanted) -> Event:
    """The event. `routing_key` holds the key's name: sending puts the secret in its place."""
    event: Event = {
        "routing_key": wanted.address.get("routing_key", ""),
        "event_action": "resolve" if wanted.status == "resolved" else "trigger",
        "dedup_key": wanted.key,
    }
    if wanted.status == "resolved":
        return event
    payload = {
        "summary": one_line(f"{wanted.display} {wanted.title}", MAX_SUMMARY),
        "source": one_line(wanted.ci or wanted.component or wanted.environment or PRODUCT, MAX_SHORT),
        "severity": severity(config, wanted),
        "timestamp": wanted.opened_at.isoformat(),
        "component": one_line(wanted.component, MAX_SHORT),
        "group": one_line(wanted.business_service or wanted.environment, MAX_SHORT),
        "class": one_line(wanted.category, MAX_SHORT),
        "custom_details": _details(wanted),
    }
    event |= {"payload": {name: value for name, value in payload.items() if value}, "client": PRODUCT}
    return event | _contexts(config, wanted)


def severity(config: Config, wanted: Wanted) -> str:
    """PagerDuty's severity of the record."""
    return config.severities.get(wanted.severity, str(wanted.severity))


def worse(now: str, before: str) -> bool:
    """Is `now` a worse severity of PagerDuty than `before`? Anything is worse than none."""
    ranks = {severity.value: severity.rank for severity in Severity}
    return ranks.get(now, len(ranks)) < ranks.get(before, len(ranks))


def _contexts(config: Config, wanted: Wanted) -> Event:
    """Links, pictures, and the way back to our own page, below which the timeline's picture lies."""
    shown: Event = {}
    ours = next((url for text, url in wanted.links if text == wanted.display), "")
    pictures = [(text, url) for text, url in wanted.links if _is_picture(url)]
    links = [(text, url) for text, url in wanted.links if not _is_picture(url)]
    if ours:
        shown["client_url"] = ours
        timeline = ("Timeline", f"{ours}/{FILE}")
        to = pictures if config.timeline_images and _is_picture(timeline[1]) else links
        to.insert(1, timeline)
    if links:
        shown["links"] = [{"href": url, "text": one_line(text, MAX_SUMMARY)} for text, url in links[:MAX_LINKS]]
    if pictures:
        shown["images"] = [
            {"src": url, "href": url, "alt": one_line(text, MAX_SHORT)} for text, url in pictures[:MAX_LINKS]
        ]
    return shown


def _is_picture(url: str) -> bool:
    """PagerDuty shows pictures that are served over HTTPS."""
    parts = urlsplit(url)
    return parts.scheme == "https" and parts.path.lower().endswith(_PICTURES)


def _details(wanted: Wanted) -> dict[str, object]:
    details = {
        "incident": wanted.display,
        "description": wanted.body,
        "team": wanted.team,
        "environment": wanted.environment,
        "previous": wanted.previous,
        "part_of": wanted.parent,
        "confirmed_cause": wanted.caused_by,
        **wanted.details,
    }
    return {name: value for name, value in details.items() if value not in ("", None)}


def render_change(config: Config, change: MirroredChange) -> Event:
    """The change event. Its id stands among the details, so that a second sending can be recognized."""
    details = {"subject": change.subject, **change.details, "change_id": change.id}
    payload = {
        "summary": one_line(change.summary, MAX_SUMMARY) or change.id,
        "source": one_line(change.source or PRODUCT, MAX_SHORT),
        "timestamp": change.occurred_at.isoformat(),
        "custom_details": {name: value for name, value in details.items() if value not in ("", None)},
    }
    event: Event = {"routing_key": config.route(change.address.get("routing_key", "")), "payload": payload}
    return event | ({"links": [{"href": change.url, "text": "The change"}]} if change.url else {})


def with_updates(event: Event, notes: tuple[Note, ...]) -> Event:
    """The event with the notes among its details: Events v2 knows no notes."""
    if not notes or "payload" not in event:
        return event
    payload = event["payload"]
    details = {**payload.get("custom_details", {}), "updates": [cut(note.text, MAX_NOTE) for note in notes]}
    return {**event, "payload": {**payload, "custom_details": details}}


def minimal(event: Mapping[str, Any]) -> Event:
    """The least that still pages: what Events v2 requires and nothing else."""
    kept = {name: event["payload"][name] for name in _NEEDED if name in event["payload"]}
    outer = ("routing_key", "event_action", "dedup_key")
    return {**{name: event[name] for name in outer if name in event}, "payload": kept}


def slimmer(event: Event, status: int, words: str) -> Iterator[Event]:
    """What to send instead of an event that was refused: first without the parts that the refusal names (too large:
    without details), then the least. Nothing where slimming cannot help."""
    said = words.lower().replace("routing key", "routing_key")
    if status not in (400, 413) or "payload" not in event or "routing_key" in said:
        return
    named = {part for part in (*_PARTS, *_PAYLOAD_PARTS) if part in said}
    if status == 413:
        named = {"custom_details"}
    payload = {name: value for name, value in event["payload"].items() if name not in named}
    without = {**{name: value for name, value in event.items() if name not in named}, "payload": payload}
    if without != event:
        yield without
    if minimal(event) not in (event, without):
        yield minimal(event)


def left_out(whole: Event, sent: Event) -> tuple[str, ...]:
    """Names of what the sent event lacks."""
    inner = set(whole.get("payload", {})) - set(sent.get("payload", {}))
    return tuple(sorted((set(whole) - set(sent)) | inner))


def fitting(event: Event) -> Event:
    """The event within 500 KB: the largest details are left out by name until it fits."""
    if "payload" not in event or size(event) < MAX_EVENT_BYTES:
        return event
    details = dict(event["payload"].get("custom_details", {}))
    gone: list[str] = []
    smaller = dict(event)
    while details and size(smaller) >= MAX_EVENT_BYTES:
        largest = max(details, key=lambda name: size(details[name]))
        del details[largest]
        gone.append(one_line(str(largest), MAX_SHORT))
        shown = {**details, "left_out_for_size": gone[:50]}
        smaller["payload"] = {**event["payload"], "custom_details": shown}
    return smaller if size(smaller) < MAX_EVENT_BYTES else minimal(event)


def size(value: object) -> int:
    """Bytes on the wire."""
    return len(orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS))
