"""What does our incident look like as a Jira issue?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tocsin.connectors._connector import cut, one_line
from tocsin.connectors.jira.adf import MAX_SERIALIZED, document
from tocsin.connectors.jira.config import Config
from tocsin.domain.record import Wanted

MAX_SUMMARY = 255  # one line, vendors.md §2.1
PROPERTY = "tocsin"
OPTIONAL = ("priority", "components")
"""Fields that an issue can do without when the site refuses them."""


def label(key: str) -> str:
    """The label by which an issue of ours is found again: Jira knows no idempotency key."""
    return f"tocsin-{key}"


def render(config: Config, wanted: Wanted) -> Mapping[str, Any]:
    """The body of the create: label and property go in the same call, so that no issue of ours lacks them."""
    fields: dict[str, object] = {
        "project": {"key": wanted.address.get("project", "") or config.project},
        "issuetype": {"name": wanted.address.get("issue_type", "") or config.issue_type},
        "summary": one_line(wanted.title, MAX_SUMMARY),
        "description": text(config, _description(wanted)),
        "labels": [label(wanted.key), *config.labels],
    }
    if priority := priority_of(config, wanted):
        fields["priority"] = {"name": priority}
    if component := config.components.get(wanted.component):
        fields["components"] = [{"name": component}]
    ours = {"key": wanted.key, "incident": wanted.display, "generation": wanted.generation}
    return {"fields": fields, "properties": [{"key": PROPERTY, "value": ours}]}


def priority_of(config: Config, wanted: Wanted) -> str:
    """The site's name for this severity; empty where none is configured."""
    return config.priorities.get(str(wanted.severity), "")


def text(config: Config, plain: str) -> object:
    """A text field: a document on Cloud, a plain string on Data Center."""
    return document(plain) if config.flavour == "cloud" else cut(plain, MAX_SERIALIZED)


def _description(wanted: Wanted) -> str:
    lines = [wanted.body]
    if wanted.previous:
        lines.append(f"Previous record: {wanted.previous}")
    lines.append(wanted.display)
    return "\n\n".join(line for line in lines if line)
