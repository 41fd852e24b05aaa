"""Opsgenie (and Jira Service Management's alerts): its outgoing webhook, told of everything done to an alert.

https://support.atlassian.com/opsgenie/docs/integrate-opsgenie-with-webhook/
One body mixes times: `createdAt` is in milliseconds, `updatedAt` and `insertedAt` are in nanoseconds.
"""

from __future__ import annotations

import re

from tocsin.domain.alert import Resolves
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._flat import Fields
from tocsin.sources._json import parsed_object
from tocsin.sources._monitor import filled, time_at
from tocsin.sources._opsgenie import told
from tocsin.sources._verify import shared_secret

NAME = "opsgenie"

FIRES = frozenset({"create", "updatepriority"})
ENDS = frozenset({"close", "delete"})
STANDS = {
    "acknowledge": "someone looks at it",
    "unacknowledge": "nobody looks at it any more",
    "takeownership": "it has an owner",
    "assignownership": "it has an owner",
    "assign": "it has an owner",
    "snooze": "it is muted in Opsgenie",
    "snoozeended": "it is no longer muted in Opsgenie",
    "escalate": "somebody else is told",
    "escalatetonext": "somebody else is told",
    "escalatenext": "somebody else is told",
    "addrecipient": "somebody else is told",
    "addresponder": "somebody else is told",
    "addteam": "somebody else is told",
    "addnote": "a note",
    "addtags": "a label changed",
    "removetags": "a label changed",
    "adddetails": "a label changed",
    "removedetails": "a label changed",
    "updatemessage": "its words changed",
    "updatedescription": "its words changed",
}
"""What is done to an alert while its symptom stands; any other action is one that a customer invented."""


def normalize(message: Message, hook: Hook) -> Normalized:
    """An alert when it was created, closed or got another priority. Raises BadPayload without an action or alert."""
    body = Fields(parsed_object(message.body))
    said = body.need("action")
    alert = body.need_inner("alert")
    action = re.sub(r"[\s_-]", "", said).lower()
    if action not in FIRES and action not in ENDS:
        why = STANDS.get(action, "an action of one's own")
        return Normalized(ignored=f"action {said[:40]}: {why}, the symptom stands")
    ended = action in ENDS
    key = alert.text("alias", limit=512) or alert.need("alertId", "id")
    name = alert.text("message") or (f"closed: {key}" if ended else alert.need("message"))
    moment_of = "updatedAt" if ended else "createdAt"
    found = told(
        alert,
        message,
        hook,
        source=NAME,
        name=name,
        key=key,
        ended=ended,
        at=time_at(alert.data.get(moment_of), alert.at_path(moment_of)),
        labels=filled({"integration": body.text("integrationName"), "tiny_id": alert.text("tinyId")}),
    )
    return Normalized(alerts=(found,))


SOURCE = Source(
    name=NAME,
    title="Opsgenie webhooks",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    aliases=("jsm_alerts",),
    ignores=(
        "Acknowledge, AssignOwnership, AddNote, Snooze, Escalate and other actions that leave the symptom as it is",
        "actions of one's own",
    ),
    setup="""\
Settings → Integrations → Add → **Webhook** (Jira Service Management: Operations → Integrations):

- Webhook URL `{url}`, custom header `Authorization: Bearer {secret}`; Opsgenie signs nothing
- *Add alert description* and *Add alert details* on; actions: at least **alert is created**, **closed**, **deleted**
  and **priority is updated**

Details (or tags written `key:value`) `service`, `model`, `feature`, `dataset`, `severity` and `symptom` say what an
alert is about; otherwise its entity does. To point tools that *send to* Opsgenie here instead, see `opsgenie_alerts`.
""",
)
