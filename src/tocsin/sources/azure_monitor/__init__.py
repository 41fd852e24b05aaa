"""Azure Monitor alerts: the common alert schema and the schemas before it.

An action group posts one alert a notification. Nothing is signed; a *secure webhook* carries a token of Entra ID, which
a gateway in front may check.
"""

from __future__ import annotations

from tocsin.domain.alert import Resolves
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._flat import Fields
from tocsin.sources._json import parsed_object, text
from tocsin.sources._verify import shared_secret
from tocsin.sources.azure_monitor import essentials, legacy
from tocsin.sources.azure_monitor.resource import NAME


def normalize(message: Message, hook: Hook) -> Normalized:
    """What the notification says. Raises BadPayload for a schema that Azure Monitor does not document."""
    body = Fields(parsed_object(message.body))
    schema = text(body.data.get("schemaId"), 80).lower()
    if schema == "azuremonitorcommonalertschema" or "essentials" in body.inner("data"):
        return essentials.read(body.need_inner("data"), message, hook)
    if schema == "microsoft.insights/logalert":
        return legacy.log(body.need_inner("data"), message, hook)
    if "AlertRuleName" in body:
        return legacy.log(body, message, hook)
    if schema in ("azuremonitormetricalert", "microsoft.insights/activitylogs") or "context" in body.inner("data"):
        return legacy.metric(body.need_inner("data"), message, hook)
    if "operation" in body and "context" in body:
        return legacy.scaled(body, message, hook)
    if "context" in body:
        return legacy.metric(body, message, hook)
    raise BadPayload(f"{schema or 'no schema'!r} is none of Azure Monitor's", path="schemaId")


SETUP = """Monitor → Alerts → Action groups → Actions → **Webhook**: URI `{url}?token={secret}`, *Enable the common
alert schema* **Yes**. Then choose the action group in each alert rule, and leave *Automatically resolve alerts* on: a
log search rule without it never says that it is over.

Azure's severities are taken by their own meaning: Sev0 critical, Sev1 error, Sev2 warning, Sev3 and Sev4 info.
Dimensions and a rule's custom properties say what an alert is about: `service`, `model`, `feature`, `dataset`,
`environment`; without them it is the target resource. The schemas before the common one (classic metric alerts, log
alerts, activity log, autoscale) are read as well.
"""

SOURCE = Source(
    name=NAME,
    title="Azure Monitor",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    aliases=("azuremonitor", "azure_alert", "azurealert"),
    ignores=(
        "what an action group's Test button sends (rules test-…)",
        "service health: analyses after an incident",
    ),
    setup=SETUP,
)
