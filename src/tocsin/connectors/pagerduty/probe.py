"""Does a routing key lead somewhere? A change event shows it without waking anybody."""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.connectors._connector import PRODUCT
from tocsin.connectors._http import Failure
from tocsin.connectors._inspect import Look, error, note, ok, refused
from tocsin.connectors.pagerduty.config import Config
from tocsin.domain.seen import Finding, Inspection


def probe(config: Config, inspection: Inspection, look: Look) -> Iterator[Finding]:
    """Send one change event under the named routing key: shown beside the service's incidents, nobody is notified.
    It cannot be taken back, and is gone after 90 days (docs: change events)."""
    name = inspection.probe_group
    secret = config.routing_keys.get(name, config.default_routing_key if name == "default_routing_key" else None)
    if secret is None:
        yield error("probe", name, "Nothing was sent: there is no such routing key", "name one of routing_keys")
        return
    key = secret.get_secret_value()
    if key.startswith("R"):
        says = (
            "Nothing was sent: the key of an event orchestration takes no change events, and only a page would show it"
        )
        yield note("probe", name, says)
        return
    event = {
        "routing_key": key,
        "payload": {
            "summary": f"{PRODUCT} set-up probe, please ignore",
            "source": PRODUCT,
            "timestamp": look.now.isoformat(),
            "custom_details": {"why": f"{PRODUCT} doctor sends one change event to see that the routing key is known."},
        },
    }
    url = f"{config.root}/v2/change/enqueue"
    answer = look.attempt().call("POST", url, idempotent=False, json=event)
    if isinstance(answer, Failure):
        yield refused("probe", answer)
    else:
        yield ok("probe", name, "One change event was taken; no page went out. It shows for 90 days")
