"""Does ServiceNow's own client, pysnc, take the simulator for an instance?

Its own suite (repository ServiceNow/PySNC, directory test/) is no part of any package: TOCSIN_PYSNC_SUITE names a
checkout of it.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.judges.conftest import Clients, Vendors

AT_LEAST = 90
"""Of the suite's 111 tests; it skips five by itself, which need keys that no instance has."""
IN_ITS_DIRECTORY = """
import os, sys, pytest
os.chdir(sys.argv[1])
sys.path[:0] = ["", "test"]  # older files of the suite import their neighbours plainly
options = ["-q", "-p", "no:cacheprovider", "--tb=short", "--ignore=test/asyncio"]  # asyncio: not in pysnc 1.2.1
sys.exit(pytest.main([*options, "test"]))
"""
SCRIPT = Path(__file__).with_name("as_a_client.py")


def test_the_client_lives_with_the_simulator(clients: Clients, vendors: Vendors) -> None:
    url = vendors("servicenow", tls=True).url
    ended = clients.run("python", str(SCRIPT), url, "admin", "tocsin")
    assert ended.returncode == 0, ended.stderr
    outcomes: dict[str, str] = json.loads(ended.stdout.splitlines()[-1])
    assert len(outcomes) == 17
    assert {name: words for name, words in outcomes.items() if words != "passed"} == {}


def test_the_clients_own_suite_passes(clients: Clients, vendors: Vendors) -> None:
    suite = os.environ.get("TOCSIN_PYSNC_SUITE")
    if not suite:
        pytest.skip("TOCSIN_PYSNC_SUITE names no checkout of ServiceNow/PySNC")
    ended = clients.run(
        *("python", "-c", IN_ITS_DIRECTORY, str(Path(suite).resolve())),
        timeout_s=600,
        PYSNC_SERVER=vendors("servicenow", tls=True).url,
        PYSNC_USERNAME="admin",
        PYSNC_PASSWORD="tocsin",
        PYSNC_CLIENT_ID="tocsin",
        PYSNC_CLIENT_SECRET="tocsin",
    )
    passed = re.search(r"(\d+) passed", ended.stdout)
    assert passed is not None, ended.stdout[-2000:] + ended.stderr[-2000:]
    assert int(passed[1]) >= AT_LEAST, ended.stdout[-8000:]
