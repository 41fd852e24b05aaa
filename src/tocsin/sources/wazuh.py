"""Which security rule of Wazuh matched?

An integration script posts the alert itself (`rule`, `agent` …), Shuffle's wrapping of it (`all_fields`), or a short
summary whose description holds `Rule ID`, `Level` and `Agent Name`. Nobody tells of an end.
https://documentation.wazuh.com/current/user-manual/manager/integration-with-external-apis.html
"""

from __future__ import annotations

import re
from datetime import timedelta

from tocsin.domain.alert import Resolves, Severity, Status
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, fields_of
from tocsin.sources._identity import severity_of
from tocsin.sources._verify import shared_secret

NAME = "wazuh"
EXPIRES_AFTER = timedelta(hours=24)

SHUFFLE = {"1": Severity.INFO, "2": Severity.WARNING, "3": Severity.ERROR}

_TOLD = re.compile(r"^(Rule ID|Level|Agent ID|Agent Name|Title)[ :]+(.*)$", re.MULTILINE)


def severity_of_level(level: float | None) -> Severity:
    """Wazuh's own classes of rule levels: 15 and more critical, 12 high, 7 medium, below low."""
    if level is None:
        return Severity.WARNING
    for least, severity in ((15, Severity.CRITICAL), (12, Severity.ERROR), (7, Severity.WARNING)):
        if level >= least:
            return severity
    return Severity.INFO


def normalize(message: Message, hook: Hook) -> Normalized:
    """The rule that matched, on the agent that it matched on. Raises BadPayload without a rule."""
    body = fields_of(message)
    if "all_fields" in body:
        return _rule(body.inner("all_fields"), body, message, hook)
    if "rule" in body:
        return _rule(body, body, message, hook)
    return _summary(body, message, hook)


def _rule(body: Fields, outer: Fields, message: Message, hook: Hook) -> Normalized:
    rule, agent = body.need_inner("rule"), body.inner("agent")
    name = rule.need("description", "id")
    host = agent.text("name", "ip", "id") or body.inner("manager").text("name")
    level = rule.number("level")
    severity = severity_of_level(level) if level is not None else SHUFFLE.get(outer.text("severity"), Severity.WARNING)
    groups = rule.data.get("groups")
    data = body.inner("data") if isinstance(body.data.get("data"), dict) else Fields({})
    told = alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=Subject.of("host", host) if host else Subject.of("unknown", name),
        status=Status.FIRING,
        severity=severity,
        summary=name,
        description=body.text("full_log"),
        starts_at=body.time("timestamp", "@timestamp"),
        labels={
            "rule_id": rule.text("id"),
            "level": rule.text("level"),
            "groups": ",".join(str(group)[:64] for group in groups[:10]) if isinstance(groups, list) else "",
            "agent_id": agent.text("id"),
            "agent_ip": agent.text("ip"),
            "location": body.text("location"),
            "source_ip": data.text("srcip"),
        },
        observed=level,
        sender_key=f"{rule.text('id') or name}:{agent.text('id') or host}",
        resolves=Resolves.EXPIRY,
        expires_after=EXPIRES_AFTER,
    )
    return Normalized(alerts=(told,))


def _summary(body: Fields, message: Message, hook: Hook) -> Normalized:
    title = body.need("message", "title")
    told = dict(_TOLD.findall(body.text("description", "text", limit=4096)))
    agent = body.text("agent_name", "agent") or told.get("Agent Name", "").strip()
    level = Fields(told).number("Level")
    word = body.text("severity")
    made = alert(
        message,
        hook,
        source=NAME,
        name=title,
        subject=Subject.of("host", agent) if agent else Subject.of("unknown", title),
        status=Status.FIRING,
        severity=severity_of(word) if word else severity_of_level(level),
        summary=title,
        description=body.text("description", "text"),
        starts_at=body.time("created_at", "timestamp"),
        labels={
            "rule_id": told.get("Rule ID", ""),
            "level": told.get("Level", ""),
            "agent_id": told.get("Agent ID", ""),
        },
        observed=level,
        sender_key=f"{told.get('Rule ID', title)}:{agent}",
        resolves=Resolves.EXPIRY,
        expires_after=EXPIRES_AFTER,
    )
    return Normalized(alerts=(made,))


SOURCE = Source(
    name=NAME,
    title="Wazuh",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.EXPIRY,
    expires_after=EXPIRES_AFTER,
    setup="""\
Save as `/var/ossec/integrations/custom-tocsin` (owner root:wazuh, mode 750):

```python
#!/usr/bin/env python3
import sys, urllib.request

with open(sys.argv[1], "rb") as alert:
    request = urllib.request.Request(
        sys.argv[3],
        alert.read(),
        {{"Content-Type": "application/json", "Authorization": "Bearer " + sys.argv[2]}},
    )
urllib.request.urlopen(request, timeout=10)
```

and in `ossec.conf`, with the least level that is worth a ticket:

```xml
<integration>
  <name>custom-tocsin</name>
  <hook_url>{url}</hook_url>
  <api_key>{secret}</api_key>
  <level>10</level>
  <alert_format>json</alert_format>
</integration>
```

A rule on an agent is one alert; it ends a day after its last match.
""",
)
