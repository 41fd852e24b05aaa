"""GitHub: forms, and which deployments a hook takes."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlencode

import orjson
import pytest

from tests.sources.reading import bodies, companion, hook_of, message_of
from tocsin.domain.errors import BadPayload
from tocsin.sources import find
from tocsin.sources._delivery import PRODUCTION

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def test_a_form_says_what_its_json_says() -> None:
    body = next(body for body in bodies("github") if body.stem == "deployment_status_success")
    hook, headers = hook_of("github"), companion(body, "headers")
    form = urlencode({"payload": body.read_text("utf-8")}).encode()
    plain = find("github").normalize(message_of(body.read_bytes(), hook, NOW, headers), hook)
    assert find("github").normalize(message_of(form, hook, NOW, headers), hook) == plain


def test_an_empty_form_is_refused() -> None:
    hook = hook_of("github")
    with pytest.raises(BadPayload):
        find("github").normalize(message_of(b"payload=", hook, NOW, {"X-GitHub-Event": "deployment"}), hook)


@pytest.mark.parametrize("name", ["production", "Production – checkout", "prod-eu", "eu_prod", "LIVE", "prod_2"])
def test_it_is_production_by_name(name: str) -> None:
    assert PRODUCTION.search(name)


@pytest.mark.parametrize(
    "name", ["staging", "pre-production", "preprod", "non-prod", "pre_prod", "products", "delivery"]
)
def test_it_is_not_production_by_name(name: str) -> None:
    assert not PRODUCTION.search(name)


@pytest.mark.parametrize(
    ("hook_environment", "deployed_to", "taken"),
    [
        ("production", "production", True),
        ("production", "staging", False),
        ("staging", "staging", True),
        ("staging", "production", False),
        ("*", "staging", True),
        ("*", "production", True),
    ],
)
def test_a_hook_takes_the_deployments_of_its_environment(hook_environment: str, deployed_to: str, taken: bool) -> None:
    hook = hook_of("github", environment=hook_environment)
    deployment = {"id": 1, "environment": deployed_to, "created_at": "2026-11-21T11:00:00Z"}
    body = orjson.dumps({"repository": {"name": "shop", "full_name": "a/shop"}, "deployment": deployment})
    found = find("github").normalize(message_of(body, hook, NOW, {"X-GitHub-Event": "deployment"}), hook)
    assert bool(found.changes) is taken
    assert [change.environment for change in found.changes] == ([deployed_to] if taken else [])
