"""What holds for every source that is found: its page can be printed, its bodies may be mutilated."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.sources.reading import bodies, companion, hook_of, message_of
from tocsin.domain.errors import BadMapping, BadPayload
from tocsin.domain.message import Normalized
from tocsin.sources import find, names, of
from tocsin.sources._alert_body import AlertBody
from tocsin.sources._change_body import ChangeBody

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

ODD: list[Any] = [
    None,
    True,
    -1,
    10**40,
    1e300,
    "",
    "\x00",
    "a" * 5000,
    [],
    {},
    [[]],
    {"": None},
    "0001-01-01T00:00:00Z",
]


@pytest.mark.parametrize("name", names())
def test_a_source_is_found_under_its_own_name(name: str) -> None:
    assert find(name).name == name
    assert find(name).title


def test_an_alias_finds_the_same_source() -> None:
    assert find("tocsin") is find("native_alert")
    assert find("change").name == "native_change"
    aliases = [alias for name in names() for alias in find(name).aliases]
    assert len(aliases) == len({*aliases, *names()}) - len(names())


def test_an_alias_is_found_without_importing_the_catalogue() -> None:
    """A receiver with one hook that names its source by an alias starts as fast as any."""
    code = "import sys; from tocsin.sources import find; print(find('splunk_observability').name, len(sys.modules))"
    by_alias = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    plain = code.replace("splunk_observability", "signalfx")
    by_name = subprocess.run([sys.executable, "-c", plain], check=True, capture_output=True, text=True).stdout.split()
    assert by_alias[0] == by_name[0] == "signalfx"
    assert int(by_alias[1]) - int(by_name[1]) < 20


def test_an_unknown_source_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(BadMapping, match=r"source 'alertmangler' is not known; did you mean alertmanager"):
        find("alertmangler")


@pytest.mark.parametrize("name", names())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), cut=st.booleans())
def test_a_mutilated_body_is_read_or_refused(name: str, seed: int, cut: bool) -> None:
    chance = random.Random(seed)
    fixture = chance.choice(bodies(name))
    body = fixture.read_bytes()
    if cut:
        body = body[: chance.randrange(len(body))]
    else:
        data = orjson.loads(body)
        for _ in range(chance.randint(1, 4)):
            data = mutilated(data, chance)
        body = as_senders_write(data, chance)
    said_or_refused(name, body, companion(fixture, "headers"))


@pytest.mark.parametrize("name", names())
@settings(max_examples=25, deadline=None)
@given(
    body=st.one_of(st.binary(max_size=60), st.recursive(st.none() | st.text(max_size=5), st.lists).map(orjson.dumps))
)
def test_anything_at_all_is_read_or_refused(name: str, body: bytes) -> None:
    said_or_refused(name, body, {})


def said_or_refused(name: str, body: bytes, headers: dict[str, str]) -> None:
    hook = hook_of(name, environment="*", defaults={"model": "churn"})
    message = message_of(body, hook, NOW, headers)
    source = of(hook)
    assert isinstance(source.message_id(message), str)
    assert source.verify(message, ("s3cret",)).verdict in ("refused", "needs_key")
    try:
        said = source.normalize(message, hook)
    except BadPayload:
        return
    assert isinstance(said, Normalized)
    assert said.ignored or said.alerts or said.changes or said.record_updates
    orjson.dumps(said, default=str)  # what was read can be stored as UTF-8 JSON


def mutilated(value: Any, chance: random.Random) -> Any:
    """The value with one part of it dropped or replaced by something odd."""
    if not isinstance(value, (dict, list)) or not value or chance.random() < 0.15:
        return chance.choice(ODD)
    keys: Any = list(value) if isinstance(value, dict) else range(len(value))
    key = chance.choice(keys)
    copy = value.copy()
    if chance.random() < 0.15:
        del copy[key]
    else:
        copy[key] = mutilated(value[key], chance)
    return copy


def as_senders_write(data: Any, chance: random.Random) -> bytes:
    """JSON with the slips that real writers make: NaN, half characters, depth."""
    text = json.dumps(data)
    slip = chance.choice(["", "NaN", "1e999", '"\\ud83d"', "[" * 70 + "]" * 70, '"\\u0000"'])
    return (text.replace("null", slip, 1) if slip else text).encode()


def test_the_schemas_of_our_own_json_are_valid_and_described() -> None:
    for model in (AlertBody, ChangeBody):
        schema = model.model_json_schema()
        Draft202012Validator.check_schema(schema)
        assert schema["additionalProperties"] is False
        assert all(field.description for field in model.model_fields.values())


def test_our_own_fixtures_fit_our_own_schema() -> None:
    schema = Draft202012Validator(AlertBody.model_json_schema())
    for name in ("everything", "the_least", "resolved"):
        fixture = next(body for body in bodies("native_alert") if body.stem == name)
        assert not list(schema.iter_errors(orjson.loads(fixture.read_bytes())))


def test_both_replicas_of_an_available_pair_report_one_alert() -> None:
    hook = hook_of("alertmanager")
    pair = [body for body in bodies("alertmanager") if "replica_" in body.stem]
    read = [find("alertmanager").normalize(message_of(body.read_bytes(), hook, NOW), hook).alerts[0] for body in pair]
    assert len({alert.fingerprint for alert in read}) == 1
    assert len({alert.sender_key for alert in read}) == 2
