"""Will this account page the right people at 3 a.m.? Read-only; without a REST token much cannot be seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from tocsin.connectors._http import Failure, Http, Reply
from tocsin.connectors._inspect import (
    Look,
    by_value,
    clock,
    error,
    note,
    ok,
    refused,
    some,
    used_by,
    warning,
    way_there,
)
from tocsin.connectors.pagerduty.config import DEFAULT_ROUTE, Config
from tocsin.connectors.pagerduty.probe import probe
from tocsin.connectors.pagerduty.rest import Rest, Row
from tocsin.connectors.pagerduty.services import services
from tocsin.domain.record import Reason
from tocsin.domain.seen import Finding, Grade, Inspection

_KEY = re.compile(r"[0-9A-Za-z]{32}")
DEFAULT = "default_routing_key"


def inspect(config: Config, inspection: Inspection, http: Http) -> Iterator[Finding]:
    """Everything that doctor can find out about one account, in the order in which it matters."""
    look = Look(http, inspection.now)
    yield from _region(config)
    for url in dict.fromkeys([config.root, *([config.api_url] if config.api_token else [])]):
        for finding in way_there(config, url, now=look.now):
            yield finding
            if finding.grade is Grade.ERROR:
                return
    yield from _keys(config, inspection)
    if config.api_token is None:
        yield from _unseen(config)
    else:
        yield from _account(config, inspection, look)
    if inspection.probe_group:
        yield from probe(config, inspection, look)


def _region(config: Config) -> Iterator[Finding]:
    """An account lives in one service region; keys of the one are unknown to the other."""
    hosts = {"url": urlsplit(config.root).hostname or "", "api_url": urlsplit(config.api_url).hostname or ""}
    regions = {name: "EU" if ".eu." in host else "US" for name, host in hosts.items() if host.endswith("pagerduty.com")}
    if len(set(regions.values())) > 1:
        says = "; ".join(f"{name} is the {region} host" for name, region in regions.items())
        yield error(
            "region", says, "The two addresses belong to different service regions", "set region: us or eu alone"
        )


def routes(config: Config) -> dict[str, str]:
    """Route → its integration key, the default one under its setting's name."""
    keys = {name: secret.get_secret_value() for name, secret in config.routing_keys.items()}
    if config.default_routing_key is not None:
        keys[DEFAULT] = config.default_routing_key.get_secret_value()
    return keys


def _keys(config: Config, inspection: Inspection) -> Iterator[Finding]:
    """What can be said of routing keys without asking: is there one for each team, does it look like one?"""
    for name, teams in by_value(inspection.addresses, "routing_key").items():
        if name not in config.routing_keys:
            who = used_by(inspection, teams)
            remedy = f"add {name} under routing_keys"
            if config.default_routing_key is None:
                yield error("routing_key", name, f"Not in routing_keys: nobody is paged. Used by {who}", remedy)
            else:
                says = f"Not in routing_keys: the default key pages somebody else. Used by {who}"
                yield warning("routing_key", name, says, remedy)
    unaddressed = [team for team, address in inspection.addresses.items() if not address.get("routing_key")]
    if unaddressed and config.key(DEFAULT_ROUTE) is None:
        says = f"These teams name no routing_key, and there is no default: {some(sorted(unaddressed))}"
        yield error("routing_key", "none", says, "give them one, or set default_routing_key")
    for name, key in routes(config).items():
        if not _KEY.fullmatch(key):
            remedy = "copy the Integration Key of the service's Events API v2 integration"
            yield error("routing_key", name, f"Not an integration key: {len(key)} characters instead of 32", remedy)
        elif key.startswith("R") and config.mirror_changes:
            says = "A key of an event orchestration: it pages, but change events are refused (keys beginning with R)"
            yield warning(
                "routing_key", name, says, "use the key of a service's integration, or set mirror_changes: false"
            )


def _unseen(config: Config) -> Iterator[Finding]:
    says = "Routing keys cannot be validated without paging; with api_token their services and who is on call are shown"
    yield note("routing_keys", some(sorted(routes(config))), says, "make a read-only REST API key, set api_token")
    if not config.notes_as_events:
        yield note("notes", "off", "Without api_token work notes are not shown there", "set api_token and from_email")


# --- with a token ---


def _account(config: Config, inspection: Inspection, look: Look) -> Iterator[Finding]:
    answer = Rest(config, look.attempt()).call("GET", "/abilities")
    if isinstance(answer, Failure):
        yield _no_login(answer)
        return
    yield ok("credentials", "api_token", "Logged in; whether it may write cannot be seen without writing")
    skew = clock(answer.headers, look.now)
    if skew is not None:
        yield skew
    yield _rate(answer)
    yield from _sender(config, look)
    yield from _priorities(config, look)
    yield from services(config, inspection, look, routes(config))
    yield from _subscriptions(config, inspection, look)


def _no_login(failure: Failure) -> Finding:
    if failure.reason is Reason.UNAUTHORIZED:
        remedy = "give a REST API key (Integrations → API Access Keys), not an integration key"
        return error("credentials", "401", f"The token is refused: {failure.detail}", remedy)
    return refused("credentials" if failure.status in (402, 403) else "reach", failure)


def _rate(answer: Reply) -> Finding:
    limit, left = answer.headers.get("ratelimit-limit", ""), answer.headers.get("ratelimit-remaining", "")
    if not (limit.isdigit() and left.isdigit()):
        return ok("rate_limit", "none announced")
    if int(left) * 10 >= int(limit):
        return ok("rate_limit", f"{left} of {limit} calls a minute left")
    remedy = "find what else uses this key, or give Tocsin one of its own"
    return warning("rate_limit", f"{left} of {limit} a minute left", "Nearly used up", remedy)


def _sender(config: Config, look: Look) -> Iterator[Finding]:
    """Notes and priorities are written in a user's name (From header)."""
    if not config.from_email:
        says = "Notes and priorities need the e-mail of a PagerDuty user; without it they are not written"
        yield warning("from_email", "empty", says, "set from_email")
        return
    rows = Rest(config, look.attempt()).every("/users", "users", (("query", config.from_email),))
    if isinstance(rows, Failure):
        yield note("from_email", config.from_email, f"Not looked at: {rows.detail}")
    elif any(str(row.get("email", "")).casefold() == config.from_email.casefold() for row in rows):
        yield ok("from_email", config.from_email)
    else:
        yield error(
            "from_email", config.from_email, "No user has this e-mail: notes are refused", "name a user's e-mail"
        )


def _priorities(config: Config, look: Look) -> Iterator[Finding]:
    if not config.priorities:
        return
    known = Rest(config, look.attempt()).priorities()
    if isinstance(known, Failure):
        yield note("priority", says=f"Not looked at: {known.detail}")
        return
    unknown = [name for name in dict.fromkeys(config.priorities.values()) if name not in known]
    if unknown:
        yield warning(
            "priority", some(unknown), "The account has none of this name", f"choose from: {some(sorted(known))}"
        )
    else:
        yield ok("priority", some(list(dict.fromkeys(config.priorities.values()))))


def _subscriptions(config: Config, inspection: Inspection, look: Look) -> Iterator[Finding]:
    """Does PagerDuty post what people do to our hook?"""
    if not inspection.hooks:
        return
    rows = Rest(config, look.attempt()).every("/webhook_subscriptions", "webhook_subscriptions", ())
    if isinstance(rows, Failure):
        yield note("webhook", says=f"Webhook subscriptions are not visible to this token: {rows.detail}")
        return
    for address in inspection.hooks:
        yield _subscription(address, [row for row in rows if _address(row) == address])


def _address(row: Row) -> str:
    return str((row.get("delivery_method") or {}).get("url", "")).partition("?")[0].rstrip("/")


def _subscription(address: str, ours: list[Row]) -> Finding:
    if not ours:
        remedy = "add one (Integrations → Generic Webhooks v3), with its signing secret as the hook's"
        return warning("webhook", address, "No webhook subscription posts there", remedy)
    if any((row.get("delivery_method") or {}).get("temporarily_disabled") for row in ours):
        says = "PagerDuty has switched it off for a day after refusals: wrong secret or address"
        return error("webhook", address, says, "correct the hook's secret, then enable the subscription")
    if not any(row.get("active", True) for row in ours):
        return error("webhook", address, "Its subscription is inactive", "activate it")
    missing = _unheard({str(event) for row in ours for event in row.get("events") or []})
    if missing:
        return warning("webhook", address, f"It does not send {some(missing)}", "add these event types to it")
    return ok("webhook", address)


def _unheard(events: set[str]) -> list[str]:
    needed = (
        *("incident.acknowledged", "incident.annotated", "incident.priority_updated", "incident.reassigned"),
        *("incident.reopened", "incident.resolved"),
    )
    return [name for name in needed if name not in events]
