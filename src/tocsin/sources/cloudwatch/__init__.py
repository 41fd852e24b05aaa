"""Amazon CloudWatch alarms: through SNS, through EventBridge, and as a Lambda function gets them.

SNS puts the alarm as JSON text into its own envelope; Lambda and SQS wrap that once more. An alarm is known by its
name and what its dimensions are about; its episodes by the times of its state changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tocsin.domain.alert import Resolves
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._cloud import combined
from tocsin.sources._cloudwatch_alarm import alarm_event, is_alarm
from tocsin.sources._json import kind_of, parsed, text
from tocsin.sources.cloudwatch import sns

NAME = "cloudwatch"
MAX_WRAPPINGS = 4
MAX_RECORDS = 1000


def normalize(message: Message, hook: Hook) -> Normalized:
    """Each alarm of the message. Raises BadPayload for a body that is neither an alarm nor what AWS wraps one in."""
    found = [_one(body, message, hook) for body in _bodies(parsed(message.body), "", 0)]
    visit = next((each for each in found if each.visit), None)
    return visit or combined(found)


def _bodies(value: object, path: str, depth: int) -> Iterator[dict[str, Any]]:
    """The innermost objects: out of SNS's envelope, SQS's and Lambda's records, and JSON within texts."""
    if depth > MAX_WRAPPINGS:
        raise BadPayload("wrapped too often", path=path)
    if not isinstance(value, dict):
        raise BadPayload(f"expected a JSON object, found {kind_of(value)}", path=path)
    if isinstance(records := value.get("Records"), list):
        if len(records) > MAX_RECORDS:
            raise BadPayload(f"{len(records)} records; at most {MAX_RECORDS}", path=f"{path}.Records".lstrip("."))
        for n, record in enumerate(records):
            place = f"{path}.Records.{n}".lstrip(".")
            inner = record.get("Sns", record.get("body")) if isinstance(record, dict) else record
            yield from _bodies(_opened(inner, place), place, depth + 1)
    elif "Message" in value and value.get("Type", sns.NOTIFICATION) == sns.NOTIFICATION:
        place = f"{path}.Message".lstrip(".")
        inner = _opened(value["Message"], place)
        yield from _bodies(inner, place, depth + 1)
    else:
        yield value


def _opened(value: object, path: str) -> object:
    """The JSON within a text; a text that is none is what somebody published by hand."""
    if not isinstance(value, str):
        return value
    try:
        inner = parsed(value.encode("utf-8", "surrogatepass"))
    except BadPayload:
        return {"plain_text": value[:1024]}
    return inner if isinstance(inner, dict) else {"plain_text": value[:1024]}


def _one(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    kind = body.get("Type")
    if kind == sns.CONFIRMATION:
        return _confirmation(body)
    if kind == sns.GOODBYE:
        return Normalized(ignored=f"SNS: the subscription to {_topic(body)} was ended; no alarm comes from it any more")
    if is_alarm(body):
        return alarm_event(body, message, hook, source=NAME)
    if "plain_text" in body:
        return Normalized(ignored="an SNS message in plain text: no alarm")
    if "detail-type" in body:
        return Normalized(
            ignored=f"EventBridge event {text(body['detail-type'], 60)}: use a hook of source aws_eventbridge"
        )
    if not body:
        raise BadPayload("an empty object is no alarm")
    if _looks_like_ours(body):
        raise BadPayload("absent; an alarm has a name", path="AlarmName")
    return Normalized(ignored="an SNS message that is no CloudWatch alarm")


def _confirmation(body: dict[str, Any]) -> Normalized:
    url = text(body.get("SubscribeURL"), 4096)
    if not sns.may_fetch(url):
        raise BadPayload("not an address of Amazon SNS", path="SubscribeURL")
    return Normalized(ignored=f"SNS: confirmation of the subscription to {_topic(body)}", visit=url)


def _topic(body: dict[str, Any]) -> str:
    return text(body.get("TopicArn"), 256).rpartition(":")[2] or "a topic"


def _looks_like_ours(body: dict[str, Any]) -> bool:
    return bool({"NewStateValue", "AlarmArn", "alarmArn", "Trigger", "AlarmDescription"} & body.keys())


def _message_id(message: Message) -> str:
    """SNS's MessageId or EventBridge's id: the same whenever it is tried again."""
    if found := message.headers.get("x-amz-sns-message-id", ""):
        return found[:255]
    try:
        body = parsed(message.body)
    except BadPayload:
        return ""
    if not isinstance(body, dict):
        return ""
    return text(body.get("MessageId"), 255) or (text(body.get("id"), 255) if "detail-type" in body else "")


SETUP = """**By SNS.** Subscribe the topic of the alarms to (protocol HTTPS)

    {url}?token={secret}

Tocsin confirms the subscription by itself, once Amazon's signature on the request holds. Every message is checked with
Amazon's certificate, which a worker fetches from `sns.<region>.amazonaws.com` (let it through, or set HTTPS_PROXY).
Instead of a token in the address, the topic's ARN may be one of the hook's secrets. Leave *raw message delivery* off:
raw messages are not signed. Choose the topic as action for **In alarm** and for **OK**.

**By EventBridge.** A rule for source `aws.cloudwatch`, detail type `CloudWatch Alarm State Change`, target an API
destination `{url}` whose connection sends the header `X-Tocsin-Token: {secret}`.

CloudWatch knows no severity: write `severity: critical` into an alarm's description, or `[P1]` into its name.
Dimensions say what an alarm is about (`FunctionName`, `DBInstanceIdentifier`, `QueueName`, `EndpointName`, and your own
`Service`, `Model`, `Feature`).
"""

SOURCE = Source(
    name=NAME,
    title="Amazon CloudWatch alarms",
    verify=sns.verify,
    verify_with_key=sns.verify_with_key,
    may_fetch=sns.may_fetch,
    normalize=normalize,
    resolves=Resolves.SENDER,
    message_id=_message_id,
    aliases=("cloudwatch_sns", "cloudwatch_alarm_direct", "aws_cloudwatch", "amazon_cloudwatch"),
    ignores=(
        "subscription confirmations (the address is visited when the signature holds)",
        "unsubscribe confirmations",
        "SNS messages that are no alarm",
        "composite alarms whose actions are suppressed",
        "alarms that were created or changed, but not deleted",
        "EventBridge events of other services",
    ),
    setup=SETUP,
)
