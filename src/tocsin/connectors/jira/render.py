"""What does our incident look like as a Jira issue?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tocsin.connectors._connector import cut, one_line
from tocsin.connectors.jira.adf import document
from tocsin.connectors.jira.config import Config
from tocsin.connectors.jira.wiki import wiki
from tocsin.domain.record import Wanted

MAX_SUMMARY = 255  # one line, vendors.md §2.1
MAX_MESSAGE, MAX_DESCRIPTION = 130, 15_000  # of an alert: https://support.atlassian.com/opsgenie/docs/alert-fields/
PROPERTY = "tocsin"
MARK = "tocsin"
"""The label of everything that is ours, by which polling and reconciliation find it."""
OPTIONAL = ("priority", "components")
"""Fields that an issue can do without when the site refuses them."""
_PLACE = re.compile(r"\{(team|environment|severity|category|component|ci|business_service|incident)\}")


def label(key: str) -> str:
    """The label by which an issue of ours is found again: Jira knows no idempotency key."""
    return f"tocsin-{key}"


def render(config: Config, wanted: Wanted) -> Mapping[str, Any]:
    """The body of the create. An issue's label and property go in the same call, so that none of ours lacks them."""
    return _alert(config, wanted) if config.target == "alert" else _issue(config, wanted)


def project_of(config: Config, wanted: Wanted) -> str:
    """The key of the project; empty where neither team nor config names one."""
    return wanted.address.get("project", "") or config.project


def issue_type_of(config: Config, wanted: Wanted) -> str:
    """The name of the issue type."""
    return wanted.address.get("issue_type", "") or config.issue_type


def priority_of(config: Config, wanted: Wanted) -> str:
    """The site's name for this severity; empty where none is configured."""
    return config.priorities.get(str(wanted.severity), "")


def text(config: Config, plain: str) -> object:
    """A text field: a document on Cloud, wiki notation on Data Center."""
    return document(plain) if config.flavour == "cloud" else wiki(plain)


def filled(value: object, wanted: Wanted) -> object:
    """A configured value with our words in the places of {team} and the like."""
    if isinstance(value, str):
        return _PLACE.sub(lambda match: _said(match[1], wanted), value)
    if isinstance(value, list):
        return [filled(one, wanted) for one in value]
    if isinstance(value, dict):
        return {name: filled(one, wanted) for name, one in value.items()}
    return value


def _said(name: str, wanted: Wanted) -> str:
    return wanted.display if name == "incident" else str(getattr(wanted, name))


def _issue(config: Config, wanted: Wanted) -> Mapping[str, Any]:
    fields: dict[str, object] = {
        "project": {"key": project_of(config, wanted)},
        "issuetype": {"name": issue_type_of(config, wanted)},
        "summary": one_line(wanted.title, MAX_SUMMARY),
        "description": text(config, _description(wanted)),
        "labels": [label(wanted.key), MARK, *config.labels],
    }
    if priority := priority_of(config, wanted):
        fields["priority"] = {"name": priority}
    if component := config.components.get(wanted.component):
        fields["components"] = [{"name": component}]
    if wanted.caused_by and config.caused_by_field:
        fields[config.caused_by_field] = wanted.caused_by
    fields |= {name: filled(value, wanted) for name, value in config.fields.items()}
    ours = {"key": wanted.key, "incident": wanted.display, "generation": wanted.generation}
    return {"fields": fields, "properties": [{"key": PROPERTY, "value": ours}]}


def _alert(config: Config, wanted: Wanted) -> Mapping[str, Any]:
    links = "\n".join(f"{said}: {url}" for said, url in wanted.links)
    body: dict[str, Any] = {
        "message": one_line(wanted.title, MAX_MESSAGE),
        "alias": wanted.key,
        "description": cut("\n\n".join(part for part in (_description(wanted), links) if part), MAX_DESCRIPTION),
        "priority": alert_priority_of(config, wanted),
        "entity": cut(wanted.component or wanted.ci, 512),
        "source": "Tocsin",
        "tags": [MARK, wanted.category, wanted.environment],
        "extraProperties": {"incident": wanted.display, "team": wanted.team, "generation": str(wanted.generation)},
    }
    if responder := wanted.address.get("alert_team", ""):
        body["responders"] = [{"type": "team", "id": responder}]
    return body


def alert_priority_of(config: Config, wanted: Wanted) -> str:
    """P1 to P5; P3, which is the vendor's own default, where none is configured."""
    return config.alert_priorities.get(str(wanted.severity), "P3")


def _description(wanted: Wanted) -> str:
    lines = [wanted.body]
    if wanted.previous:
        lines.append(f"Previous record: {wanted.previous}")
    lines.append(wanted.display)
    return "\n\n".join(line for line in lines if line)
