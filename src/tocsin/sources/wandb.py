"""Which model version was linked or promoted in Weights & Biases, which run or metric broke? Its automations' webhooks.

The body is the user's template: ours (see setup), or the one of W&B's own examples with `client_payload`. With a secret
W&B signs the body. https://docs.wandb.ai/models/automations/create-automations/webhook
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source, Verdict
from tocsin.domain.subject import Subject
from tocsin.sources._cloud import Occasion, facts, last_part, name_in, outcome_of, plain, time_in
from tocsin.sources._identity import link_of, severity_of, symptom_of
from tocsin.sources._json import number, parsed_object
from tocsin.sources._verify import VERIFIED, any_of, refused, shared_secret

NAME = "wandb"

PROMOTION_ALIASES = frozenset({"production", "prod", "champion", "live", "deployed"})
"""Unless the hook's default `promotion_alias` lists others."""

LINKED = frozenset({"LINK_ARTIFACT", "LINK_MODEL", "CREATE_ARTIFACT", "ARTIFACT_LINKED", "ARTIFACT_CREATED"})
ALIASED = frozenset({"ADD_ARTIFACT_ALIAS", "ARTIFACT_ALIAS_ADDED"})
TAGGED = frozenset({"ADD_ARTIFACT_TAG", "ARTIFACT_TAG_ADDED"})
METRICS = frozenset({"RUN_METRIC", "RUN_METRIC_THRESHOLD", "RUN_METRIC_CHANGE", "RUN_METRIC_ZSCORE"})
RUN_STATES = {"finished": "success", "failed": "failed", "crashed": "failed", "killed": "stopped", "running": "running"}

EXPIRES_AFTER = timedelta(hours=24)
"""An automation tells that a metric crossed its bound, never that it came back."""


def _signed(message: Message, secrets: Sequence[str]) -> Verdict:
    """`X-Wandb-Signature`: the body's HMAC-SHA256, in hex, after `sha256=`, or in base64 as its own example."""
    value = message.headers.get("x-wandb-signature", "").strip().removeprefix("sha256=")
    if not value:
        return refused("missing signature: header X-Wandb-Signature is absent")
    digests = [hmac.new(secret.encode(), message.body, "sha256").digest() for secret in secrets if secret]
    offered = value.encode("utf-8", "surrogatepass")
    matches = [
        hmac.compare_digest(offered, spelling)
        for digest in digests
        for spelling in (digest.hex().encode(), base64.b64encode(digest))
    ]
    if any(matches):
        return VERIFIED
    return refused("wrong signature: header X-Wandb-Signature fits none of the hook's secrets")


def normalize(message: Message, hook: Hook) -> Normalized:
    """The change or alert of one automation. Raises BadPayload for a template that names neither artifact nor run."""
    body = _flat(parsed_object(message.body))
    event = name_in(body, "event_type").upper()
    occasion = Occasion(source=NAME, message=message, hook=hook, labels=_labels(body))
    if "$" in event:
        return Normalized(ignored="variables that were not filled in: W&B's Test button")
    if event in TAGGED:
        return Normalized(ignored=f"event {event}: a tag changes nothing that runs")
    if event in METRICS or "metric_name" in body:
        return Normalized(alerts=(_metric(body, occasion),))
    if event == "RUN_STATE" or name_in(body, "run_state"):
        return _run(body, occasion)
    if event in LINKED | ALIASED or name_in(body, *_ARTIFACT):
        return _artifact(body, event, occasion)
    if "@type" in body or "blocks" in body:
        return Normalized(ignored="a message for a chat: use the template of this source's setup")
    raise BadPayload(
        "names neither artifact_version_string nor run_id: use the template of the setup", path="event_type"
    )


_ARTIFACT = ("artifact_version_string", "artifact_version", "artifact_collection_name")


def _flat(body: dict[str, Any]) -> dict[str, Any]:
    """The body with what stands under `client_payload`, without variables that W&B did not fill in."""
    inner = facts(body.get("client_payload"))
    both = {**body, **inner, "event_type": body.get("event_type", inner.get("event_type"))}
    unfilled = {key for key, value in both.items() if isinstance(value, str) and value.strip().startswith("${")}
    return {key: value for key, value in both.items() if key not in unfilled - {"event_type"}}


def _labels(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in ("artifact_version", "client_payload")}


def _path(body: dict[str, Any]) -> tuple[str, str, str]:
    """Collection, version and alias: `acme/model-registry/churn:v18` → churn, v18, ''."""
    full = name_in(body, "artifact_version_string")
    path, _, tail = full.rpartition(":") if ":" in full else (full, "", "")
    name = name_in(body, "artifact_collection_name") or last_part(path)
    version = tail if tail[:1] == "v" and tail[1:].isdecimal() else name_in(body, "version")
    return name, version, name_in(body, "alias") or ("" if version == tail else tail)


def _artifact(body: dict[str, Any], event: str, occasion: Occasion) -> Normalized:
    name, _, alias = _path(body)
    if not name:
        raise BadPayload("expected a text", path="artifact_collection_name")
    if name_in(body, "artifact_type").lower() == "dataset":
        return Normalized(changes=(_changed(body, occasion, ChangeKind.DATASET_MODIFIED, Subject.of("dataset", name)),))
    promotes = alias.lower() in _promotion_aliases(occasion.hook)
    if event in ALIASED and not promotes:
        return Normalized(
            ignored=f"alias {alias[:60]} promotes nothing (the hook's promotion_alias lists those that do)"
        )
    kind = ChangeKind.MODEL_PROMOTED if promotes and event not in LINKED else ChangeKind.MODEL_REGISTERED
    return Normalized(changes=(_changed(body, occasion, kind, Subject.of("model", name)),))


def _promotion_aliases(hook: Hook) -> frozenset[str]:
    listed = hook.defaults.get("promotion_alias", "")
    return frozenset(each.strip().lower() for each in listed.split(",") if each.strip()) or PROMOTION_ALIASES


def _changed(body: dict[str, Any], occasion: Occasion, kind: ChangeKind, subject: Subject) -> Change:
    name, version, alias = _path(body)
    at = time_in(body, "timestamp", "created_at")
    promoted = kind is ChangeKind.MODEL_PROMOTED
    said = f"is now {alias}" if promoted else "was linked"
    moment = f":{at or occasion.message.received_at:%Y-%m-%dT%H:%M}" if promoted else ""
    return occasion.change(
        id=f"wandb:{name_in(body, 'entity_name')}:{name}:{version or alias}:{kind.value}{moment}",
        kind=kind,
        subject=subject,
        outcome=ChangeOutcome.SUCCESS,
        summary=f"{name} {version} {said}",
        began=at,
        version=version[:255],
        author=name_in(body, "event_author")[:255],
        url=link_of(body.get("url")),
    )


def _run(body: dict[str, Any], occasion: Occasion) -> Normalized:
    """A run that ended; a failed one is also an alert on its project, which the next that finishes ends."""
    run = name_in(body, "run_id", "run_name")
    if not run:
        raise BadPayload("expected a text", path="run_id")
    state = name_in(body, "run_state", "state", "new_state")
    outcome = outcome_of(RUN_STATES.get(plain(state), state))
    project = name_in(body, "project_name") or run
    subject = Subject.of("job", project)
    summary = f"run {name_in(body, 'run_name') or run} of {project}: {state or 'no state'}"
    at = time_in(body, "timestamp", "created_at") or occasion.message.received_at
    change = occasion.change(
        id=f"wandb:{name_in(body, 'entity_name')}:{project}:{run}",
        kind=ChangeKind.PIPELINERUN_FINISHED,
        subject=subject,
        outcome=outcome,
        summary=summary,
        began=at,
        author=name_in(body, "event_author")[:255],
        url=link_of(body.get("url")),
    )
    if outcome not in (ChangeOutcome.SUCCESS, ChangeOutcome.FAILURE):
        return Normalized(changes=(change,))
    alert = occasion.alert(
        name="RunFailed",
        subject=subject,
        symptom=Symptom.ERRORS,
        severity=Severity.ERROR,
        status=Status.FIRING if outcome is ChangeOutcome.FAILURE else Status.RESOLVED,
        summary=summary,
        at=at,
        resolves=Resolves.NEXT_PASS,
    )
    return Normalized(alerts=(alert,), changes=(change,))


def _metric(body: dict[str, Any], occasion: Occasion) -> Alert:
    """A metric of a run beyond the bound that the automation watches."""
    metric = name_in(body, "metric_name", "metric")
    model = name_in(body, "model") or occasion.hook.defaults.get("model", "")
    project, run = name_in(body, "project_name"), name_in(body, "run_name", "run_id")
    subject = Subject.of("model", model) if model else Subject.of("job", project or run or "wandb")
    observed, threshold = number(body.get("metric_value")), number(body.get("threshold", body.get("metric_threshold")))
    shown = "" if observed is None else f" is {observed:g}"
    bound = "" if threshold is None else f", threshold {threshold:g}"
    return occasion.alert(
        name=name_in(body, "automation_name") or f"RunMetric {metric}".strip(),
        subject=subject,
        symptom=symptom_of({"symptom": name_in(body, "symptom")}, metric, "performance"),
        severity=severity_of(name_in(body, "severity")),
        status=Status.FIRING,
        summary=f"{metric or 'a metric'} of {run or project}{shown}{bound}",
        at=time_in(body, "timestamp", "created_at"),
        metric=metric[:255],
        observed=observed,
        threshold=threshold,
        links={"run": link} if (link := link_of(body.get("url"))) else {},
        resolves=Resolves.EXPIRY,
        expires_after=EXPIRES_AFTER,
    )


SETUP = """Team settings → Webhooks → New webhook: URL `{url}`. Put `{secret}` into a team secret and choose it both as
*Access token* (sent as a bearer token) and as *Secret* (W&B then signs the body).

Project or registry → Automations → Create, one for each event, action *Webhook*, with this payload:

```json
{{"event_type": "${{event_type}}", "event_author": "${{event_author}}", "alias": "${{alias}}",
 "artifact_version_string": "${{artifact_version_string}}", "artifact_collection_name": "${{artifact_collection_name}}",
 "project_name": "${{project_name}}", "entity_name": "${{entity_name}}"}}
```

- *A new version is linked* registers a model; *an artifact alias is added* promotes one when the alias is `production`,
  `prod`, `champion`, `live` or `deployed` (the hook's default `promotion_alias: blue` names others).
- For run metrics add constant lines: `"metric_name": "val_auc", "threshold": 0.85, "model": "churn",
  "symptom": "performance", "severity": "error"`; for run states `"run_id"` and `"run_state": "failed"`.
- `"artifact_type": "dataset"` makes a linked version a change of a dataset.
- The payload of W&B's example for GitHub (`client_payload`) is read as well.
"""

SOURCE = Source(
    name=NAME,
    title="Weights & Biases automations",
    verify=any_of(shared_secret, _signed),
    normalize=normalize,
    resolves=Resolves.EXPIRY,
    expires_after=EXPIRES_AFTER,
    setup=SETUP,
    ignores=(
        "tags",
        "aliases that promote nothing",
        "variables that were not filled in (the Test button)",
        "messages for a chat",
    ),
    aliases=("weights_and_biases",),
)
