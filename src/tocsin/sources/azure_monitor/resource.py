"""What is an Azure alert about, and how bad is it? Resource ids, dimensions and severities in Azure's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tocsin.domain.alert import Severity
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields
from tocsin.sources._identity import SUBJECT_LABELS, labels_of, severity_of

NAME = "azure_monitor"

SEVERITIES = {
    "sev0": Severity.CRITICAL,
    "sev1": Severity.ERROR,
    "sev2": Severity.WARNING,
    "sev3": Severity.INFO,
    "sev4": Severity.INFO,
}
"""Critical, Error, Warning, Informational, Verbose: learn.microsoft.com/azure/azure-monitor/alerts/alerts-overview"""

KINDS: tuple[tuple[str, str], ...] = (
    (r"microsoft\.compute/.*|microsoft\.(classic|hybrid)compute/.*|vmwarevirtualmachines", "host"),
    (r"microsoft\.sql/.*|microsoft\.dbfor\w+/.*|microsoft\.sqlvirtualmachine/.*", "host"),
    (r"microsoft\.(servicebus|eventhub|eventgrid|relay)/.*", "queue"),
    (r"microsoft\.(datafactory|synapse|databricks|logic|batch)/.*", "job"),
    (r"microsoft\.machinelearningservices/.*/(online|batch|serverless)endpoints.*", "model"),
    (r"microsoft\.cognitiveservices/accounts/deployments", "model"),
)
"""Resource type, in lower case → kind of subject; any other is a service."""

_KINDS = tuple((re.compile(types), kind) for types, kind in KINDS)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_OF_THE_TARGET = frozenset({"microsoft_resource_id", "microsoft_resource_type", "resource_id", "_resource_id"})
_RENAMED = {
    "computer": "host",
    "deployment_name": "deployment",
    "cloud_role_name": "service",
    "app_role_name": "service",
}
_SUBJECTS = frozenset(key for _, keys in SUBJECT_LABELS for key in keys)
_ELSEWHERE = frozenset({"segment", "slice", "cohort", "model_version", "environment", "env", "region", "host"})


@dataclass(frozen=True, slots=True)
class Target:
    """A resource id taken apart: `/subscriptions/S/resourceGroups/G/providers/T/N`."""

    id: str = ""
    name: str = ""
    type: str = ""
    group: str = ""
    subscription: str = ""

    @property
    def subject(self) -> Subject | None:
        """None for a whole subscription or resource group."""
        if not self.name or not self.type:
            return None
        kind = next((kind for types, kind in _KINDS if types.fullmatch(self.type)), "service")
        return Subject.of(kind, self.name)

    @property
    def is_a_store(self) -> bool:
        """Where logs or metrics lie, not what they are about."""
        return self.type in ("microsoft.operationalinsights/workspaces", "microsoft.monitor/accounts")

    @property
    def link(self) -> str:
        return f"https://portal.azure.com/#resource{self.id}" if self.id.startswith("/subscriptions/") else ""


def target_of(id: str, *, name: str = "", type: str = "") -> Target:
    """The parts of a resource id; `name` and `type` where the body gives them apart."""
    parts = [part for part in id.strip().split("/") if part]
    lowered = [part.lower() for part in parts]
    subscription = _after(lowered, parts, "subscriptions")
    group = _after(lowered, parts, "resourcegroups")
    found, kind = "", type.lower()
    if "providers" in lowered:
        rest = parts[len(lowered) - lowered[::-1].index("providers") :]
        if len(rest) > 2:
            kind = "/".join([rest[0], *rest[1::2]]).lower()
            found = rest[-1] if len(rest) % 2 else rest[-2]
    return Target(id=id[:1024], name=name or found, type=kind or type.lower(), group=group, subscription=subscription)


def _after(lowered: list[str], parts: list[str], word: str) -> str:
    place = lowered.index(word) + 1 if word in lowered else len(parts)
    return parts[place] if place < len(parts) else ""


def dimensions_of(listed: object) -> dict[str, str]:
    """Dimensions under names in snake case, without those that repeat the target."""
    if isinstance(listed, list):
        pairs = (Fields(each) for each in listed if isinstance(each, dict))
        listed = {pair.text("name"): pair.text("value") for pair in pairs}
    named = {_HUMP.sub("_", key).strip("_").lower(): value for key, value in labels_of(listed).items() if key and value}
    plain = {key: value for key, value in named.items() if not value.startswith("/subscriptions/")}
    return {_RENAMED.get(key, key): value for key, value in plain.items() if key not in _OF_THE_TARGET}


def told_apart(dimensions: Mapping[str, str], *known: str) -> str:
    """What of a rule's dimensions tells its alerts apart besides what has a field of its own."""
    taken = _SUBJECTS | _ELSEWHERE
    rest: Iterable[str] = (value for key, value in sorted(dimensions.items()) if key not in taken)
    return ",".join(dict.fromkeys(value for value in rest if value not in (*known, "*")))[:200]


def is_test(rule: str, description: str) -> bool:
    """What an action group's Test button sends: rules `test-…` with Azure's own description (`Alert rule description`,
    with blanks or without)."""
    return rule.lower().startswith("test-") and description.lower().replace(" ", "") in ("alertruledescription", "")


def breach(value: str, operator: str, limit: str) -> str:
    """`97.25 (GreaterThan 90)`; empty without both numbers."""
    return f"{value} ({f'{operator} {limit}' if operator else f'threshold {limit}'})" if value and limit else ""


def severity(word: str) -> Severity:
    """`Sev0` … `Sev4`, their digits alone, or a word; warning when there is none."""
    short = word.strip().lower().replace(" ", "")
    return SEVERITIES.get(short) or SEVERITIES.get(f"sev{short}") or severity_of(word)
