"""Does the simulator refuse what PagerDuty's published document forbids, and answer as it says? Schemathesis asks.

The published document is weaker than the API: it does not say that a trigger needs a payload, or how long a routing key
is (reference: vendors.md §0). So it is run twice: as published, without the check that all valid data be taken; and
with what the pages of the documentation add, for triggers and changes, with every check.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.judges.conftest import Clients, Vendors

EXAMPLES = "40"


def ran(clients: Clients, document: Path, url: str, *more: str) -> str:
    """Runs it and answers how many cases passed; an end other than success fails the test."""
    ended = clients.run(
        "schemathesis",
        "run",
        str(document),
        "--url",
        url,
        "--max-examples",
        EXAMPLES,
        "--seed",
        "7",
        "--generation-database",
        "none",
        *more,
        timeout_s=240,
    )
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
    (summary,) = re.findall(r"\d+ generated, .*", ended.stdout)
    return str(summary)


@pytest.fixture
def url(vendors: Vendors) -> str:
    return vendors("pagerduty", public_url="https://acme.pagerduty.com").url


def test_the_published_document(clients: Clients, contracts: Path, url: str) -> None:
    published = contracts / "pagerduty" / "events-v2.openapi.json"
    said = ran(clients, published, f"{url}/v2", "--exclude-checks", "positive_data_acceptance")
    assert re.fullmatch(r"\d+ generated, \d{3,} passed", said)


@pytest.fixture
def documented(contracts: Path, tmp_path: Path) -> Path:
    """The published document with the rules of the pages beside it: docs events-API-v2/01 to 03."""
    document: dict[str, Any] = json.loads((contracts / "pagerduty" / "events-v2.openapi.json").read_text())
    schemas = document["components"]["schemas"]
    for name in ("Payload", "ChangeEventPayload"):
        schemas[name]["properties"]["summary"] = {"type": "string", "maxLength": 1024, "pattern": "[0-9A-Za-z]"}
    schemas["Payload"]["properties"]["source"] = {"type": "string", "minLength": 1}
    schemas["Links"]["items"]["properties"]["href"] = {"type": "string", "minLength": 1}
    schemas["Images"]["items"]["properties"]["src"] = {"type": "string", "pattern": "^https://"}
    alert, change = (
        document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        for path in ("/enqueue", "/change/enqueue")
    )
    key, dedup = {"type": "string", "pattern": "^[0-9A-Za-z]{32}$"}, {"type": "string", "maxLength": 255}
    alert["schema"]["properties"] |= {"routing_key": key, "dedup_key": dedup}
    change["schema"]["properties"]["routing_key"] = key | {"pattern": "^[0-9A-QS-Za-z][0-9A-Za-z]{31}$"}
    alert["schema"]["properties"]["event_action"] = {"enum": ["trigger"]}
    alert["schema"]["required"] = ["routing_key", "event_action", "payload"]
    del alert["examples"], change["examples"]
    written = tmp_path / "documented.json"
    written.write_text(json.dumps(document))
    return written


def test_the_published_document_with_the_documented_rules(clients: Clients, documented: Path, url: str) -> None:
    said = ran(clients, documented, f"{url}/v2")
    assert re.fullmatch(r"\d+ generated, \d{3,} passed", said)
