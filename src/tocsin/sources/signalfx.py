"""Which detector of Splunk Observability Cloud (SignalFx) fired or cleared?

Signed with X-SFX-Signature: the base64 HMAC-SHA256 of the body. A notification without an answer is sent again for
24 hours, unchanged. https://dev.splunk.com/observability/docs/integrations/webhook_integration_overview
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Sequence
from typing import Any

from tocsin.domain.alert import Resolves, Severity, Status
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source, Verdict
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, fields_of, said
from tocsin.sources._identity import SUBJECT_LABELS
from tocsin.sources._json import number
from tocsin.sources._verify import VERIFIED, any_of, refused, shared_secret

NAME = "signalfx"
SIGNATURE = "X-SFX-Signature"

SEVERITIES = {
    "critical": Severity.CRITICAL,
    "major": Severity.ERROR,
    "minor": Severity.WARNING,
    "warning": Severity.WARNING,
    "info": Severity.INFO,
}
STATES = {
    "anomalous": Status.FIRING,
    "ok": Status.RESOLVED,
    "manually resolved": Status.RESOLVED,
    "stopped": Status.RESOLVED,
    "auto resolved": Status.RESOLVED,
}
"""statusExtended, or the shorter status; `stopped`: the detector or its signal is gone."""

_DIMENSION = re.compile(r"([\w.]+)=([^,{}]+)")
_OWN = ("orgId", "orgid")
_ABOUT = frozenset(name for _, names in SUBJECT_LABELS for name in names)
_THRESHOLD = re.compile(r"threshold\(\s*(-?[\d.]+)")


def signed(message: Message, secrets: Sequence[str]) -> Verdict:
    """`X-SFX-Signature`: the body's HMAC-SHA-256 in base64."""
    value = message.headers.get(SIGNATURE.lower(), "").strip()
    if not value:
        return refused(f"missing signature: header {SIGNATURE} is absent")
    digests = [hmac.new(secret.encode(), message.body, "sha256").digest() for secret in secrets if secret]
    offered = value.encode("utf-8", "surrogatepass")
    matches = [hmac.compare_digest(offered, base64.b64encode(digest)) for digest in digests]
    return VERIFIED if any(matches) else refused(f"wrong signature: header {SIGNATURE} fits none of the hook's secrets")


def normalize(message: Message, hook: Hook) -> Normalized:
    """The incident's state. Raises BadPayload without a rule or detector and for an unknown state."""
    body = fields_of(message)
    more = body.inner("inputs")  # some templates put the rule's own fields beside its inputs
    word = body.text("statusExtended", "status") or more.text("statusExtended", "status")
    if not word:
        raise BadPayload("absent: whether it fires", path="statusExtended")
    if word.lower() not in STATES:
        raise BadPayload(f"{word[:40]!r} is no state of an incident", path="statusExtended")
    status = STATES[word.lower()]
    rule = body.text("rule") or more.text("rule")
    detector = body.text("detector") or more.text("detector")
    name = rule or detector or body.need("rule", "detector")
    if detector and detector != name:
        name = f"{detector}: {name}"
    dimensions = _dimensions(body)
    metric = body.text("originatingMetric")
    title = body.text("messageTitle") or more.text("messageTitle")
    about = body.text("description") or more.text("description")
    at = body.time("timestamp", "timestampISO8601")
    incident = body.text("incidentId")
    told = alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=_subject(dimensions, name),
        status=status,
        severity=SEVERITIES.get(body.text("severity").lower(), Severity.WARNING),
        summary=about or title or name,
        description=body.text("messageBody"),
        starts_at=at if status is Status.FIRING else None,
        ends_at=at,
        tags=dimensions,
        labels={
            "detector_id": body.text("detectorId"),
            "condition": body.text("detectOnCondition"),
            "incident_id": incident,
            "tip": body.text("tip"),
        },
        links={
            "detector": body.text("detectorUrl"),
            "image": body.text("imageUrl"),
            "runbook": body.text("runbookUrl") or more.text("runbookUrl"),
        },
        metric=metric,
        observed=_observed(more),
        threshold=_threshold(body, more),
        sender_key=incident,
        resource=",".join(f"{key}={value}" for key, value in sorted(dimensions.items()) if key not in _ABOUT),
    )
    return Normalized(alerts=(told,))


def _subject(dimensions: dict[str, str], name: str) -> Subject:
    return Subject.of("unknown", dimensions.get("container_name", name))


def _dimensions(body: Fields) -> dict[str, str]:
    """What tells the detector's time series apart: `dimensions`, else what the message quotes in braces."""
    sent: Any = body.data.get("dimensions")
    if isinstance(sent, dict):
        found = {str(key): said(value) for key, value in sent.items()}
    else:
        text = sent if isinstance(sent, str) else body.text("messageBody").partition("Signal details:")[2]
        found = {key: value.strip() for key, value in _DIMENSION.findall(text)}
    return {key: value for key, value in found.items() if value and key not in _OWN and not key.startswith("sf_")}


def _inputs(inputs: Fields) -> dict[str, dict[str, Any]]:
    """Every input by name, those inside of others too: {A: {value, fragment, _S2: {…}}}."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in inputs.data.items():
        if isinstance(value, dict):
            found[str(key)] = value
            found |= {str(inner): deeper for inner, deeper in value.items() if isinstance(deeper, dict)}
    return found


def _observed(inputs: Fields) -> float | None:
    """The first input that is not the threshold."""
    for value in _inputs(inputs).values():
        if "threshold(" not in said(value.get("fragment")):
            return number(value.get("value"))
    return None


def _threshold(body: Fields, inputs: Fields) -> float | None:
    for value in _inputs(inputs).values():
        if "threshold(" in said(value.get("fragment")):
            return number(value.get("value"))
    shown = _THRESHOLD.search(body.text("detectOnCondition"))
    return number(shown[1]) if shown else None


SOURCE = Source(
    name=NAME,
    title="Splunk Observability Cloud (SignalFx)",
    verify=any_of(signed, shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    aliases=("splunk_observability",),
    setup="""\
Data Management → Webhook → New integration: URL `{url}`, shared secret `{secret}` (the body is then signed in
`X-SFX-Signature`), no custom payload. Add it as a recipient of the detector's rules.

Dimensions such as `service`, `model`, `feature` or `host` say what an alert is about. Each set of dimensions is an
alert of its own. *Stopped* (the signal or the detector is gone) and *manually resolved* end it.
""",
)
