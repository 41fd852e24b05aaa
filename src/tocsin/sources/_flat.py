"""What does a flat report say? Fields of an uptime, log or error monitor's body, and the alert or change they make.

Many of these senders post a handful of fields and no labels. Their templates leave variables unfilled
(`*alertFriendlyDuration*`, `$SERVICE`, `{{ .Value }}`); such a value says nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message
from tocsin.domain.subject import Subject
from tocsin.sources._identity import (
    METRIC_LABELS,
    REGION_LABELS,
    SEGMENT_LABELS,
    VERSION_LABELS,
    cohort_of,
    environment_of,
    first_of,
    labels_of,
    link_of,
    links_of,
    subject_of,
    symptom_of,
)
from tocsin.sources._json import kind_of, number, parsed, text
from tocsin.sources._times import moment

MAX_NAME = 255
MAX_EVENTS = 1000
"""Entries that an array may have."""

_UNFILLED = re.compile(r"\*[A-Za-z][\w ]*\*|\$[A-Z][A-Z0-9_]*\$?|\$\{[^{}]*\}|\{\{.*\}\}|%[A-Z_]+%|\{[a-z_]+\}")
_NOTHING = frozenset({"null", "none", "n/a", "undefined", "nil"})
_ZONED_DOT = re.compile(r"([+-]\d\d)\.(\d\d)$")
_SLASHED = re.compile(r"^(\d{4})/(\d\d)/(\d\d)")
_DATE = re.compile(r"[A-Z][a-z]{2},? ([A-Z][a-z]{2}) +(\d{1,2}) (\d\d:\d\d:\d\d) ([A-Z]{1,5}) (\d{4})")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ZONES = {"UTC": "+00:00", "GMT": "+00:00", "Z": "+00:00", "WET": "+00:00", "WEST": "+01:00", "BST": "+01:00"} | {
    "CET": "+01:00", "CEST": "+02:00", "EET": "+02:00", "EEST": "+03:00", "MSK": "+03:00", "JST": "+09:00",
    "EST": "-05:00", "EDT": "-04:00", "CDT": "-05:00", "MDT": "-06:00", "MST": "-07:00", "PST": "-08:00",
    "PDT": "-07:00",
}  # fmt: skip
"""Abbreviations that mean one thing in practice; any other (IST, CST …) is refused as no time."""


class Fields:
    """An object of a body, read by name; what cannot be read is refused with the path to it."""

    def __init__(self, data: Mapping[str, Any], path: str = "") -> None:
        self.data = data
        self.path = path

    def __contains__(self, key: str) -> bool:
        return key in self.data

    def text(self, *keys: str, limit: int = 1024) -> str:
        """The first of these that says something, a number as its digits; empty when none does."""
        return next((found for key in keys if (found := said(self.data.get(key), limit))), "")

    def need(self, *keys: str) -> str:
        """The first of these that says something. Raises BadPayload with the path of the first key."""
        if found := self.text(*keys):
            return found
        raise BadPayload("absent, and it is what the report is known by", path=self.at_path(keys[0]))

    def number(self, *keys: str) -> float | None:
        """The first finite number among these."""
        return next((found for key in keys if (found := number(self.data.get(key))) is not None), None)

    def time(self, *keys: str) -> datetime | None:
        """The first moment among these. Raises BadPayload when one is neither a time nor empty."""
        for key in keys:
            value = self.data.get(key)
            if isinstance(value, str):
                value = _spelled(said(value))
            try:
                found = moment(value)
            except BadPayload as error:
                raise BadPayload(error.reason, path=self.at_path(key)) from None
            if found:
                return found
        return None

    def inner(self, key: str) -> Fields:
        """The object under this key; an empty one when it is absent or null. Raises BadPayload for another type."""
        value = self.data.get(key)
        if value is None or value == "":
            return Fields({}, self.at_path(key))
        if isinstance(value, dict):
            return Fields(value, self.at_path(key))
        raise BadPayload(f"expected an object, found {kind_of(value)}", path=self.at_path(key))

    def need_inner(self, key: str) -> Fields:
        """The object under this key. Raises BadPayload when it is absent, empty or no object."""
        found = self.inner(key)
        if not found.data:
            raise BadPayload("expected an object with the report's details, found nothing", path=found.path)
        return found

    def each(self, key: str) -> list[Fields]:
        """The objects of the list under this key; none when it is absent. Raises BadPayload for another type."""
        value = self.data.get(key)
        if value is None or value == "":
            return []
        return objects(value, self.at_path(key))

    def at_path(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


def _spelled(time: str) -> str:
    """A time in ISO 8601 where it is spelt as monitors do besides: `2024/08/14 …`, `… (UTC)`, `+01.00`, and `date`'s
    `Sat Oct 26 23:20:39 CEST 2024`."""
    if found := _DATE.fullmatch(time):
        month, day, clock, zone, year = found.groups()
        if month in _MONTHS and zone in _ZONES:
            return f"{year}-{_MONTHS.index(month) + 1:02}-{int(day):02}T{clock}{_ZONES[zone]}"
    return _SLASHED.sub(r"\1-\2-\3", _ZONED_DOT.sub(r"\1:\2", time.removesuffix("(UTC)").rstrip()))


def said(value: object, limit: int = 1024) -> str:
    """A value as text; empty for nothing, for an unfilled template variable and for anything nested."""
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, (int, float)):
        return str(value)[:limit]
    found = text(value, limit)
    if found.lower() in _NOTHING or _UNFILLED.fullmatch(found):
        return ""
    return found


def objects(value: object, path: str) -> list[Fields]:
    """Each entry of a list as fields. Raises BadPayload for what is no list of objects."""
    if not isinstance(value, list):
        raise BadPayload(f"expected a list, found {kind_of(value)}", path=path)
    if len(value) > MAX_EVENTS:
        raise BadPayload(f"{len(value)} entries; no sender batches more than {MAX_EVENTS}", path=path)
    for n, entry in enumerate(value):
        if not isinstance(entry, dict):
            raise BadPayload(f"expected an object, found {kind_of(entry)}", path=f"{path}.{n}".lstrip("."))
    return [Fields(entry, f"{path}.{n}".lstrip(".")) for n, entry in enumerate(value)]


def fields_of(message: Message) -> Fields:
    """The body's JSON object or form fields; when the body is empty, what stands in the query (a GET webhook's
    variables). Raises BadPayload for anything else."""
    body = message.body.strip()
    if not body and (told := {key: value for key, value in message.query.items() if key != "token"}):
        return Fields(told)
    if body[:1] not in (b"{", b"[", b'"') and b"=" in body[:200]:
        return Fields(_form(body))
    value = parsed(message.body)
    if not isinstance(value, dict):
        raise BadPayload(f"expected a JSON object, found {kind_of(value)}")
    return Fields(value)


def told_in(message: Message, *path: str) -> str:
    """The word under this path of the body, for a sender that numbers its messages there; empty when there is none."""
    try:
        body = fields_of(message)
        for key in path[:-1]:
            body = body.inner(key)
    except BadPayload:
        return ""
    return body.text(path[-1], limit=200)


def _form(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=500, errors="strict"))
    except ValueError:
        raise BadPayload("the body is neither JSON nor a UTF-8 form") from None


def tags_of(tags: object) -> dict[str, str]:
    """Tags as labels: `env:staging` becomes env; those without a colon stay together under `tags`. Reads a list of
    texts or one text with commas."""
    listed = tags.split(",") if isinstance(tags, str) else tags if isinstance(tags, list) else []
    found: dict[str, str] = {}
    plain = []
    for tag in listed:
        word = said(tag["name"] if isinstance(tag, dict) and "name" in tag else tag, 255)
        key, colon, value = word.partition(":")
        if colon and key.strip() and value.strip() and not value.startswith("//"):
            found[key.strip().lower()] = value.strip()
        elif word:
            plain.append(word)
    return labels_of({**found, **({"tags": ",".join(plain)} if plain else {})})


def alert(
    message: Message,
    hook: Hook,
    *,
    source: str,
    name: str,
    subject: Subject,
    status: Status,
    severity: Severity,
    summary: str = "",
    description: str = "",
    symptom: Symptom | None = None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    window_starts_at: datetime | None = None,
    tags: Mapping[str, str] | None = None,
    labels: Mapping[str, object] | None = None,
    links: Mapping[str, object] | None = None,
    resource: str = "",
    metric: str = "",
    region: str = "",
    observed: float | None = None,
    threshold: float | None = None,
    baseline: float | None = None,
    sample_size: int | None = None,
    sender_key: str = "",
    known_by: str = "",
    resolves: Resolves = Resolves.SENDER,
    expires_after: timedelta | None = None,
) -> Alert:
    """The alert that a report makes. `tags` (what people attached) and the hook's defaults may name what it is about;
    `labels` only describe it. When they name something else than `subject`, that becomes the resource, so that two
    things that one hook watches stay two alerts. `known_by`, the sender's own id of what ends again, alone makes the
    fingerprint where the end carries less than the beginning or where titles are rewritten on the way."""
    named = {**hook.defaults, **(tags or {})}
    about = subject_of(named, fallback=subject)
    if about != subject and not resource and subject.name != name:
        resource = subject.name
    if resource == about.name:
        resource = ""
    described = labels_of({key: value for key, value in (labels or {}).items() if said(value) or value is True})
    name = name[:MAX_NAME]
    summary = summary or name
    if description and description != summary:
        described.setdefault("description", description[:1024])
    version = first_of(named, VERSION_LABELS)
    cohort = cohort_of(named)
    metric = metric or first_of(named, METRIC_LABELS)
    environment = environment_of({**described, **named}, hook)
    return Alert(
        hook=hook.name,
        source=source,
        environment=environment,
        name=name,
        subject=about,
        symptom=symptom or symptom_of(named, name, metric, summary),
        severity=severity,
        status=status,
        summary=summary[:1024],
        received_at=message.received_at,
        starts_at=starts_at,
        window_starts_at=window_starts_at,
        ends_at=ends_at if status is Status.RESOLVED else None,
        resource=resource[:MAX_NAME],
        segment=first_of(named, SEGMENT_LABELS),
        region=region or first_of(named, REGION_LABELS),
        cohort=cohort,
        metric=metric[:MAX_NAME],
        observed=observed,
        threshold=threshold,
        baseline=baseline,
        sample_size=sample_size,
        model_version=version,
        per_version=bool(version or cohort),
        labels=labels_of({**described, **named}),
        links=links_of(links or {}),
        sender_key=sender_key[:128],
        resolves=resolves,
        expires_after=expires_after,
        fingerprint=_fingerprint(environment, hook, known_by) if known_by else "",
    )


def _fingerprint(environment: str, hook: Hook, known_by: str) -> str:
    parts = "\x1f".join((environment, hook.name, known_by))
    return hashlib.blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def symptom_of_service(*texts: str) -> Symptom:
    """The symptom by the words of `symptom_of`, where texts speak of services and not of models: `performance` and
    `delays` are slowness there."""
    found = symptom_of({}, *texts)
    return Symptom.LATENCY if found in (Symptom.PERFORMANCE, Symptom.FRESHNESS) else found


def symptom_of_logs(named: Mapping[str, str], *texts: str) -> Symptom:
    """The symptom by label and words; that of log lines which tell nothing more is errors."""
    return symptom_of(named, *texts, "errors")


def change(
    message: Message,
    hook: Hook,
    *,
    source: str,
    id: str,
    kind: ChangeKind,
    subject: Subject,
    occurred_at: datetime | None = None,
    finished_at: datetime | None = None,
    outcome: ChangeOutcome = ChangeOutcome.UNKNOWN,
    version: str = "",
    author: str = "",
    url: object = "",
    summary: str = "",
    tags: Mapping[str, str] | None = None,
    labels: Mapping[str, object] | None = None,
    touches: Iterable[Subject] = (),
) -> Change:
    """The change that a report makes; without a time it is known from its receipt."""
    named = {**hook.defaults, **(tags or {})}
    described = labels_of({key: value for key, value in (labels or {}).items() if said(value)})
    return Change(
        id=f"{source}:{id}"[:512],
        hook=hook.name,
        source=source,
        environment=environment_of({**described, **named}, hook),
        kind=kind,
        subject=subject_of(named, fallback=subject),
        occurred_at=occurred_at or message.received_at,
        received_at=message.received_at,
        finished_at=finished_at,
        outcome=outcome,
        version=version[:MAX_NAME],
        author=author[:MAX_NAME],
        url=link_of(url),
        summary=summary[:1024],
        touches=tuple(touches),
        labels=labels_of({**described, **named}),
    )
