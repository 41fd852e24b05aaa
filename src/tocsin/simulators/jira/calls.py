"""What every call of Jira's API has in common: refusals, bodies, numbers, and what it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson
from flask import g, request
from werkzeug.wrappers import Response

from tocsin.simulators.answers import Json, reply
from tocsin.simulators.jira.fields import BadFields
from tocsin.simulators.jira.people import Account
from tocsin.simulators.jira.resource import Resources
from tocsin.simulators.jira.site import Change, Comment, Issue, Site
from tocsin.simulators.jira.webhooks import Webhooks

_EVENT_TYPES = {"jira:issue_created": "issue_created", "jira:issue_updated": "issue_updated"}
NO_ISSUE = "Issue does not exist or you do not have permission to see it."


class Refused(Exception):
    """Answered with this status and Jira's {errorMessages, errors}."""

    def __init__(self, status: int, *messages: str, errors: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.body: Json = {"errorMessages": list(messages), "errors": dict(errors or {})}
        super().__init__(str(self.body))


def refusal(status: int, *messages: str) -> Response:
    """The answer of a Refused."""
    return reply(Refused(status, *messages).body, status)


def nothing() -> Response:
    """204, with the type that Jira gives its empty answers too."""
    return reply(None, 204)


def bad_fields(bad: BadFields) -> Response:
    """400 for fields that do not fit."""
    return reply({"errorMessages": bad.messages, "errors": bad.errors}, 400)


@dataclass(frozen=True, slots=True)
class Here:
    """What a view works on: the site, the version in the address, and how things are shown."""

    site_now: Callable[[], Site]
    webhooks_now: Callable[[], Webhooks]
    max_comments: int
    cloud: bool

    @property
    def site(self) -> Site:
        return self.site_now()

    @property
    def v3(self) -> bool:
        return str(g.version) != "2"

    @property
    def shown(self) -> Resources:
        return self._shown("3" if self.v3 else "2")

    @property
    def me(self) -> Account:
        """Who calls."""
        account: Account = g.account
        return account

    def _shown(self, version: str) -> Resources:
        base = request.host_url.rstrip("/")
        return Resources(site=self.site, base=base, version=version, user=self.me, cloud=self.cloud)

    def tell(self, event: str, issue: Issue, *, change: Change | None = None, comment: Comment | None = None) -> None:
        """Call the webhooks."""
        self.webhooks_now().tell(event, event_body(self._shown("2"), event, issue, change=change, comment=comment))

    def issue(self, key: str) -> Issue:
        """The issue, or 404."""
        found = self.site.issue(key)
        if found is None:
            raise Refused(404, NO_ISSUE)
        return found


def event_body(
    shown: Resources, event: str, issue: Issue, *, change: Change | None = None, comment: Comment | None = None
) -> Json:
    """What a webhook is told, in the form of version 2; events of comments name few fields of the issue."""
    fields = ["*all"] if comment is None else ["summary", "issuetype", "project", "assignee", "priority", "status"]
    told: Json = {"webhookEvent": event, "issue": shown.issue(issue, fields)}
    if comment is not None:
        told["comment"] = shown.comment(comment)
    else:
        told["user"] = shown.account(shown.user)
        told["issue_event_type_name"] = _EVENT_TYPES.get(event, "issue_generic")
    if change is not None:
        told["changelog"] = {"id": change.id, "items": list(change.items)}
    return told


def body() -> Json:
    """The JSON object of the body, or 400."""
    try:
        given = orjson.loads(request.get_data() or b"null")
    except orjson.JSONDecodeError as wrong:
        raise Refused(400, "There was an error parsing JSON. Check that your request body is valid.") from wrong
    if not isinstance(given, dict):
        raise Refused(400, "Invalid request payload. Refer to the REST API documentation and try again.")
    return given


def inner(given: Mapping[str, object], name: str) -> Json:
    """An object inside a body; empty when absent, 400 when it is something else."""
    value = given.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused(400, "Invalid request payload. Refer to the REST API documentation and try again.")
    return value


def items(given: Mapping[str, object], name: str) -> list[Json]:
    """A list of objects inside a body; empty when absent."""
    value = given.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def number(text: object, default: int) -> int:
    """A count from a body or an address."""
    return int(str(text)) if str(text).isdigit() else default


def texts(value: object) -> list[str]:
    """Names given as a list or, in an address, with commas."""
    if isinstance(value, str):
        return [one for one in value.split(",") if one]
    return [str(one) for one in value] if isinstance(value, list) else []
