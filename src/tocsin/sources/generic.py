"""Whatever a hook's `reads` say: any sender without a source of its own, read by JMESPath expressions of the mappings.

An item of the body is tried against the declared alerts and changes; of each, the first whose condition holds is read.
What the expressions give must fit our own words (native_alert, native_change), so that a sender that changes its body
is told by the field that no longer fits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from tocsin.domain.alert import Resolves, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.reading import Expression, Reading, Reads
from tocsin.domain.subject import Subject
from tocsin.sources._alert_body import AlertBody, alert_of
from tocsin.sources._change_body import ChangeBody, change_of
from tocsin.sources._expressions import Finder
from tocsin.sources._identity import labels_of, links_of, severity_of, subject_of
from tocsin.sources._json import kind_of, parsed, shaped
from tocsin.sources._times import moment
from tocsin.sources._verify import Check, hmac_hex, shared_secret

NAME = "generic"
MAX_ITEMS = 1_000
ENDED = frozenset(
    {
        "resolved",
        "resolve",
        "ok",
        "okay",
        "closed",
        "cleared",
        "clear",
        "recovered",
        "recovery",
        "normal",
        "up",
        "inactive",
    }
    | {"success", "pass", "passed"}
)
"""Words of senders that say an alert has ended; any other fires. A `table` says otherwise."""
NOTHING_HOLDS = "no condition of the hook's reads holds"
TIMES = frozenset({"starts_at", "ends_at", "window_starts_at", "occurred_at", "finished_at"})
NUMBERS = frozenset({"observed", "threshold", "baseline", "sample_size"})

Body = TypeVar("Body", bound=BaseModel)


def normalize(message: Message, hook: Hook) -> Normalized:
    """The alerts and changes that the hook's `reads` find. Raises BadPayload with the field and the expression where
    the body does not give what they promise."""
    reads = hook.reads
    if reads is None:
        raise BadPayload(f"hook {hook.name} says nothing of how its messages are read; add `reads:` to it")
    body = _body(message)
    reader = _Reader(message, hook, reads, body)
    for at, item in enumerate(reader.items()):
        reader.read(item, at)
    if reader.alerts or reader.changes:
        return Normalized(alerts=tuple(reader.alerts), changes=tuple(reader.changes))
    return Normalized(ignored="; ".join(dict.fromkeys(reader.passed)) or "the list of items is empty")


class _Reader:
    """One message on its way through a hook's expressions."""

    def __init__(self, message: Message, hook: Hook, reads: Reads, body: object) -> None:
        self._message, self._hook, self._reads, self._body = message, hook, reads, body
        self._finder = Finder(message, body)
        self._zone: tzinfo = ZoneInfo(reads.time_zone) if reads.time_zone != "UTC" else UTC
        self.alerts: list[Any] = []
        self.changes: list[Any] = []
        self.passed: list[str] = []

    def items(self) -> Sequence[object]:
        if not self._reads.each:
            return [self._body]
        found = self._finder.find(self._reads.each, self._body, field="each")
        if not isinstance(found, list):
            raise BadPayload(f"{self._reads.each!r} gives {kind_of(found)}, not a list", path="each")
        if len(found) > MAX_ITEMS:
            raise BadPayload(f"{len(found)} items; at most {MAX_ITEMS} are read in one message", path="each")
        return found

    def read(self, item: object, at: int) -> None:
        for condition, why in self._reads.ignore:
            if self._finder.holds(condition, item, field=f"ignore.{condition}"):
                self.passed.append(why)
                return
        alert = self._first(self._reads.alerts, item)
        change = self._first(self._reads.changes, item)
        if alert is None and change is None:
            self.passed.append(NOTHING_HOLDS)
        try:
            if alert is not None:
                body = shaped(AlertBody, self._alert(alert, item))
                self.alerts.append(alert_of(body, self._message, self._hook, source=self._hook.name))
            if change is not None:
                said = shaped(ChangeBody, self._values(change, item))
                self.changes.append(change_of(said, self._message, self._hook, source=self._hook.name))
        except BadPayload as error:
            raise BadPayload(error.reason, path=f"{at}.{error.path}" if self._reads.each else error.path) from None

    def _first(self, readings: Sequence[Reading], item: object) -> Reading | None:
        return next((one for one in readings if not one.when or self._finder.holds(one.when, item, field="when")), None)

    def _alert(self, reading: Reading, item: object) -> dict[str, object]:
        values = self._values(reading, item)
        if reading.resolved:
            values["status"] = "resolved" if self._finder.holds(reading.resolved, item, field="resolved") else "firing"
        elif "status" in values:
            values["status"] = "resolved" if str(values["status"]).strip().lower() in ENDED else "firing"
        if "severity" in values:
            word = str(values["severity"])
            values["severity"] = severity_of(word)
            values["labels"] = {"severity": word, **_mapping(values.get("labels"))}
        if "symptom" in values and str(values["symptom"]) not in _SYMPTOMS:
            values["labels"] = {**_mapping(values.get("labels")), "symptom": str(values.pop("symptom"))}
        values.setdefault("resolves", self._reads.resolves)
        if self._reads.expires_after is not None:
            values.setdefault("expires_after", self._reads.expires_after)
        return values

    def _values(self, reading: Reading, item: object) -> dict[str, object]:
        """Field → value, without those of which the item says nothing."""
        found = {name: self._value(name, expression, item) for name, expression in reading.fields}
        values = {name: value for name, value in found.items() if value is not None and value != ""}
        labels = {name: self._value(name, one, item, of="labels") for name, one in reading.labels}
        values["labels"] = labels_of(labels)
        values["links"] = links_of({name: self._value(name, one, item, of="links") for name, one in reading.links})
        if not values["links"]:
            del values["links"]
        if "subject" not in values:
            values["subject"] = self._subject(reading, item, labels_of(labels))
        return values

    def _subject(self, reading: Reading, item: object, labels: Mapping[str, str]) -> Subject:
        for kind, expression in reading.subjects:
            name = self._value(kind, expression, item, of="subject")
            if name not in (None, ""):
                return Subject.of(kind, str(name))
        everything = {**labels, **self._hook.defaults}
        return subject_of(everything, fallback=Subject.of("unknown", self._hook.name))

    def _value(self, name: str, expression: Expression, item: object, *, of: str = "") -> object:
        path = f"{of}.{name}" if of else name
        found = self._finder.find(expression.text, item, field=path) if expression.text else None
        if expression.table:
            return dict(expression.table).get(_word(found), expression.default)
        if found is None or found == "":
            return expression.default or None
        if name in TIMES and not of:
            return self._time(found, path)
        if isinstance(found, (dict, list)):
            if name in ("touches", "reads") and isinstance(found, list):
                return found
            raise BadPayload(f"{expression.text!r} gives {kind_of(found)}, not a text or number", path=path)
        return found if name in NUMBERS and not of else _word(found)

    def _time(self, found: object, path: str) -> datetime | None:
        try:
            if self._reads.time_format and isinstance(found, str):
                at = datetime.strptime(found.strip(), self._reads.time_format)  # noqa: DTZ007 given its zone below
                return moment(at, zone=self._zone)
            return moment(found, zone=self._zone)
        except BadPayload as error:
            raise BadPayload(error.reason, path=path) from None
        except ValueError:
            raise BadPayload(f"{str(found)[:40]!r} is not a time like {self._reads.time_format}", path=path) from None


_SYMPTOMS = frozenset(symptom.value for symptom in Symptom)


def _mapping(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, dict) else {}


def _word(value: object) -> str:
    """A JSON value as a text: what a table's left side is compared with."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _body(message: Message) -> object:
    """The body's value: JSON, or the fields of a form (a field `payload` of JSON is the body itself)."""
    if not message.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return parsed(message.body)
    try:
        fields = dict(parse_qsl(message.body.decode(), keep_blank_values=True, max_num_fields=1_000))
    except ValueError:
        raise BadPayload("the body is not a form of at most 1,000 fields in UTF-8") from None
    if set(fields) == {"payload"}:
        return parsed(fields["payload"].encode())
    return fields


def bound(hook: Hook) -> Source:
    """The source of one hook: its own signature, message id and way of ending beside the shared normalizing."""
    return _bound(hook.reads) if hook.reads is not None else SOURCE


@lru_cache(maxsize=256)
def _bound(reads: Reads) -> Source:
    signature = reads.signature
    verify: Check = shared_secret
    if signature is not None:
        verify = hmac_hex(header=signature.header, prefix=signature.prefix, algorithm=signature.algorithm)
    return replace(
        SOURCE,
        verify=verify,
        message_id=_message_id(reads.message_id) if reads.message_id else SOURCE.message_id,
        resolves=reads.resolves,
        expires_after=reads.expires_after,
    )


def _message_id(expression: str) -> Callable[[Message], str]:
    def message_id(message: Message) -> str:
        try:
            body = _body(message)
            return _word(Finder(message, body).find(expression, body, field="message_id"))[:200]
        except BadPayload:
            return ""

    return message_id


SOURCE = Source(
    name=NAME,
    title="Anything else, by YAML",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    bind=bound,
    ignores=("items for which a condition under `ignore` holds, with its own reason", "items that fit no condition"),
    setup="""\
Declare in the mappings how a message is read, then point the sender at {url} with `Authorization: Bearer {secret}`
(or a header that the sender signs: `signature`). `tocsin sources new NAME --sample payload.json` writes the first
draft; `tocsin check` reads the samples with it.

```yaml
hooks:
  boiler-room:
    source: generic
    secret: {{env: BOILER_ROOM_SECRET}}
    samples: [samples/boiler-room.json]
    reads:
      each: events
      ignore:
        - {{when: "kind == 'test'", because: test ping}}
      alerts:
        - when: "kind == 'alarm'"
          name: rule.title
          subject: {{model: rule.model, service: host}}
          symptom: {{from: rule.check, table: {{psi: feature_drift, late: freshness}}}}
          severity: {{from: level, table: {{"3": critical, "2": error}}, default: warning}}
          resolved: "state == 'gone'"
          observed: value
          threshold: rule.limit
          starts_at: since
          links: {{dashboard: url}}
      changes:
        - when: "kind == 'rollout'"
          kind: {{value: service.deployed}}
          subject: {{service: app}}
          version: tag
          occurred_at: at
```
""",
)
