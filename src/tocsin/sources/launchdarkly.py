"""Which flag was changed in LaunchDarkly, where and by whom? Its webhooks, which are entries of the audit log.

Two bodies: the webhook's own (`date`, `accesses`, `target.resources`) and that of the integration framework
(`timestamp`, `project.environment`). They may come out of order; each tells when it happened.
https://launchdarkly.com/docs, page "Webhooks"
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field

from tocsin.domain.alert import Resolves
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._delivery import Body, Words, change_of, elsewhere, first_time
from tocsin.sources._identity import link_of, subject_of
from tocsin.sources._json import parsed_object, shaped, text
from tocsin.sources._shape import Name
from tocsin.sources._verify import any_of, hmac_hex, shared_secret

NAME = "launchdarkly"

KINDS = {
    "flag": ChangeKind.FEATURE_FLAG_CHANGED,
    "segment": ChangeKind.FEATURE_FLAG_CHANGED,
    "experiment": ChangeKind.FEATURE_FLAG_CHANGED,
    "holdout": ChangeKind.FEATURE_FLAG_CHANGED,
    "layer": ChangeKind.FEATURE_FLAG_CHANGED,
    "release-pipeline": ChangeKind.FEATURE_FLAG_CHANGED,
    "ai-config": ChangeKind.FEATURE_FLAG_CHANGED,
    "aiconfig": ChangeKind.FEATURE_FLAG_CHANGED,
    "environment": ChangeKind.ENVIRONMENT_MODIFIED,
    "project": ChangeKind.ENVIRONMENT_MODIFIED,
}
"""Kind of the resource → kind of change; any other (member, token, webhook …) alters nothing that users meet."""

EVERYWHERE = frozenset({"", "~", "*"})
SUBJECT_PROPERTIES = ("service", "model", "job", "dataset")
_ENVIRONMENT = re.compile(r"(?:^|:)env/([^:;]+)")
_PROJECT = re.compile(r"(?:^|:)proj/([^:;]+)")
_KEY = re.compile(r":[\w-]+/([^:;/]+)(?:;[^:]*)?$")
_MARKDOWN = re.compile(r"\[([^\]]*)\]\([^)]*\)")


class _Environment(Body):
    key: Words = ""
    name: Words = ""


class _Project(Body):
    key: Words = ""
    environment: _Environment | None = None


class _Member(Body):
    email: Words = ""
    displayName: Words = ""  # noqa: N815
    firstName: Words = ""  # noqa: N815
    lastName: Words = ""  # noqa: N815


class _Entry(Body):
    kind: Name
    id: Name = Field(alias="_id")
    name: Words = ""
    key: Words = ""
    date: Any = None
    timestamp: Any = None
    titleVerb: Words = ""  # noqa: N815
    description: Words = ""
    shortDescription: Words = ""  # noqa: N815
    comment: Words = ""
    project: _Project | None = None
    member: _Member | None = None
    details: Any = None
    customProperties: Any = None  # noqa: N815
    accesses: list[Any] | None = None
    target: Any = None
    links: Any = Field(default=None, alias="_links")


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change, or why the entry is none. Raises BadPayload without `_id` and `kind`."""
    body = parsed_object(message.body)
    entry = shaped(_Entry, body)
    if entry.kind not in KINDS:
        return Normalized(ignored=f"kind {entry.kind[:60]}: nothing that users meet has changed")
    resource = _resource(entry)
    environment = _environment(entry, resource)
    if why := elsewhere(environment, hook, listed="launchdarkly_environment"):
        return Normalized(ignored=why.replace("deployment to", f"{entry.kind} in"))
    key, project = entry.key or _last(resource) or entry.name, _project(entry, resource)
    at = first_time(entry.date, _milliseconds(entry.timestamp))
    details = text(entry.details.get("plainText"), 600) if isinstance(entry.details, dict) else ""
    details = details or _MARKDOWN.sub(r"\1", entry.description).lstrip("* ")
    said = "; ".join(each for each in (entry.comment, details) if each)
    claims = _claims(entry.customProperties)
    place = f" in {environment}" if environment else ""
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"launchdarkly:{entry.id}",
        kind=KINDS[entry.kind],
        subject=subject_of(claims or hook.defaults, fallback=Subject.of("unknown", key or "?")),
        outcome=ChangeOutcome.SUCCESS,
        began=at,
        ended=at,
        environment=environment,
        version=_state(entry.titleVerb),
        author=_who(entry.member),
        url=_site(entry, body),
        summary=f"{entry.kind} {key} {entry.titleVerb or 'changed'}{place}: {said}",
        labels={
            "feature_flag.key": key if entry.kind == "flag" else "",
            "project": project,
            "launchdarkly_environment": environment,
            "name": entry.name,
        },
    )
    return Normalized(changes=(change,))


def _resource(entry: _Entry) -> str:
    """`proj/default:env/production:flag/new-fee`: what was accessed, else the target."""
    accessed = [each.get("resource") for each in entry.accesses or () if isinstance(each, dict)]
    target = entry.target.get("resources") if isinstance(entry.target, dict) else None
    found = [*accessed, *(target if isinstance(target, list) else ())]
    return next((text(each) for each in found if text(each)), "")


def _environment(entry: _Entry, resource: str) -> str:
    """The one environment that it touches; empty for all of them."""
    if entry.kind == "environment":
        named = entry.key or _last(resource)
    elif entry.project and entry.project.environment:
        named = entry.project.environment.key
    else:
        found = _ENVIRONMENT.search(resource)
        named = found[1] if found else ""
    return "" if named in EVERYWHERE else named


def _project(entry: _Entry, resource: str) -> str:
    found = _PROJECT.search(resource)
    return (entry.project.key if entry.project else "") or (found[1] if found else "")


def _last(resource: str) -> str:
    found = _KEY.search(":" + resource)
    return found[1] if found else ""


def _claims(properties: object) -> dict[str, str]:
    """Custom properties that name what the flag belongs to: `service: {values: [checkout]}`."""
    if not isinstance(properties, dict):
        return {}
    found = {}
    for name in SUBJECT_PROPERTIES:
        values = properties[name].get("values") if isinstance(properties.get(name), dict) else None
        if isinstance(values, list) and values and text(values[0]):
            found[name] = text(values[0], 255)
    return found


def _milliseconds(value: object) -> object:
    return value.get("milliseconds") if isinstance(value, dict) else value


def _state(verb: str) -> str:
    return next((state for state in ("on", "off") if f"turned {state} " in f"{verb} "), "")


def _who(member: _Member | None) -> str:
    if member is None:
        return ""
    return member.displayName or f"{member.firstName} {member.lastName}".strip() or member.email


def _site(entry: _Entry, body: dict[str, Any]) -> str:
    site = entry.links.get("site") if isinstance(entry.links, dict) else None
    href = text(site.get("href"), 2048) if isinstance(site, dict) else ""
    return link_of(href) or link_of((text(body.get("baseURL"), 255) or "https://app.launchdarkly.com") + href)


SETUP = """Organization settings → Integrations → Webhooks → Add integration.

- URL `{url}`, sign this webhook: on, secret `{secret}`
- Policy: `proj/*:env/production:flag/*` and `proj/*:env/production:segment/*` keep the rest away
- A hook that stands for production leaves out other environments by their key; `launchdarkly_environment: eu, us` in
  its `defaults` lists keys. What changes in all environments is taken.
- A flag belongs to the service that its custom property `service` names, or the hook's `defaults`.
"""

SOURCE = Source(
    name=NAME,
    title="LaunchDarkly",
    verify=any_of(hmac_hex(header="X-LD-Signature"), shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=(
        "members, tokens, webhooks and other kinds that users do not meet",
        "flags in other environments than the hook's",
    ),
)
