"""Will this site take our issues at 3 a.m.? What holds for the whole site; each project stands in projects.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tocsin.connectors._http import Failure, Http, Reply, basic
from tocsin.connectors._inspect import (
    Look,
    clock,
    error,
    note,
    ok,
    refused,
    some,
    warning,
    way_there,
)
from tocsin.connectors.jira.config import Config
from tocsin.connectors.jira.ops import Ops
from tocsin.connectors.jira.probe import probe
from tocsin.connectors.jira.projects import projects
from tocsin.domain.record import Reason
from tocsin.domain.seen import Finding, Grade, Inspection

_TOKEN_PAGE = "https://id.atlassian.com/manage-profile/security/api-tokens"
_DEPLOYMENTS = {"Cloud": "cloud", "Server": "datacenter"}
FEW_LEFT = 0.1
"""Less than this share of a burst limit left is worth saying."""


class Eyes:
    """One site, looked at with GET only. `headers` are those of the last answer."""

    def __init__(self, config: Config, look: Look) -> None:
        token = config.api_token.get_secret_value()
        self.config, self.look = config, look
        self.cloud = config.flavour == "cloud"
        self.login = {"Authorization": basic(config.email, token) if self.cloud else f"Bearer {token}"}
        self.headers: Mapping[str, str] = {}

    def get(self, path: str, **params: str) -> Any:  # noqa: ANN401  # the vendor's JSON, or a Failure
        """What stands at /rest/api/<version><path>."""
        return self.at(f"/rest/api/{3 if self.cloud else 2}{path}", **params)

    def at(self, path: str, **params: str) -> Any:  # noqa: ANN401  # as above
        """What stands at a path of the site."""
        answer: Reply | Failure = self.look.get(self.config.root + path, headers=self.login, params=params)
        if isinstance(answer, Failure):
            return answer
        self.headers = answer.headers
        return answer.body


def inspect(config: Config, inspection: Inspection, http: Http) -> Iterator[Finding]:
    """Everything that doctor can find out about one site, in the order in which it matters."""
    look = Look(http, inspection.now)
    for finding in way_there(config, config.root, now=look.now):
        yield finding
        if finding.grade is Grade.ERROR:
            return
    eyes = Eyes(config, look)
    yield from _flavour(eyes)
    me = eyes.get("/myself")
    if isinstance(me, Failure):
        yield _no_login(config, me)
        return
    yield ok("credentials", me.get("emailAddress") or me.get("displayName") or me.get("name", ""), "Logged in")
    skew = clock(eyes.headers, look.now)
    if skew is not None:
        yield skew
    yield _burst(eyes.headers)
    if config.target == "issue":
        yield from _site_wide(eyes)
        yield from projects(eyes, inspection)
    else:
        yield _alerts(config, look)
    yield from _way_back(eyes, inspection)
    if inspection.probe_group and config.target == "alert":
        yield note("probe", says="Nothing was written: an alert would notify its responders")
    elif inspection.probe_group:
        yield from probe(eyes, inspection)


def _no_login(config: Config, failure: Failure) -> Finding:
    if failure.reason is not Reason.UNAUTHORIZED:
        return refused("reach" if failure.reason is not Reason.FORBIDDEN else "credentials", failure)
    what = "the user's e-mail and an API token" if config.flavour == "cloud" else "a personal access token"
    remedy = f"give {what}" + (f" ({_TOKEN_PAGE}), not the password" if config.flavour == "cloud" else "")
    return error("credentials", "401", f"The login is refused: {failure.detail}", remedy)


def _flavour(eyes: Eyes) -> Iterator[Finding]:
    """Cloud and Data Center speak differently; the site says which it is."""
    server = eyes.at("/rest/api/2/serverInfo")
    if isinstance(server, Failure) or not isinstance(server, dict):
        return
    there = _DEPLOYMENTS.get(str(server.get("deploymentType", "")), "")
    if there and there != eyes.config.flavour:
        yield error("flavour", eyes.config.flavour, f"The site is {there}", f"set flavour: {there}")
    elif there:
        yield ok("flavour", f"{there} {server.get('version', '')}".strip())


def _burst(headers: Mapping[str, str]) -> Finding:
    """API tokens know burst limits only (vendors.md §2.2); headers show them where they are near."""
    limit, left = headers.get("X-RateLimit-Limit", ""), headers.get("X-RateLimit-Remaining", "")
    if not (limit.isdigit() and left.isdigit()):
        return ok("rate_limit", "none announced")
    if int(left) >= FEW_LEFT * int(limit):
        return ok("rate_limit", f"{left} of {limit} left")
    return warning("rate_limit", f"{left} of {limit} left", "Nearly used up", "find what else uses this user's token")


def _alerts(config: Config, look: Look) -> Finding:
    """Are the operations API, the cloud id and the right to read alerts as they must be?"""
    found = Ops(config, look.attempt()).aliased("tocsin-doctor")
    if not isinstance(found, Failure):
        return ok("alerts", config.cloud_id, "Alerts can be read; whether they can be opened only an alert would show")
    if found.status in (403, 404):
        says = f"Alerts cannot be read there: {found.detail}"
        remedy = "compare cloud_id with /_edge/tenant_info of the site; give the user an operations role"
        return error("alerts", config.cloud_id, says, remedy)
    return refused("alerts", found)


# --- what the whole site shares ---


def _site_wide(eyes: Eyes) -> Iterator[Finding]:
    config = eyes.config
    yield from _known("priority", eyes.get("/priority"), config.priorities.values(), "priorities")
    if config.resolution:
        yield from _known("resolution", eyes.get("/resolution"), [config.resolution], "resolution")
    types = eyes.get("/issueLinkType")
    shown = types.get("issueLinkTypes", []) if isinstance(types, dict) else types
    yield from _known("link_type", shown, [config.relates_link, config.duplicate_link], "relates_link, duplicate_link")
    wanted = [*config.fields, *([config.caused_by_field] if config.caused_by_field else [])]
    if wanted:
        yield from _fields(eyes.get("/field"), wanted)


def _known(check: str, rows: Any, wanted: Any, setting: str) -> Iterator[Finding]:  # noqa: ANN401  # the vendor's JSON
    if not isinstance(rows, list):
        yield note(check, says=f"Not looked at: {rows.detail if isinstance(rows, Failure) else 'unexpected answer'}")
        return
    there = {str(row.get("name", "")) for row in rows if isinstance(row, dict)}
    unknown = [name for name in dict.fromkeys(wanted) if name and name not in there]
    if unknown:
        says = "The site knows none of this name; the issue goes without"
        yield warning(check, some(unknown), says, f"choose from: {some(sorted(there))}; set {setting}")
    else:
        yield ok(check, some([name for name in dict.fromkeys(wanted) if name]))


def _fields(rows: Any, wanted: list[str]) -> Iterator[Finding]:  # noqa: ANN401  # the vendor's JSON
    if not isinstance(rows, list):
        yield note("fields", says="The list of fields cannot be read")
        return
    for name in wanted:
        bearing = [row for row in rows if name in (row.get("id"), row.get("key"))]
        bearing = bearing or [row for row in rows if str(row.get("name", "")).casefold() == name.casefold()]
        if not bearing:
            yield error("fields", name, "The site has no such field", "correct it under fields: or caused_by_field")
        elif len(bearing) > 1:
            ids = some([str(row.get("id")) for row in bearing])
            yield error("fields", name, f"{len(bearing)} fields bear this name: {ids}", "write the id of the right one")


# --- the way back ---


def _way_back(eyes: Eyes, inspection: Inspection) -> Iterator[Finding]:
    if not inspection.hooks:
        return
    found = eyes.at("/rest/webhooks/1.0/webhook")
    if not isinstance(found, list):
        says = "The site's webhooks are visible to administrators only: look at System → WebHooks"
        yield note("webhook", says=says)
        return
    yield from (_posted_to(address, found) for address in inspection.hooks)


def _posted_to(address: str, webhooks: list[dict[str, Any]]) -> Finding:
    ours = [one for one in webhooks if str(one.get("url", "")).partition("?")[0].rstrip("/") == address]
    if not ours:
        remedy = "add it under System → WebHooks, with the hook's secret"
        return warning("webhook", address, "No webhook of the site posts there", remedy)
    if not any(one.get("enabled", True) for one in ours):
        return error("webhook", address, "Its webhook is switched off", "switch it on under System → WebHooks")
    return ok("webhook", address)
