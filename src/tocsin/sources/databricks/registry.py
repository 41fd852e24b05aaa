"""Which model version moved to which stage in Databricks' workspace registry? The webhooks of older workspaces.

https://docs.databricks.com/aws/en/mlflow/model-registry-webhooks
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._cloud import Occasion, name_in, time_in

PROMOTES = "production"
QUIET = {
    "COMMENT_CREATED": "a comment changes nothing that runs",
    "MODEL_VERSION_TAG_SET": "a tag changes nothing that runs",
    "TRANSITION_REQUEST_CREATED": "a request changes nothing until it is granted",
    "TRANSITION_REQUEST_TO_STAGING_CREATED": "a request changes nothing until it is granted",
    "TRANSITION_REQUEST_TO_PRODUCTION_CREATED": "a request changes nothing until it is granted",
    "TRANSITION_REQUEST_TO_ARCHIVED_CREATED": "a request changes nothing until it is granted",
}
STAGES = {
    "MODEL_VERSION_TRANSITIONED_TO_PRODUCTION": "Production",
    "MODEL_VERSION_TRANSITIONED_TO_STAGING": "Staging",
    "MODEL_VERSION_TRANSITIONED_TO_ARCHIVED": "Archived",
}


def is_registry(body: dict[str, Any]) -> bool:
    """Is this a webhook of the registry, or its test?"""
    return "event" in body and ("model_name" in body or "webhook_id" in body)


def told(body: dict[str, Any], occasion: Occasion) -> Normalized:
    """The registration or promotion. Raises BadPayload without a model's name."""
    event = name_in(body, "event")
    if event in QUIET:
        return Normalized(ignored=f"event {event}: {QUIET[event]}")
    if event.upper().startswith("TEST") or name_in(body, "model_name") == "test_model":
        return Normalized(ignored="the registry's test webhook")
    model, version = name_in(body, "model_name"), name_in(body, "version")
    if not model:
        raise BadPayload("expected a text", path="model_name")
    at = time_in(body, "event_timestamp")
    if event in ("REGISTERED_MODEL_CREATED", "MODEL_VERSION_CREATED"):
        return Normalized(changes=(_change(body, occasion, ChangeKind.MODEL_REGISTERED, ChangeOutcome.SUCCESS, at),))
    if not event.startswith("MODEL_VERSION_TRANSITIONED"):
        return Normalized(ignored=f"event {event[:60]} is not a change")
    to, before = STAGES.get(event) or name_in(body, "to_stage"), name_in(body, "from_stage")
    if to.lower() == PROMOTES:
        outcome = ChangeOutcome.SUCCESS
    elif before.lower() == PROMOTES:
        outcome = ChangeOutcome.UNKNOWN
    else:
        return Normalized(ignored=f"{model[:80]} version {version[:20]} moved to {to[:40]}, which promotes nothing")
    return Normalized(changes=(_change(body, occasion, ChangeKind.MODEL_PROMOTED, outcome, at),))


def _change(
    body: dict[str, Any], occasion: Occasion, kind: ChangeKind, outcome: ChangeOutcome, at: datetime | None
) -> Change:
    model, version = name_in(body, "model_name"), name_in(body, "version")
    to, before = name_in(body, "to_stage"), name_in(body, "from_stage")
    moved = f"moved from {before or 'None'} to {to}" if to else "was registered"
    return occasion.change(
        id=f"databricks:registry:{model}:{version}:{to or 'created'}:{name_in(body, 'event_timestamp')}",
        kind=kind,
        subject=Subject.of("model", model),
        outcome=outcome,
        summary=name_in(body, "text") or f"{model} version {version} {moved}",
        began=at,
        version=version[:255],
        labels={"event": name_in(body, "event"), "to_stage": to, "from_stage": before},
    )
