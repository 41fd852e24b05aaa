"""Every source reads its fixtures as the expected files say: one test body for all of them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import orjson
import pytest

from tests.sources.reading import bodies, companion, hook_of, message_of, outcome
from tocsin.sources import names

CASES = [pytest.param(name, body, id=f"{name}/{body.stem}") for name in names() for body in bodies(name)]


@pytest.mark.parametrize("name", names())
def test_a_source_has_fixtures(name: str) -> None:
    assert bodies(name), f"save a real message as tests/sources/{name}/<what it is>.json, then run pytest --accept"


@pytest.mark.parametrize(("name", "body"), CASES)
def test_a_fixture_is_read_as_expected(name: str, body: Path, fixed_now: datetime, accept: bool) -> None:
    hook = hook_of(name, **companion(body, "hook"))
    message = message_of(body.read_bytes(), hook, fixed_now, companion(body, "headers"))
    said = outcome(message, hook)
    expected = body.with_name(f"{body.stem}.expected.json")
    if accept:
        expected.write_bytes(orjson.dumps(said, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    assert expected.exists(), "run pytest --accept, then read the expected file"
    assert said == orjson.loads(expected.read_bytes())
