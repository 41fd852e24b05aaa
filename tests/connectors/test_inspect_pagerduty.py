"""What doctor finds out about a PagerDuty account before the first outage does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.connectors.doctoring import Found, inspection, look
from tocsin import simulators
from tocsin.domain.seen import Grade, Inspection

KEY, OTHER = "b" * 32, "c" * 32
HOOK = "https://tocsin.example.com/hooks/pagerduty"
SEED: dict[str, object] = {"routing_keys": {KEY: "Returns ML", OTHER: "Payments"}, "users": ["bot@example.org"]}


@pytest.fixture(scope="module")
def _account() -> Iterator[simulators.Running]:
    with simulators.start("pagerduty", seed=SEED) as running:
        yield running


@pytest.fixture
def account(_account: simulators.Running) -> simulators.Running:
    _account.reset()
    return _account


def seen(account: simulators.Running, asked: Inspection | None = None, **config: Any) -> Found:
    given = {
        "url": account.url,
        "api_url": account.url,
        "api_token": "tocsin",
        "from_email": "bot@example.org",
        "routing_keys": {"ml": KEY},
        **config,
    }
    return look("pagerduty", given, asked or inspection(addresses={"ml": {"routing_key": "ml"}}), account)


def test_a_sound_account_has_no_errors_and_is_only_read(account: simulators.Running) -> None:
    found = seen(account)
    assert found.errors == []
    assert found.methods == {"GET"}
    assert found.only("routing_key").says == "Leads to service Returns ML"
    assert found.only("on_call").grade is Grade.OK
    assert found.only("from_email").grade is Grade.OK


def test_without_a_token_it_says_what_cannot_be_seen(account: simulators.Running) -> None:
    found = seen(account, api_token=None)
    assert "without paging" in found.only("routing_keys").says
    assert found.calls == []
    assert found.errors == []


def test_a_wrong_token_is_told(account: simulators.Running) -> None:
    found = seen(account, api_token="wrong")
    assert [(one.check, one.value) for one in found.errors] == [("credentials", "401")]


def test_a_routing_key_that_nobody_listed_pages_nobody(account: simulators.Running) -> None:
    asked = inspection(addresses={"pay": {"routing_key": "payments"}}, origins={"team:pay": "teams/pay.yaml:2"})
    (wrong,) = seen(account, asked).errors
    assert (wrong.check, wrong.value) == ("routing_key", "payments")
    assert "teams/pay.yaml:2" in wrong.says
    milder = seen(account, asked, default_routing_key=OTHER)
    assert milder.errors == []


def test_teams_that_nobody_would_page_are_told_together(account: simulators.Running) -> None:
    (wrong,) = seen(account, inspection(addresses={"a": {}, "b": {}})).errors
    assert "a, b" in wrong.says


def test_what_is_no_integration_key_is_told_without_showing_it(account: simulators.Running) -> None:
    found = seen(account, routing_keys={"ml": "hunter2"})
    assert "7 characters" in found.errors[0].says
    assert "hunter2" not in repr(found.findings)


def test_a_key_that_no_service_has_is_told(account: simulators.Running) -> None:
    (wrong,) = seen(account, routing_keys={"ml": "d" * 32}).errors
    assert (wrong.check, wrong.value) == ("routing_key", "ml")
    assert "Used by team ml" in wrong.says


def test_a_service_that_is_switched_off_drops_pages(account: simulators.Running) -> None:
    account.seed({"services": {"Returns ML": "disabled"}})
    (wrong,) = seen(account).errors
    assert "disabled" in wrong.says
    account.seed({"services": {"Returns ML": "maintenance"}})
    assert seen(account).only("routing_key").grade is Grade.WARNING


def test_a_sender_that_is_no_user_is_told(account: simulators.Running) -> None:
    (wrong,) = seen(account, from_email="nobody@example.org").errors
    assert wrong.check == "from_email"


def test_priorities_of_the_account_are_compared(account: simulators.Running) -> None:
    assert seen(account, priorities={1: "P1"}).only("priority").grade is Grade.OK
    wrong = seen(account, priorities={1: "Sev1"}).only("priority")
    assert (wrong.grade, "P1" in wrong.remedy) == (Grade.WARNING, True)


def test_addresses_of_two_service_regions_do_not_fit_together() -> None:
    config = {
        "url": "https://events.eu.pagerduty.com",
        "api_url": "https://api.pagerduty.com",
        "proxy": "http://127.0.0.1:9",
        "routing_keys": {"ml": KEY},
    }
    found = look("pagerduty", config, inspection())
    assert found.errors[0].check == "region"
    assert found.only("reach").grade is Grade.NOTE  # a proxy stands between


def test_a_webhook_subscription_for_our_hook_is_looked_for(account: simulators.Running) -> None:
    asked = inspection(hooks=(HOOK,))
    assert seen(account, asked).only("webhook").grade is Grade.WARNING
    subscription = {
        "type": "webhook_subscription",
        "delivery_method": {"type": "http_delivery_method", "url": HOOK},
        "events": ["incident.acknowledged", "incident.resolved"],
        "filter": {"type": "account_reference"},
    }
    headers = {"Authorization": "Token token=tocsin", "Accept": "application/vnd.pagerduty+json;version=2"}
    requests.post(
        f"{account.url}/webhook_subscriptions",
        json={"webhook_subscription": subscription},
        headers=headers,
        timeout=5,
    ).raise_for_status()
    deaf = seen(account, asked).only("webhook")
    assert (deaf.grade, "incident.reopened" in deaf.says) == (Grade.WARNING, True)


# --- the probe ---


def test_a_probe_sends_one_change_event_and_pages_nobody(account: simulators.Running) -> None:
    found = seen(account, inspection(probe_group="ml"))
    assert found.only("probe").grade is Grade.OK
    state = account.state()
    assert state["incidents"] == []
    assert len(state["changes"]) == 1  # type: ignore[arg-type]
    assert [call["path"] for call in found.calls if call["method"] != "GET"] == ["/v2/change/enqueue"]


def test_a_probe_of_a_key_that_is_not_listed_sends_nothing(account: simulators.Running) -> None:
    found = seen(account, inspection(probe_group="other"))
    assert found.only("probe").grade is Grade.ERROR
    assert found.methods == {"GET"}


def test_the_key_of_an_event_orchestration_is_not_probed(account: simulators.Running) -> None:
    found = seen(account, inspection(probe_group="ml"), routing_keys={"ml": "R" + "a" * 31})
    assert found.only("probe").grade is Grade.NOTE
    assert found.methods == {"GET"}
