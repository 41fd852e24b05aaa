"""Nagios and Icinga 2: a notification command that posts their macros as form fields; Icinga's event stream besides.

https://assets.nagios.com/downloads/nagioscore/docs/nagioscore/4/en/macrolist.html
https://icinga.com/docs/icinga-2/latest/doc/12-icinga2-api/#event-streams
Neither has a body of its own: `setup` and docs/howto/monitors.md have the command. Form fields, because a macro may
hold quotes, which would break JSON that a shell puts together.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, fields_of
from tocsin.sources._identity import labels_of
from tocsin.sources._json import number
from tocsin.sources._monitor import alert_of, any_time, filled
from tocsin.sources._verify import shared_secret

NAME = "nagios"

KEYS: dict[str, tuple[str, ...]] = {
    "kind": ("notification_type", "notificationtype", "notification.type", "notification_type_str", "type"),
    "host": ("host", "hostname", "host_name", "host.name", "hostalias", "hostdisplayname", "host_display_name"),
    "address": ("host_address", "hostaddress", "address", "host.address"),
    "service": (
        "service",
        "servicedesc",
        "service_description",
        "service_desc",
        "service.name",
        "servicename",
        "servicedisplayname",
        "service_display_name",
    ),
    "service_state": ("service_state", "servicestate", "service.state"),
    "host_state": ("host_state", "hoststate", "host.state"),
    "state": ("state",),
    "state_type": ("state_type", "servicestatetype", "hoststatetype", "statetype"),
    "output": (
        "output",
        "serviceoutput",
        "service_output",
        "hostoutput",
        "host_output",
        "message",
        "service.output",
        "host.output",
    ),
    "long": ("long_output", "longserviceoutput", "longhostoutput"),
    "perfdata": ("perfdata", "serviceperfdata", "service_perfdata", "hostperfdata", "host_perfdata"),
    "at": (
        "at",
        "timet",
        "icinga.timet",
        "timestamp",
        "time",
        "last_state_change",
        "lastservicestatechange",
        "lasthoststatechange",
    ),
    "author": ("author", "notificationauthor", "notification_author", "notification.author"),
    "url": ("url", "notes_url", "servicenotesurl", "hostnotesurl", "action_url", "serviceactionurl", "hostactionurl"),
}
"""What we want → the names under which commands send it: ours, then the macros' (with or without NAGIOS_, ICINGA_)."""

SERVICE_STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
HOST_STATES = ("UP", "DOWN", "UNREACHABLE")
"""By their number, as check results and Icinga's API give them."""
SEVERITIES = {
    "WARNING": Severity.WARNING,
    "CRITICAL": Severity.CRITICAL,
    "UNKNOWN": Severity.WARNING,
    "DOWN": Severity.CRITICAL,
    "UNREACHABLE": Severity.ERROR,
}
FINE = frozenset({"OK", "UP"})
STANDS = {
    "acknowledgement": "someone looks at it",
    "acknowledgementset": "someone looks at it",
    "acknowledgementcleared": "nobody looks at it any more",
    "custom": "a notification that a person sent",
    "flappingstart": "it changes its state often",
    "flappingstop": "it no longer changes its state often",
    "flappingend": "it no longer changes its state often",
    "flappingdisabled": "flapping is no longer looked for",
    "flapping": "it changes its state often",
    "downtimestart": "a planned downtime begins",
    "downtimestarted": "a planned downtime begins",
    "downtimeend": "a planned downtime ends",
    "downtimecancelled": "a planned downtime was called off",
    "downtimeremoved": "a planned downtime was called off",
    "downtimeadded": "a planned downtime was entered",
    "downtimetriggered": "a planned downtime begins",
    "commentadded": "a note",
    "commentremoved": "a note",
}
"""Types of notifications and events after which the state stands as it was."""
TELLS = frozenset({"problem", "recovery", "statechange", "checkresult", "notification", ""})

_PREFIX = re.compile(r"^(?:nagios_|icinga_|_)", re.IGNORECASE)
_PERFDATA = re.compile(
    r"(?:'(?P<quoted>[^']+)'|(?P<plain>[^\s='\"]+))=(?P<value>[-+]?[\d.]+)(?P<unit>[a-zA-Z%]*)(?P<rest>[;\d.:@~-]*)"
)
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?$")


class Measured(NamedTuple):
    """The first figure of a check's performance data, with its limits."""

    metric: str = ""
    observed: float | None = None
    warning: float | None = None
    critical: float | None = None


def normalize(message: Message, hook: Hook) -> Normalized:
    """The alert of a host or service whose state changed. Raises BadPayload without a host or a known state."""
    sent = fields_of(message)
    body = _plain(sent)
    kind = re.sub(r"[\s_()-]", "", _text(body, "kind")).lower()
    inner = re.sub(r"[\s_-]", "", sent.text("notification_type")).lower()
    kind = inner if kind == "notification" and inner else kind
    if kind in STANDS:
        return Normalized(ignored=f"{kind}: {STANDS[kind]}, the state stands")
    if kind not in TELLS:
        raise BadPayload(f"{kind[:40]!r} is no type of notification", path="notification_type")
    if _text(body, "state_type").lower() in ("soft", "0"):
        return Normalized(ignored="a soft state: it is checked again before it counts")
    return Normalized(alerts=(_alert(body, kind, message, hook),))


def _plain(sent: Fields) -> Fields:
    """The fields in lower case without the prefixes of environment variables; a check result's stand beside them."""
    result = sent.data.get("check_result")
    flat = {**(result if isinstance(result, dict) else {}), **sent.data}
    if isinstance(result, dict):
        listed = result.get("performance_data")
        flat["perfdata"] = " ".join(p for p in listed if isinstance(p, str)) if isinstance(listed, list) else ""
        flat.setdefault("service_state" if flat.get("service") else "host_state", flat.get("state"))
    return Fields({_PREFIX.sub("", key).lower(): value for key, value in flat.items()})


def _text(body: Fields, what: str, limit: int = 1024) -> str:
    return body.text(*KEYS[what], limit=limit)


def _state(body: Fields, *, of_service: bool, kind: str) -> str:
    said = _text(body, "service_state" if of_service else "host_state") or _text(body, "state")
    names = SERVICE_STATES if of_service else HOST_STATES
    at = number(said)
    state = names[int(at)] if at is not None and 0 <= at < len(names) else said.upper()
    if not state and kind == "recovery":
        return names[0]
    if state not in SEVERITIES and state not in FINE:
        reason = f"{said[:40]!r} is no state of a {'service' if of_service else 'host'}" if said else "absent"
        raise BadPayload(reason, path="service_state" if of_service else "host_state")
    return state


def _alert(body: Fields, kind: str, message: Message, hook: Hook) -> Alert:
    host, service = _text(body, "host", 255), _text(body, "service", 255)
    if not host:
        raise BadPayload("absent, and it is what the report is known by", path="host")
    state = _state(body, of_service=bool(service), kind=kind)
    fine = state in FINE
    output = _text(body, "output")
    measured = _measured(_text(body, "perfdata"))
    custom = {key: value for key, value in body.data.items() if key in _OWN}
    labels = labels_of(custom) | filled(
        {
            "host": host,
            "check": service,
            "state": state,
            "address": _text(body, "address"),
            "long_output": _text(body, "long"),
            "host_group": body.text("hostgroup", "hostgroupnames", "host_group"),
        }
    )
    at = any_time(*(body.data.get(key) for key in KEYS["at"]))
    name = service or "host check"
    return alert_of(
        message,
        hook,
        source=NAME,
        name=name,
        about=Subject.of("host", host),
        status=Status.RESOLVED if fine else Status.FIRING,
        severity=SEVERITIES.get(state, Severity.WARNING),
        labels=labels,
        symptom=None if service else Symptom.AVAILABILITY,
        summary=f"{name} on {host} is {state}" + (f": {output}" if output else ""),
        key=f"{host}!{service}",
        starts_at=None if fine else at,
        ends_at=at,
        metric=measured.metric,
        observed=measured.observed,
        threshold=measured.warning if state == "WARNING" else measured.critical,
        links={"check": _text(body, "url", 2048)},
    )


_OWN = frozenset(
    {"model", "feature", "dataset", "queue", "application", "app", "subject", "symptom", "segment", "region"}
    | {"environment", "model_version", "cohort", "baseline", "sample_size", "team", "runbook"}
)
"""Custom variables (`_MODEL`, `vars.model`) that a command may send along."""


def _measured(perfdata: str) -> Measured:
    """`'load'=3.2;4;8;0;` → 3.2 with its limits; a range such as `10:20` is no single limit."""
    found = _PERFDATA.search(perfdata)
    if not found:
        return Measured()
    limits = [*found["rest"].lstrip(";").split(";"), "", ""] if found["rest"] else ["", ""]
    single = [number(limit) if _NUMBER.match(limit) else None for limit in limits]
    return Measured(
        metric=(found["quoted"] or found["plain"])[:255],
        observed=number(found["value"]),
        warning=single[0],
        critical=single[1],
    )


SETUP = """\
Nagios, in `commands.cfg` (one command serves hosts and services; empty macros stay empty):

```
define command {{
  command_name  notify-tocsin
  command_line  /usr/bin/curl -fsS -m 10 -H 'Authorization: Bearer {secret}' \\
    --data-urlencode "notification_type=$NOTIFICATIONTYPE$" --data-urlencode "host=$HOSTNAME$" \\
    --data-urlencode "host_address=$HOSTADDRESS$" --data-urlencode "host_state=$HOSTSTATE$" \\
    --data-urlencode "service=$SERVICEDESC$" --data-urlencode "service_state=$SERVICESTATE$" \\
    --data-urlencode "service_output=$SERVICEOUTPUT$" --data-urlencode "host_output=$HOSTOUTPUT$" \\
    --data-urlencode "perfdata=$SERVICEPERFDATA$" --data-urlencode "at=$TIMET$" {url}
}}
```

Give it to a contact as `service_notification_commands` and `host_notification_commands`, with the options `w,u,c,r` and
`d,u,r`. Icinga 2:

```
object NotificationCommand "notify-tocsin" {{
  command = [ "/usr/bin/curl", "-fsS", "-m", "10", "-H", "Authorization: Bearer {secret}", "{url}" ]
  arguments = {{
    "-d1" = {{ key = "--data-urlencode", value = "notification_type=$notification.type$" }}
    "-d2" = {{ key = "--data-urlencode", value = "host=$host.name$" }}
    "-d3" = {{ key = "--data-urlencode", value = "host_state=$host.state$" }}
    "-d4" = {{ key = "--data-urlencode", value = "service=$service.name$" }}
    "-d5" = {{ key = "--data-urlencode", value = "service_state=$service.state$" }}
    "-d6" = {{ key = "--data-urlencode", value = "service_output=$service.output$" }}
    "-d7" = {{ key = "--data-urlencode", value = "perfdata=$service.perfdata$" }}
    "-d8" = {{ key = "--data-urlencode", value = "host_output=$host.output$" }}
    "-d9" = {{ key = "--data-urlencode", value = "at=$icinga.timet$" }}
  }}
}}
```

(Icinga leaves out an argument whose macro it does not know: a host's notification has no service.)

Neither tries a failed command again; `notification_interval` (`interval`) repeats a problem that lasts, and repeats
are one alert. Further fields `model`, `feature`, `dataset`, `application` or `symptom` (custom variables) say what a
check is about; otherwise the host does. A service and its host are known by their names alone.
"""

SOURCE = Source(
    name=NAME,
    title="Nagios and Icinga 2",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    aliases=("icinga2", "icinga", "naemon"),
    setup=SETUP,
    ignores=(
        "acknowledgements, comments, flapping, downtimes and custom notifications: the state stands",
        "soft states: they are checked again before they count",
    ),
)
