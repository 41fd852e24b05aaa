"""Which model version or prompt was registered or promoted in MLflow's registry, and which budget is spent?

MLflow sends no stage transitions: a promotion is an alias (`champion`, `production` …) set on a version. A webhook with
a secret is signed; its signed time does not move over retries, which may come up to a minute apart three times over.
Measured with the MLflow 3.17 server; https://mlflow.org/docs/latest/ml/webhooks/
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message, Normalized, Source, Verdict
from tocsin.domain.subject import Subject
from tocsin.sources._identity import environment_of, labels_of, link_of, subject_of
from tocsin.sources._json import number, parsed_object, shaped, text
from tocsin.sources._shape import Name
from tocsin.sources._times import moment
from tocsin.sources._verify import VERIFIED, refused, shared_secret

NAME = "mlflow"

REPLAY_WINDOW = timedelta(hours=1)
"""How far the signed time may lie from the receipt: retries keep the first attempt's time, and clocks differ."""

EVENTS = frozenset(
    {
        "registered_model.created",
        "model_version.created",
        "model_version_alias.created",
        "model_version_alias.deleted",
        "prompt.created",
        "prompt_version.created",
        "prompt_alias.created",
        "prompt_alias.deleted",
    }
)

PROMOTION_ALIASES = frozenset({"champion", "production", "prod"})
"""Unless the hook's default `promotion_alias` lists others."""

BUDGET = "budget_policy.exceeded"
SPANS = {
    "MINUTES": timedelta(minutes=1),
    "HOURS": timedelta(hours=1),
    "DAYS": timedelta(days=1),
    "WEEKS": timedelta(weeks=1),
    "MONTHS": timedelta(days=31),
}
"""duration_unit of a budget: when its window ends, so does the alert."""

_TEST_MODEL = "example_model"
_TEST_RUN = "abcd1234abcd5678"
_TEST_PROMPT = "example_prompt"
_TEST_BUDGET = "bp-abc123"
"""What MLflow's test_webhook sends for a name, a run and a policy; there is no other marker."""


class _Data(BaseModel):
    name: Name
    version: str | None = None
    alias: str | None = None
    run_id: str | None = None
    source: str | None = None
    description: str | None = None
    tags: dict[str, Any] | None = None


class _Event(BaseModel):
    entity: str
    action: str
    timestamp: str
    data: _Data
    workspace: str | None = None

    @property
    def is_prompt(self) -> bool:
        """A prompt is no model: it is what a service says to one, known by the prompt's own name."""
        return self.entity.startswith("prompt")


class _Budget(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)

    budget_policy_id: Name
    budget_unit: str = "USD"
    budget_amount: float | None = None
    current_spend: float | None = None
    duration_unit: str = ""
    duration_value: int = 1
    target_scope: str = ""
    target_value: str | None = None
    """A gateway's endpoint or a user, by the scope."""
    workspace: str | None = None
    window_start: int | float | str | None = None


class _BudgetEvent(BaseModel):
    timestamp: str
    data: _Budget


def verify(message: Message, secrets: Sequence[str]) -> Verdict:
    """The signature when there is one: `v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`; several may stand
    there, separated by spaces. MLflow signs nothing without a secret: then the request must carry a shared secret."""
    signature = message.headers.get("x-mlflow-signature", "")
    if not signature:
        return shared_secret(message, secrets)
    delivery, at = _delivery(message), message.headers.get("x-mlflow-timestamp", "")
    signed = f"{delivery}.{at}.".encode() + message.body
    digests = [hmac.new(secret.encode(), signed, "sha256").digest() for secret in secrets if secret]
    expected = [b"v1," + base64.b64encode(digest) for digest in digests]
    matches = [
        hmac.compare_digest(offered.encode("utf-8", "surrogatepass"), e)
        for offered in signature.split()
        for e in expected
    ]
    if not any(matches):
        return refused("wrong signature: header X-MLflow-Signature fits none of the hook's secrets")
    if not _is_recent(at, message.received_at):
        return refused("wrong signature: its X-MLflow-Timestamp is more than an hour away from the receipt")
    return VERIFIED


def _is_recent(at: str, received_at: datetime) -> bool:
    signed_at = moment(int(at)) if at.isdecimal() and len(at) <= 20 else None
    return signed_at is not None and abs(received_at - signed_at) <= REPLAY_WINDOW


def _delivery(message: Message) -> str:
    return message.headers.get("x-mlflow-delivery-id", "")


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change of a model or prompt, the alert of a spent budget, or the reason why the event is neither. Raises
    BadPayload when it lacks entity, action, timestamp or the name."""
    body = parsed_object(message.body)
    entity, action = text(body.get("entity"), 40), text(body.get("action"), 40)
    name = f"{entity}.{action}"
    if name == BUDGET:
        spent = shaped(_BudgetEvent, body)
        if spent.data.budget_policy_id == _TEST_BUDGET:
            return Normalized(ignored=f"test webhook: {name} of MLflow's {_TEST_BUDGET}")
        return Normalized(alerts=(_spent(spent, message, hook),))
    if name not in EVENTS:
        return Normalized(ignored=_why_ignored(entity, name))
    event = shaped(_Event, body)
    data = event.data
    if (data.name == _TEST_MODEL and data.run_id in (None, _TEST_RUN)) or data.name == _TEST_PROMPT:
        return Normalized(ignored=f"test webhook: {name} of MLflow's {data.name}")
    if event.entity.endswith("_alias"):
        return _alias(event, message, hook)
    return Normalized(changes=(_registered(event, message, hook),))


def _why_ignored(entity: str, name: str) -> str:
    if entity.endswith("_tag"):
        return f"event {name}: a tag changes nothing that runs"
    return f"event {name} is not a change"


def _registered(event: _Event, message: Message, hook: Hook) -> Change:
    data = event.data
    version = data.version or ""
    of = f"version {version}" if version else "registered"
    what = "prompt:" if event.is_prompt else ""
    return _change(
        event,
        message,
        hook,
        kind=ChangeKind.ARTIFACT_PUBLISHED if event.is_prompt else ChangeKind.MODEL_REGISTERED,
        id=f"mlflow:{what}{data.name}:version:{version}" if version else f"mlflow:{what}{data.name}:created",
        outcome=ChangeOutcome.SUCCESS,
        summary=f"{'prompt ' if event.is_prompt else ''}{data.name} {of}"
        + (f": {data.description[:200]}" if data.description else ""),
    )


def _alias(event: _Event, message: Message, hook: Hook) -> Normalized:
    data = event.data
    alias = data.alias or ""
    if alias.lower() not in _promotion_aliases(hook):
        return Normalized(
            ignored=f"alias {alias[:60]} promotes nothing (the hook's promotion_alias lists those that do)"
        )
    deleted = event.action == "deleted"
    change = _change(
        event,
        message,
        hook,
        kind=ChangeKind.ENVIRONMENT_MODIFIED if event.is_prompt else ChangeKind.MODEL_PROMOTED,
        id=f"mlflow:{'prompt:' if event.is_prompt else ''}{data.name}:alias:{alias}:{event.action}:{event.timestamp}",
        outcome=ChangeOutcome.UNKNOWN if deleted else ChangeOutcome.SUCCESS,
        summary=f"{data.name} lost its alias {alias}: which version serves now is not said"
        if deleted
        else f"{data.name} version {data.version} is now {alias}",
    )
    return Normalized(changes=(change,))


def _spent(event: _BudgetEvent, message: Message, hook: Hook) -> Alert:
    """A budget of the AI gateway that is spent: an alert until the budget's window ends."""
    budget = event.data
    at = moment(event.timestamp) or message.received_at
    ends_at = _window_end(budget, at)
    spend = "" if budget.current_spend is None else f": {budget.current_spend:.2f} {budget.budget_unit}"
    limit = "" if budget.budget_amount is None else f", the limit is {budget.budget_amount:.2f}"
    told = {"budget_policy": budget.budget_policy_id, "unit": budget.budget_unit, "scope": budget.target_scope}
    told |= {"target": budget.target_value or "", "workspace": budget.workspace or ""}
    labels = labels_of(dict(hook.defaults) | told)
    return Alert(
        hook=hook.name,
        source=NAME,
        environment=environment_of(hook.defaults, hook),
        name="BudgetExceeded",
        subject=subject_of(dict(hook.defaults), fallback=Subject.of("unknown", f"budget {budget.budget_policy_id}")),
        symptom=Symptom.COST,
        severity=Severity.WARNING,
        status=Status.FIRING,
        summary=f"budget {budget.budget_policy_id} is spent{spend}{limit}",
        received_at=message.received_at,
        starts_at=at,
        resource=budget.budget_policy_id,
        metric="spend",
        observed=number(budget.current_spend),
        threshold=number(budget.budget_amount),
        labels={key: value for key, value in labels.items() if value},
        resolves=Resolves.EXPIRY,
        expires_after=ends_at - at,
    )


def _window_end(budget: _Budget, at: datetime) -> datetime:
    """When the window ends, an hour from now at least; a day from now when the event does not say."""
    span = SPANS.get(budget.duration_unit.upper())
    start = moment(budget.window_start)
    if span is None or start is None or not 0 < budget.duration_value <= 1000:
        return at + timedelta(days=1)
    return min(max(start + span * budget.duration_value, at + timedelta(hours=1)), at + timedelta(days=366))


def _promotion_aliases(hook: Hook) -> frozenset[str]:
    listed = hook.defaults.get("promotion_alias", "")
    return frozenset(each.strip().lower() for each in listed.split(",") if each.strip()) or PROMOTION_ALIASES


def _change(
    event: _Event,
    message: Message,
    hook: Hook,
    *,
    kind: ChangeKind,
    id: str,
    outcome: ChangeOutcome,
    summary: str,
) -> Change:
    data = event.data
    at = moment(event.timestamp) or message.received_at
    tags = labels_of(data.tags)
    facts = {"alias": data.alias, "run_id": data.run_id, "artifact": data.source, "workspace": event.workspace}
    return Change(
        id=id,
        hook=hook.name,
        source=NAME,
        environment=environment_of(dict(hook.defaults) | tags, hook),
        kind=kind,
        subject=Subject.of("service" if event.is_prompt else "model", data.name),
        occurred_at=at,
        received_at=message.received_at,
        finished_at=at,
        outcome=outcome,
        version=data.version or "",
        url=link_of(f"{hook.defaults['tracking_url']}/#/models/{data.name}") if "tracking_url" in hook.defaults else "",
        summary=summary,
        labels=labels_of(facts | {f"tag.{key}": value for key, value in tags.items()}),
    )


SETUP = """With MLflow 3.3 or newer, once per registry:

```python
from mlflow import MlflowClient

MlflowClient().create_webhook(
    name="tocsin",
    url="{url}",
    secret="{secret}",
    events=["registered_model.created", "model_version.created",
            "model_version_alias.created", "model_version_alias.deleted",
            "prompt_version.created", "prompt_alias.created", "prompt_alias.deleted", "budget_policy.exceeded"],
)
```

- MLflow posts only to https and public addresses. For a receiver inside the cluster the MLflow **server** needs
  `MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https` and `MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true`.
- Setting the alias `champion`, `production` or `prod` is the promotion; in the hook's `defaults`,
  `promotion_alias: live,blue` names others, and `tracking_url: https://mlflow.example.com` makes links.
- Prompts are changes of the service that the catalogue knows by the prompt's name: a version is published, the alias
  `production` changes what runs. Leave their events out where prompts are not used.
- A spent budget of the AI gateway is an alert (cost) until the budget's window ends; the hook's default `service` says
  whose it is.
- MLflow gives up after 4 tries in about 7 seconds, so keep the receiver reachable.
"""

SOURCE = Source(
    name=NAME,
    title="MLflow model registry",
    verify=verify,
    normalize=normalize,
    resolves=Resolves.SENDER,
    message_id=_delivery,
    setup=SETUP,
    ignores=(
        "tags of model versions and prompts",
        "aliases that promote nothing",
        "the test webhook (example_model, example_prompt, bp-abc123)",
    ),
)
