"""Event Management: `POST /api/global/em/jsonv2` keeps events, and one alert per message key (docs
send-events-via-web-service; reference vendors.md §3.3)."""

from __future__ import annotations

from werkzeug.wrappers import Response

from tocsin.simulators.answers import reply
from tocsin.simulators.servicenow import asked
from tocsin.simulators.servicenow.asked import Refused
from tocsin.simulators.servicenow.instance import Instance, Row
from tocsin.simulators.servicenow.table_api import InstanceNow

CLEAR = "0"
CLOSING = "Closing"
_OF_AN_ALERT = (
    *("source", "event_class", "node", "resource", "metric_name", "type", "message_key", "severity", "description"),
    "additional_info",
)
_OF_A_KEY = ("source", "node", "type", "resource", "metric_name")


class Events:
    """Inserts events. Business rules on em_event do not run for this address."""

    def __init__(self, instance: InstanceNow) -> None:
        self._instance = instance

    def insert(self) -> Response:
        """Every record becomes an event; the answer only counts them."""
        body = asked.body()
        records = body.get("records") if isinstance(body, dict) else None
        if not isinstance(records, list):
            raise Refused(400, "Exception while reading request", "The payload has no list of records")
        for record in records:
            if not isinstance(record, dict):
                raise Refused(400, "Exception while reading request", "A record is not a JSON object")
            self._take({str(key): asked.text(value) for key, value in record.items()})
        return reply({"result": {"Default Bulk Endpoint": f"{len(records)} events were inserted"}})

    def _take(self, given: Row) -> None:
        instance = self._instance()
        event = {"time_of_event": instance.now(), "resolution_state": "New", **given}
        event["message_key"] = given.get("message_key") or "+".join(given.get(name, "") for name in _OF_A_KEY)
        alert = _alert_of(instance, event)
        instance.insert("em_event", event | {"alert": alert, "state": "Processed", "processed": "true"})


def _alert_of(instance: Instance, event: Row) -> str:
    """The number of the alert that this event opened, repeated or closed; empty for a clear of nothing."""
    over = event.get("severity") == CLEAR or event["resolution_state"] == CLOSING
    alerts = instance.tables.get("em_alert", {}).values()
    known = next((one for one in alerts if one["message_key"] == event["message_key"]), None)
    if known is None and over:
        return ""
    state = "Closed" if over else "Reopen" if known and known["state"] == "Closed" else "Open"
    said = {name: event.get(name, "") for name in _OF_AN_ALERT} | {"last_event_time": event["time_of_event"]}
    if known is None:
        first = {"event_count": "1", "initial_event_time": event["time_of_event"], "state": state}
        return instance.insert("em_alert", said | first)["number"]
    count = {"event_count": str(int(known["event_count"]) + 1)}
    instance.update("em_alert", known["sys_id"], said | count | {"state": state})
    return known["number"]
