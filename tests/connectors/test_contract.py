"""What every connector owes, for every connector found. A new one takes part by existing.

Its folder beside this file holds `contract.json` (config with `{url}` and `{secret}`; options of its simulator; the
name of the records in the simulator's state) and its golden files: `<case>.wanted.json` → `<case>.request.json`.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import BaseModel, SecretStr, TypeAdapter

from tests.connectors.builders import KEY, WANTED, after, note, task, wanted
from tests.connectors.canned import canned, refusing_url
from tocsin import simulators
from tocsin.connectors import Connection, Connector, find, names, open_http
from tocsin.domain.errors import BadMapping
from tocsin.domain.record import Outcome, Reason, Task, Wanted

HERE = Path(__file__).parent
SECRET = "keyOf32SignsThatNobodyMaySee0123"
OVER_HTTP = tuple(kind for kind in names() if issubclass(find(kind).Config, Connection))
_WANTED = TypeAdapter(Wanted)


def contract(kind: str) -> dict[str, Any]:
    told: dict[str, Any] = orjson.loads((HERE / kind / "contract.json").read_bytes())
    return told


def config_of(kind: str, url: str, **changes: Any) -> BaseModel:
    given = {
        name: value.replace("{url}", url).replace("{secret}", SECRET) if isinstance(value, str) else value
        for name, value in contract(kind)["config"].items()
    }
    config: BaseModel = find(kind).Config(**given, **changes)
    return config


def sent(kind: str, url: str, asked: Task | None = None, **changes: Any) -> Outcome:
    connector: Connector[Any] = find(kind)
    config = config_of(kind, url, **changes)
    return connector.send(config, asked or task(), open_http(config, blip_wait_s=0))


GOLDEN = [
    pytest.param(path, id=f"{path.parent.name}/{path.name.partition('.')[0]}")
    for path in sorted(HERE.glob("*/*.wanted.json"))
]


@pytest.mark.parametrize("path", GOLDEN)
def test_a_wanted_record_renders_as_its_golden_file(path: Path, accept: bool) -> None:
    connector = find(path.parent.name)
    config = config_of(connector.kind, "https://vendor.example.com")
    record = _WANTED.validate_json(path.read_bytes())
    said = orjson.loads(orjson.dumps(connector.render(config, record)))
    golden = path.with_name(path.name.replace(".wanted.", ".request."))
    if accept:
        golden.write_bytes(orjson.dumps(said, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    assert said == orjson.loads(golden.read_bytes())
    assert SECRET not in str(said)


@pytest.mark.parametrize("kind", names())
def test_a_connector_has_golden_files_and_explains_its_config(kind: str) -> None:
    connector = find(kind)
    assert connector.kind == kind
    assert list((HERE / kind).glob("*.wanted.json")), "save a wanted record, run pytest --accept, and read the result"
    for name, field in connector.Config.model_fields.items():
        assert field.description, f"{kind}: {name} has no description"
    assert connector.Config.model_config["extra"] == "forbid"


def test_an_unknown_kind_is_refused_with_the_choices() -> None:
    with pytest.raises(BadMapping, match="choose one of console, jira, pagerduty, servicenow"):
        find("servicenov")


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 422, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("kind", OVER_HTTP)
def test_every_error_is_classified(kind: str, status: int) -> None:
    with canned(status=status, body=b'{"error": {"message": "No"}}') as vendor:
        outcome = sent(kind, vendor.url)
    assert not outcome.settled
    assert outcome.reason != Reason.OK
    assert outcome.calls >= 1
    if status == 401:
        assert (outcome.result, outcome.reason) == ("rejected", Reason.UNAUTHORIZED)
    elif status == 429:
        assert (outcome.result, outcome.reason) == ("retry", Reason.RATE_LIMITED)
    elif status >= 500:
        assert outcome.result in ("retry", "ambiguous")
    else:
        assert outcome.result in ("rejected", "retry")


@pytest.mark.parametrize("kind", OVER_HTTP)
def test_a_refused_connection_is_a_retry(kind: str) -> None:
    outcome = sent(kind, refusing_url())
    assert (outcome.result, outcome.reason) == ("retry", Reason.UNREACHABLE)


@pytest.mark.parametrize("kind", OVER_HTTP)
def test_a_timeout_is_ambiguous(kind: str) -> None:
    with canned(hang_s=0.4) as vendor:
        outcome = sent(kind, vendor.url, task(wanted=wanted(address={})), read_timeout_s=0.15, deadline_s=5)
    assert (outcome.result, outcome.reason) == ("ambiguous", Reason.TIMEOUT)


@pytest.mark.parametrize("kind", OVER_HTTP)
def test_a_web_page_in_place_of_the_api_is_waited_for(kind: str) -> None:
    with canned(content_type="text/html", body=b"<title>Log in</title>") as vendor:
        outcome = sent(kind, vendor.url)
    assert (outcome.result, outcome.reason, outcome.after) == ("retry", Reason.BAD_ANSWER, timedelta(minutes=5))


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"{}", b'{"result": 7}', b'{"result": [1]}', b"7"])
@pytest.mark.parametrize("kind", OVER_HTTP)
def test_an_answer_of_the_wrong_shape_is_a_value_too(kind: str, body: bytes) -> None:
    known = task(external_id=KEY, sent={"state": "1"}, sent_wanted=WANTED, notes=(note(1),), attempts=1)
    with canned(body=body) as vendor:
        assert not sent(kind, vendor.url, task(wanted=wanted(address={"project": "OPS"}))).settled
        assert not sent(kind, vendor.url, known).settled


@pytest.mark.parametrize("kind", OVER_HTTP)
def test_retry_after_is_honoured(kind: str) -> None:
    with canned(status=429, headers={"Retry-After": "17"}, body=b"") as vendor:
        outcome = sent(kind, vendor.url)
    assert (outcome.result, outcome.after) == ("retry", timedelta(seconds=17))


@pytest.mark.parametrize("status", [400, 403, 500])
@pytest.mark.parametrize("kind", OVER_HTTP)
def test_the_secret_is_in_no_outcome_repr_or_log(kind: str, status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with canned(status=status, echo=True) as vendor:
        config = config_of(kind, vendor.url)
        http = open_http(config, blip_wait_s=0)
        outcome = find(kind).send(config, task(), http)
        carried = [one.headers.get("Authorization", "").split(" ")[-1] for one in vendor.asked]
    seen = f"{outcome!r} {config!r} {config} {http!r} {caplog.text}"
    assert SECRET not in seen
    assert not [text for text in carried if text and text in seen]
    assert len(outcome.detail) <= 500


@pytest.mark.parametrize("kind", OVER_HTTP)
def test_http_without_tls_is_refused_but_on_this_machine(kind: str) -> None:
    with pytest.raises(ValueError, match="in clear"):
        config_of(kind, "http://vendor.example.com")
    config_of(kind, "http://vendor.example.com", allow_http=True)


@pytest.mark.parametrize("kind", OVER_HTTP)
def test_the_same_wanted_twice_leaves_one_record(kind: str) -> None:
    told = contract(kind)
    with simulators.start(kind, **{"password": SECRET, **told["simulator"]}) as vendor:
        first = task()
        outcome = sent(kind, vendor.url, first)
        assert outcome.settled, outcome
        assert sent(kind, vendor.url, after(outcome, first)).settled
        assert records(vendor, told) == 1


@pytest.mark.parametrize("fault", ["commit_then_drop", "server_error_after"])
@pytest.mark.parametrize("kind", OVER_HTTP)
def test_a_lost_answer_leaves_one_record(kind: str, fault: str) -> None:
    told = contract(kind)
    with simulators.start(kind, **{"password": SECRET, **told["simulator"]}) as vendor:
        vendor.front.plans.add({"fault": fault, "match": {"method": "POST"}})
        tried = task(wanted=wanted(address={"project": "OPS"}))
        for _ in range(4):
            outcome = sent(kind, vendor.url, tried)
            if outcome.settled:
                break
            tried = replace(after(outcome, tried), now=tried.now + (outcome.after or timedelta(seconds=30)))
        assert outcome.settled, outcome
        assert records(vendor, told) == 1


def records(vendor: simulators.Running, told: dict[str, Any]) -> int:
    found = vendor.state()[told["records"]]
    assert isinstance(found, list)
    return len(found)


LONG = wanted(
    title="Überlang " * 400,
    body="Zeile — eine von vielen, und jede ist länger als nötig.\n" * 20_000,
    close_notes="erledigt " * 20_000,
    details={f"detail_{number}": "x" * 60_000 for number in range(20)},
    links=tuple((f"Link {number} " * 90, f"https://links.example.com/{number}") for number in range(10)),
)


@pytest.mark.parametrize("kind", OVER_HTTP)
def test_the_vendors_limits_are_kept(kind: str) -> None:
    told = contract(kind)
    with simulators.start(kind, **{"password": SECRET, **told["simulator"]}) as vendor:
        first = task(wanted=LONG, notes=(note(1, "lang " * 20_000),))
        outcome = sent(kind, vendor.url, first)
        assert outcome.settled, outcome
        assert outcome.confirmation is not None
        assert outcome.confirmation.dropped_fields == ()
        second = after(outcome, first, wanted=replace(LONG, status="resolved"), notes=(note(2, "lang " * 20_000),))
        assert sent(kind, vendor.url, second).settled


def test_secrets_are_wrapped() -> None:
    for kind in names():
        for name, field in find(kind).Config.model_fields.items():
            if any(word in name for word in ("password", "secret", "token", "api_key", "default_routing_key")):
                assert SecretStr.__name__ in str(field.annotation), f"{kind}: {name}"
