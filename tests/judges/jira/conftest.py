"""The simulated site that outsiders judge, bare and behind Prism."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.connectors.jira.board import Board
from tests.judges.conftest import Prism, Proxies, Vendors
from tocsin import simulators

AREA = {"customfield_10042": {"name": "Root area", "kind": "option", "values": ["Payments", "Search"]}}
SEED = {
    "projects": [{"key": "OPS", "components": ["ranking"], "required": ["customfield_10042"]}],
    "custom_fields": AREA,
    "users": [{"login": "clara@example.org", "name": "Clara"}],
}


@pytest.fixture
def site(vendors: Vendors) -> simulators.Running:
    return vendors("jira", seed=SEED)


@pytest.fixture
def proxy(prism: Proxies, contracts: Path, site: simulators.Running) -> Prism:
    return prism(contracts / "jira" / "platform-v3.sanitized.json", site.url)


@pytest.fixture(scope="session")
def data_center_document(contracts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data Center's document with the `/rest` of its server's address in its paths, for Prism leaves that out."""
    document = json.loads((contracts / "jira" / "datacenter-10.openapi.json").read_text())
    document["paths"] = {f"/rest{path}": item for path, item in document["paths"].items()}
    place = tmp_path_factory.mktemp("contract") / "datacenter-10.json"
    place.write_text(json.dumps(document))
    return place


@pytest.fixture
def board(proxy: Prism, site: simulators.Running) -> Board:
    """Our connector, speaking with the simulator through Prism."""
    return Board(site, url=proxy.url, fields={"Root area": "Payments"}, read_timeout_s=30, deadline_s=110)
