"""Which events are in this body? Amazon EventBridge's envelope, bare or within SNS, SQS and Lambda's wrappings.

https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Message
from tocsin.sources._cloud import MAX_EVENTS, dig, facts, last_part, name_in, time_in
from tocsin.sources._json import kind_of, parsed
from tocsin.sources._times import moment

SNS_HANDSHAKES = ("SubscriptionConfirmation", "UnsubscribeConfirmation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event as AWS's services put it on the bus."""

    source: str
    detail_type: str
    detail: dict[str, Any]
    id: str = ""
    account: str = ""
    region: str = ""
    at: datetime | None = None
    resources: tuple[str, ...] = ()
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, str]:
        """Where it comes from."""
        return {"account": self.account, "region": self.region, "detail_type": self.detail_type}


def is_event(body: dict[str, Any]) -> bool:
    """Does the body carry EventBridge's envelope?"""
    return "detail-type" in body or "detailType" in body


def event_of(body: dict[str, Any]) -> Event:
    """The envelope's parts. `source` and `detail-type` may be lists of one (as rule patterns and one of SageMaker's
    events have them). Raises BadPayload for an envelope without them, or with a time that is none."""
    kind, source = _single(body.get("detail-type", body.get("detailType"))), _single(body.get("source"))
    for path, value in (("detail-type", kind), ("source", source)):
        if not value:
            raise BadPayload("expected a text", path=path)
    detail = body.get("detail")
    if isinstance(detail, str) and detail.lstrip()[:1] == "{":  # as an input transformer writes it
        detail = _within(detail, "detail")
    if detail is not None and not isinstance(detail, dict):
        raise BadPayload(f"expected an object, found {kind_of(detail)}", path="detail")
    resources = body.get("resources", body.get("Resources"))
    listed = resources if isinstance(resources, list) else [resources]
    return Event(
        source=source,
        detail_type=kind,
        detail=detail or {},
        id=name_in(body, "id"),
        account=name_in(body, "account"),
        region=name_in(body, "region"),
        at=time_in(body, "time"),
        resources=tuple(each[:2048] for each in listed if isinstance(each, str) and each),
        body=body,
    )


def _single(value: object) -> str:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value.strip()[:256] if isinstance(value, str) else ""


def bodies_of(message: Message) -> list[dict[str, Any]]:
    """The JSON objects that the message carries: itself, each entry of a list, what SNS, SQS or a Lambda's records
    wrap as text. Raises BadPayload for a wrapping that holds no JSON object, and for more than MAX_EVENTS."""
    found = list(_unwrapped(parsed(message.body), "", 0))
    if len(found) > MAX_EVENTS:
        raise BadPayload(f"{len(found)} events; at most {MAX_EVENTS} in one message")
    return found


def _unwrapped(value: object, path: str, depth: int) -> Iterator[dict[str, Any]]:
    if isinstance(value, str) and depth:
        yield from _unwrapped(_within(value, path), path, depth)
    elif isinstance(value, list) and depth < 4:
        for n, each in enumerate(value):
            yield from _unwrapped(each, f"{path}.{n}".lstrip("."), depth + 1)
    elif not isinstance(value, dict):
        raise BadPayload(f"expected a JSON object, found {kind_of(value)}", path=path)
    elif value.get("Type") == "Notification" and "Message" in value and depth < 4:
        yield from _unwrapped(value["Message"], f"{path}.Message".lstrip("."), depth + 1)
    elif isinstance(records := value.get("Records"), list) and _wraps(records) and depth < 4:
        for n, record in enumerate(records):
            inner = record.get("Sns") or {"Type": "Notification", "Message": record.get("body")}
            inner = {"Type": "Notification", **inner} if isinstance(inner, dict) else inner
            yield from _unwrapped(inner, f"{path}.Records.{n}".lstrip("."), depth + 1)
    elif "messageId" in value and isinstance(value.get("body"), str) and depth < 4:
        yield from _unwrapped(value["body"], f"{path}.body".lstrip("."), depth + 1)
    else:
        yield value


def _wraps(records: list[Any]) -> bool:
    return bool(records) and all(
        isinstance(each, dict) and (isinstance(each.get("Sns"), dict) or isinstance(each.get("body"), str))
        for each in records
    )


def _within(words: str, path: str) -> object:
    try:
        return parsed(words.encode("utf-8", "surrogatepass"))
    except BadPayload as error:
        raise BadPayload(f"a text that is not JSON: {error.reason}", path=path) from None


def handshake_of(body: dict[str, Any]) -> str:
    """Why a body of SNS itself carries nothing; empty for any other."""
    kind = body.get("Type")
    if isinstance(kind, str) and kind in SNS_HANDSHAKES:
        return f"SNS {kind}: open its SubscribeURL once to confirm, or use an EventBridge API destination instead"
    return ""


def name_of(arn: str) -> str:
    """The last part of an ARN's resource: `…:endpoint/churn` → `churn`, `…:alarm:Latency` → `Latency`."""
    return last_part(arn).rpartition(":")[2] or arn


def time_of(detail: dict[str, Any], *keys: str) -> datetime | None:
    """As `time_in`, within `detail`; also reads CodeBuild's `Sep 1, 2017 4:12:29 PM` and Health's
    `Fri, 1 Sep 2017 16:12:29 GMT` (both UTC)."""
    for key in keys:
        value = detail.get(key)
        if isinstance(value, str) and value[:3].isalpha():
            if found := _in_words(value):
                return found
            raise BadPayload(f"{value[:40]!r} is not a time", path=f"detail.{key}")
        if found := time_in(detail, key, path="detail"):
            return found
    return None


def _in_words(text: str) -> datetime | None:
    for spelling in ("%b %d, %Y %I:%M:%S %p", "%a, %d %b %Y %H:%M:%S GMT"):
        try:
            return moment(datetime.strptime(text.strip(), spelling).replace(tzinfo=UTC))
        except ValueError:
            continue
    return None


def event_id(message: Message) -> str:
    """EventBridge's own id of the event, or that of the SNS message; the same over retries."""
    if found := message.headers.get("x-amz-sns-message-id", ""):
        return found[:255]
    try:
        body = parsed(message.body)
    except BadPayload:
        return ""
    top = facts(body)
    if is_event(top):
        return name_in(top, "id")[:255]
    return name_in(top, "MessageId")[:255] if top.get("Type") == "Notification" else ""


def account_name(event: Event) -> str:
    """Who did it, in events of CloudTrail: the user's or role's last name."""
    who = dig(event.detail, "userIdentity", "arn") or dig(event.detail, "userIdentity", "principalId")
    return last_part(who)[:255] if isinstance(who, str) else ""


def need(detail: dict[str, Any], *keys: str) -> str:
    """The first of the detail's fields that is a name or state. Raises BadPayload with the first one's path."""
    if found := name_in(detail, *keys):
        return found
    raise BadPayload("expected a text", path=f"detail.{keys[0]}")


def arn_of(event: Event, *keys: str) -> str:
    """The ARN in one of these fields of the detail, else the last of the event's resources."""
    return name_in(event.detail, *keys) or (event.resources[-1] if event.resources else "")
