"""Is this event valid, in PagerDuty's words? Its documented rules, and the types of its published schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

MAX_SUMMARY = 1024
MAX_DEDUP_KEY = 255
SEVERITIES = ("critical", "warning", "error", "info")
ACTIONS = ("trigger", "acknowledge", "resolve")

_TEXTS = ("dedup_key", "client", "client_url")
_PAYLOAD_TEXTS = ("source", "component", "group", "class")
_CONTEXTS = (("links", "href", ("href", "text")), ("images", "src", ("src", "href", "alt")))


def key_errors(key: object) -> list[str]:
    """What is wrong with a routing key."""
    if not key:
        return ["'routing_key' is missing or blank"]
    if not isinstance(key, str):
        return ["'routing_key' must be a string"]
    errors = []
    if len(key) != 32:
        errors.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    if not (key.isascii() and key.isalnum()):
        errors.append("'routing_key' cannot contain non-alphanumeric characters.")
    return errors


def event_errors(event: Mapping[str, object]) -> list[str]:
    """What is wrong with an alert event; empty when it is valid."""
    action = event.get("event_action")
    if not action:
        return ["'event_action' is missing or blank"]
    if action not in ACTIONS:
        return ["'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')"]
    errors = [*_wrong_texts(event, _TEXTS, "")]
    key = event.get("dedup_key")
    if action != "trigger" and not key:
        errors.append("'dedup_key' is missing or blank")
    if key and len(str(key)) > MAX_DEDUP_KEY:
        errors.append(f"'dedup_key' is too long (maximum is {MAX_DEDUP_KEY} characters)")
    if action == "trigger" or "payload" in event:
        errors += _payload_errors(event.get("payload"))
    return errors + context_errors(event)


def change_errors(event: Mapping[str, object]) -> list[str]:
    """What is wrong with a change event; empty when it is valid."""
    payload = event.get("payload")
    if not isinstance(payload, Mapping):
        return ["'payload' is missing or blank"]
    return [*summary_errors(payload), *_common_errors(payload), *context_errors(event)]


def _payload_errors(payload: object) -> list[str]:
    if not isinstance(payload, Mapping):
        return ["'payload' is missing or blank"]
    errors = summary_errors(payload)
    if not payload.get("source"):
        errors.append("'payload.source' is missing or blank")
    severity = payload.get("severity")
    if not severity:
        errors.append("'payload.severity' is missing or blank")
    elif severity not in SEVERITIES:
        errors.append(
            "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')"
        )
    return errors + _common_errors(payload)


def summary_errors(payload: Mapping[str, object]) -> list[str]:
    """What is wrong with a summary."""
    summary = payload.get("summary")
    if not isinstance(summary, str) or not summary.strip():
        return ["'payload.summary' is missing or blank"]
    if len(summary) > MAX_SUMMARY:
        return [f"'summary' is too long (maiximum is {MAX_SUMMARY} characters)"]  # the vendor's own spelling
    return []


def _common_errors(payload: Mapping[str, object]) -> list[str]:
    errors = [*_wrong_texts(payload, _PAYLOAD_TEXTS, "payload.")]
    if "timestamp" in payload and not _is_moment(payload["timestamp"]):
        errors.append("'payload.timestamp' is invalid (must be an ISO 8601 date and time)")
    if "custom_details" in payload and not isinstance(payload["custom_details"], Mapping):
        errors.append("'payload.custom_details' is invalid (must be an object)")
    return errors


def context_errors(event: Mapping[str, object]) -> list[str]:
    """What is wrong with links and images."""
    errors = []
    for name, required, texts in _CONTEXTS:
        if name not in event:
            continue
        given = event[name]
        if not isinstance(given, list) or not all(isinstance(one, Mapping) and one.get(required) for one in given):
            errors.append(f"'{name}' is invalid (each must have '{required}')")
        elif any([*_wrong_texts(one, texts, "")] for one in given):
            errors.append(f"'{name}' is invalid (texts must be strings)")
        elif name == "images" and not all(str(one["src"]).startswith("https://") for one in given):
            errors.append("'images' is invalid (each 'src' must be served via HTTPS)")
    return errors


def _wrong_texts(given: Mapping[str, object], names: tuple[str, ...], where: str) -> Iterator[str]:
    for name in names:
        if name in given and not isinstance(given[name], str):
            yield f"'{where}{name}' must be a string"


def _is_moment(value: object) -> bool:
    """RFC 3339, and the ISO 8601 offsets without a colon that PagerDuty's own examples use."""
    try:
        return isinstance(value, str) and "T" in value.upper() and bool(datetime.fromisoformat(value))
    except ValueError:
        return False
