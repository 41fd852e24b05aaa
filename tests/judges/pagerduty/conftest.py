"""A PagerDuty account behind Prism: our connector before it, our simulator behind, the vendor's schemas between."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.connectors.builders import NOW, after, task
from tests.judges.conftest import Prism, Proxies, Vendors
from tocsin import simulators
from tocsin.connectors import Http, find, open_http
from tocsin.connectors.pagerduty import Config
from tocsin.domain.record import Outcome, Task

PAGERDUTY = find("pagerduty")
RETURNS, ORDERS = "5" * 32, "6" * 32
TOKEN = "tocsin"


@dataclass
class Desk:
    """One account, one record that delivery keeps, and the two proxies through which everything passes."""

    vendor: simulators.Running
    events: Prism
    rest: Prism
    config: Config
    http: Http
    known: Task

    @property
    def account(self) -> Any:
        return self.vendor.front.simulator.account  # type: ignore[attr-defined]

    def want(self, *, wait: timedelta = timedelta(0), **changes: Any) -> Outcome:
        """One attempt, after `wait`."""
        given = {name: changes.pop(name) for name in ("notes",) if name in changes}
        wanted = replace(self.known.wanted, **changes)
        asked = replace(self.known, now=self.known.now + wait, wanted=wanted, **given)
        outcome = PAGERDUTY.send(self.config, asked, self.http)
        assert outcome.settled, outcome
        self.known = after(outcome, asked)
        return outcome

    def violations(self) -> list[str]:
        return self.events.violations() + self.rest.violations()


@pytest.fixture(scope="session")
def events_document(contracts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published document of the Events API, with its server's `/v2` in its paths, where Prism looks for it."""
    document = json.loads((contracts / "pagerduty" / "events-v2.openapi.json").read_text())
    document["paths"] = {f"/v2{path}": item for path, item in document["paths"].items()}
    document["servers"] = [{"url": "https://events.pagerduty.com"}]
    path = tmp_path_factory.mktemp("pagerduty") / "events-v2.json"
    path.write_text(json.dumps(document))
    return path


@pytest.fixture(scope="session")
def rest_document(contracts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published document of the REST API, but for what it says of log entries: a channel must match exactly one of
    five shapes which all match, an acknowledgement's type is asked for in two spellings, and the incident is a
    reference even where `include[]=incidents` asks for the whole."""
    document = json.loads((contracts / "pagerduty" / "rest.sanitized.json").read_text())
    schemas = document["components"]["schemas"]
    schemas["Channel"]["anyOf"] = schemas["Channel"].pop("oneOf")
    schemas["AcknowledgeLogEntry"]["allOf"][1]["properties"]["type"]["enum"].append("acknowledge_log_entry")
    entry = schemas["LogEntry"]["allOf"][1]["properties"]
    entry["incident"] = {"anyOf": [entry["incident"], {"$ref": "#/components/schemas/Incident"}]}
    path = tmp_path_factory.mktemp("pagerduty") / "rest.json"
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def desk(vendors: Vendors, prism: Proxies, rest_document: Path, events_document: Path) -> Desk:
    """An empty account behind the proxies."""
    vendor = vendors("pagerduty", public_url="https://acme.pagerduty.com")  # no loopback address is a "url" to Prism
    events = prism(events_document, vendor.url)
    rest = prism(rest_document, vendor.url)
    config = Config(
        url=events.url,
        api_url=rest.url,
        routing_keys={"returns": RETURNS, "orders": ORDERS},
        api_token=TOKEN,
        from_email="bot@example.com",
        priorities={1: "P1", 2: "P2", 3: "P3"},
    )
    return Desk(vendor, events, rest, config, open_http(config, blip_wait_s=0), task(now=NOW))
