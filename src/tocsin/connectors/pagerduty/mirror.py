"""Show a deploy or other change on the owning team's PagerDuty service, beside its incidents.

A change event notifies nobody and is kept 90 days; PagerDuty does not recognize a second one
(https://developer.pagerduty.com/docs/events-api-v2/send-change-events/).
"""

from __future__ import annotations

from tocsin.connectors._connector import done, rejected
from tocsin.connectors._http import Failure, Http
from tocsin.connectors.pagerduty.config import Config
from tocsin.connectors.pagerduty.events import Events, unlisted
from tocsin.connectors.pagerduty.render import render_change
from tocsin.connectors.pagerduty.rest import Rest
from tocsin.domain.record import Confirmation, Outcome, Reason
from tocsin.domain.seen import MirroredChange

PATH = "/v2/change/enqueue"


def mirror(config: Config, change: MirroredChange, http: Http) -> Outcome:
    """Send the change once. Where the answer was lost and a token lets us look, look before calling it lost."""
    event = render_change(config, change)
    route = str(event["routing_key"])
    key = config.key(route)
    if key is None:
        return rejected(Reason.CLIENT_ERROR, unlisted(change.address.get("routing_key", "")))
    if key.get_secret_value().startswith("R"):
        said = "is the key of a ruleset, which takes no change events; give the key of a service's integration"
        return rejected(Reason.CLIENT_ERROR, f"routing key {route or 'default'!r} {said}")
    taken = Events(config, http, None).send(route, event, path=PATH, urgent=False)
    known = Confirmation(external_id=change.id)
    if not isinstance(taken, Failure):
        return done(known)
    if taken.result == "ambiguous" and _is_there(config, change, http):
        return done(known, result="duplicate")
    return taken.outcome()


def _is_there(config: Config, change: MirroredChange, http: Http) -> bool:
    rest = Rest(config, http)
    found = rest.changes() if rest.usable else []
    if isinstance(found, Failure):
        return False
    details = [row.get("custom_details") for row in found]
    return any(isinstance(one, dict) and one.get("change_id") == change.id for one in details)
