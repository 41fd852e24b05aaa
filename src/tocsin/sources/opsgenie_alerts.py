"""Tools that send to Opsgenie's Alert API (or to Jira Service Management's, which took its place), pointed at us.

https://docs.opsgenie.com/docs/alert-api
Creating and closing make alerts; a client that asks after its request is answered, so that one which waits for the
alert's id gets an id that closes it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Sequence

from tocsin.domain.alert import Resolves
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Answer, Hook, Message, Normalized, Receipt, Source, Verdict
from tocsin.sources._flat import Fields
from tocsin.sources._json import parsed_object, text
from tocsin.sources._opsgenie import told
from tocsin.sources._verify import VERIFIED, any_of, refused, shared_secret

NAME = "opsgenie_alerts"
PREFIXES = ("/v2/alerts", "/jsm/ops/integration/v2/alerts")
PATHS = ("", "/{identifier}/{operation}", "/{identifier}")
"""Create; close and the other operations; DELETE. The longer comes first: an identifier may hold anything."""
MAX_ALIAS = 512
"""Characters of an alias that Opsgenie keeps."""
TOOK_S = 0.001

STANDS = {
    "acknowledge": "someone looks at it",
    "unacknowledge": "nobody looks at it any more",
    "notes": "a note",
    "snooze": "it is muted for a while",
    "escalate": "somebody else is told",
    "assign": "it has an owner",
    "teams": "somebody else is told",
    "responders": "somebody else is told",
    "tags": "a label changed",
    "details": "a label changed",
    "message": "its words changed",
    "description": "its words changed",
    "priority": "its priority changed",
    "actions": "an action of one's own",
    "attachments": "a file",
}
"""Operations on an alert whose symptom stands; a repeated create brings new words and another priority."""

_REQUEST = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\.(?P<alias>[A-Za-z0-9_-]+)")
"""A request id of ours: the receipt, and the alias of what was created if it had one."""


def genie_key(message: Message) -> str:
    """The key in `Authorization: GenieKey …` (or Bearer, or Basic's password, or ?apiKey=), which also names the hook;
    empty without one."""
    scheme, _, value = message.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() in ("geniekey", "bearer"):
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            return ""
    return message.query.get("apiKey", "").strip()


def verify(message: Message, secrets: Sequence[str]) -> Verdict:
    """Verified when the request's GenieKey is one of the hook's secrets."""
    offered = genie_key(message)
    if not offered:
        return refused("missing credential: send Authorization: GenieKey")
    key = offered.encode("utf-8", "surrogatepass")
    matches = [hmac.compare_digest(key, secret.encode()) for secret in secrets if secret]
    return VERIFIED if any(matches) else refused("wrong credential: the GenieKey is none of the hook's secrets")


def answer(message: Message, receipt: Receipt) -> Answer:
    """Opsgenie's own 202; the request id leads to the alert (see `asked`)."""
    alias = ""
    if not message.query.get("operation"):
        try:
            alias = text(parsed_object(message.body).get("alias"), MAX_ALIAS)
        except BadPayload:
            alias = ""
    coded = base64.urlsafe_b64encode(alias.encode("utf-8", "surrogatepass")).decode().rstrip("=")
    request_id = f"{receipt.id}.{coded}" if coded else str(receipt.id)
    body = {"result": "Request will be processed", "took": TOOK_S, "requestId": request_id}
    return Answer(status=202, body=body)


def asked(message: Message) -> Answer:
    """How did a request end? Whatever we answered 202 is kept, so that it succeeded; `alertId` closes the alert."""
    request_id = message.query.get("request_id", "")[:1024]
    data = {
        "success": True,
        "isSuccess": True,
        "action": "",
        "processedAt": message.received_at.isoformat(),
        "integrationId": message.hook,
        "status": "Request is kept and will be processed",
        "alertId": request_id,
        "alias": _alias_in(request_id),
    }
    return Answer(status=200, body={"data": data, "took": TOOK_S, "requestId": request_id})


def normalize(message: Message, hook: Hook) -> Normalized:
    """The alert that was created, closed or deleted. Raises BadPayload without a message, and for an alert named by
    the number that Opsgenie alone gives (tiny id)."""
    body = Fields(parsed_object(message.body) if message.body.strip() else {})
    operation = message.query.get("operation", "").lower()
    identifier = message.query.get("identifier", "")
    if operation in STANDS:
        return Normalized(ignored=f"{operation}: {STANDS[operation]}, the symptom stands")
    if operation and operation != "close":
        raise BadPayload(f"{operation[:40]!r} is no operation on an alert that Opsgenie documents", path="operation")
    ended = operation == "close" or bool(identifier)  # an identifier without an operation: DELETE
    if ended:
        key = _key(identifier, message.query.get("identifierType", "id"))
        name = body.text("message") or f"closed: {key}"
    else:
        name = body.need("message")
        key = body.text("alias", limit=MAX_ALIAS) or str(message.id)
    return Normalized(alerts=(told(body, message, hook, source=NAME, name=name, key=key, ended=ended),))


def _key(identifier: str, kind: str) -> str:
    if kind.lower() == "tiny":
        raise BadPayload("a tiny id is Opsgenie's own: close by alias", path="identifierType")
    if not identifier:
        raise BadPayload("absent, and it is what the alert is known by", path="identifier")
    return _alias_in(identifier) or identifier[:MAX_ALIAS]


def _alias_in(request_id: str) -> str:
    """The alias in a request id of ours; empty when there is none."""
    found = _REQUEST.fullmatch(request_id)
    if not found:
        return ""
    coded = found["alias"]
    try:
        return base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""


SOURCE = Source(
    name=NAME,
    title="Tools that send to Opsgenie (Alert API)",
    verify=any_of(verify, shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    answer=answer,
    routes=tuple(f"{prefix}{rest}" for prefix in PREFIXES for rest in PATHS),
    route_secret=genie_key,
    lookups={f"{prefix}/requests/{{request_id}}": asked for prefix in PREFIXES},
    aliases=("opsgenie_api",),
    ignores=(
        "acknowledge, notes, snooze, escalate, assign, tags and other operations that leave the symptom as it is",
    ),
    setup="""\
Point the tool's Opsgenie address at this installation and give it the hook's secret as the API key:

- API address: the address of this installation (tools append `/v2/alerts`); API key: `{secret}`
- Alertmanager: `opsgenie_configs: [{{api_url: "https://<this installation>/", api_key: "{secret}"}}]`

```sh
curl -fsS <this installation>/v2/alerts -H 'Authorization: GenieKey {secret}' -H 'Content-Type: application/json' -d '
{{"message": "AUC of churn below 0.80", "alias": "churn-auc", "priority": "P2", "details": {{"model": "churn"}}}}'
curl -fsS -X POST '<this installation>/v2/alerts/churn-auc/close?identifierType=alias' \\
  -H 'Authorization: GenieKey {secret}'
```

Close, DELETE, acknowledge and the other operations, and GET `/v2/alerts/requests/<id>`, are answered as Opsgenie
answers them. Close by alias, or by the id that our answer gave. `{url}` takes a create as well. Who is told is not the
sender's to say here: `responders` and `visibleTo` are not read, the mappings route.
""",
)
