"""What each answer, or the lack of one, obliges us to do."""

from __future__ import annotations

import time
from datetime import timedelta
from email.utils import format_datetime

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.builders import NOW
from tests.connectors.canned import Canned, canned, refusing_url
from tocsin.connectors._http import Failure, Http, Reply, _Timely, basic, classify, clock_s
from tocsin.connectors._waits import asked_to_wait
from tocsin.domain.record import Reason

SECRET = "s3cr3t-hunter-of-tickets"


def http(**given: object) -> Http:
    return Http(**{"timeout_s": (1, 0.3), "blip_wait_s": 0, **given}).attempt(NOW)  # type: ignore[arg-type]


def failed(answer: Reply | Failure) -> Failure:
    assert isinstance(answer, Failure)
    return answer


@given(status=st.integers(300, 599), idempotent=st.booleans())
def test_every_status_is_classified(status: int, idempotent: bool) -> None:
    failure = classify(status, idempotent=idempotent)
    assert failure.reason != Reason.OK
    if status >= 500:
        assert failure.result == ("retry" if idempotent else "ambiguous")
    if failure.result == "ambiguous":
        assert not idempotent


@pytest.mark.parametrize("status", [401, 403, 404, 409, 429, 500])
def test_the_named_statuses_say_what_to_do(status: int) -> None:
    expected = {
        401: ("rejected", Reason.UNAUTHORIZED),
        403: ("rejected", Reason.FORBIDDEN),
        404: ("rejected", Reason.GONE),
        409: ("retry", Reason.CONFLICT),
        429: ("retry", Reason.RATE_LIMITED),
        500: ("ambiguous", Reason.SERVER_ERROR),
    }
    failure = classify(status, idempotent=False)
    assert (failure.result, failure.reason) == expected[status]


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_refused_connection_is_a_retry_for_nothing_was_sent(idempotent: bool) -> None:
    failure = failed(http().call("POST", refusing_url(), idempotent=idempotent, json={}))
    assert (failure.result, failure.reason) == ("retry", Reason.UNREACHABLE)


def test_an_unresolvable_host_is_a_retry() -> None:
    failure = failed(http().call("POST", "http://nowhere.invalid/", idempotent=False, json={}))
    assert (failure.result, failure.reason) == ("retry", Reason.UNREACHABLE)


@pytest.mark.parametrize(("idempotent", "result"), [(True, "retry"), (False, "ambiguous")])
def test_an_answer_that_does_not_come_is_ambiguous_unless_a_repeat_is_harmless(idempotent: bool, result: str) -> None:
    with canned(hang_s=0.6) as vendor:
        failure = failed(http().call("POST", vendor.url, idempotent=idempotent, json={}))
    assert (failure.result, failure.reason) == (result, Reason.TIMEOUT)


@pytest.mark.parametrize(("idempotent", "result"), [(True, "retry"), (False, "ambiguous")])
def test_a_connection_that_breaks_is_ambiguous_unless_a_repeat_is_harmless(idempotent: bool, result: str) -> None:
    with canned(reset=True) as vendor:
        failure = failed(http().call("POST", vendor.url, idempotent=idempotent, json={}))
        assert (failure.result, failure.reason) == (result, Reason.TIMEOUT)
        assert len(vendor.asked) == (3 if idempotent else 1)


def test_a_blip_is_tried_again_at_once_when_a_repeat_is_harmless() -> None:
    def bad(vendor: Canned) -> None:
        vendor.status = 503

    def good(vendor: Canned) -> None:
        vendor.status = 200

    with canned(answers=[bad, good]) as vendor:
        client = http()
        assert isinstance(client.call("GET", vendor.url, idempotent=True), Reply)
        assert client.calls == 2


def test_a_slow_drip_ends_at_the_deadline() -> None:
    with canned(body=b"x" * 40, drip_s=0.05) as vendor:
        began_s = time.monotonic()
        failure = failed(http(deadline_s=0.5).call("GET", vendor.url, idempotent=True))
        assert time.monotonic() - began_s < 1.5
    assert failure.reason == Reason.TIMEOUT


def test_half_an_answer_after_a_create_is_ambiguous() -> None:
    with canned(status=201, body=b'{"result": {}}', headers={"Content-Length": "900"}) as vendor:
        failure = failed(http().call("POST", vendor.url, idempotent=False, json={}))
    assert (failure.result, failure.reason) == ("ambiguous", Reason.TIMEOUT)


def test_past_the_deadline_nothing_is_sent() -> None:
    with canned() as vendor:
        failure = failed(http(deadline_s=0).call("POST", vendor.url, idempotent=False, json={}))
        assert (failure.result, vendor.asked) == ("retry", [])


def test_a_web_page_is_not_the_api() -> None:
    with canned(content_type="text/html", body=b"<h1>Hibernating</h1>") as vendor:
        failure = failed(http().call("POST", vendor.url, idempotent=False, json={}))
    assert (failure.result, failure.reason, failure.after) == ("retry", Reason.BAD_ANSWER, timedelta(minutes=5))


def test_broken_json_after_a_create_is_ambiguous() -> None:
    with canned(status=201, body=b'{"result": ') as vendor:
        failure = failed(http().call("POST", vendor.url, idempotent=False, json={}))
    assert (failure.result, failure.reason) == ("ambiguous", Reason.BAD_ANSWER)


def test_an_empty_answer_is_fine() -> None:
    with canned(status=204, body=b"") as vendor:
        assert isinstance(http().call("PUT", vendor.url, idempotent=True, json={}), Reply)


def test_more_than_eight_megabytes_are_not_read() -> None:
    with canned(body=b'"' + b"x" * 9_000_000 + b'"') as vendor:
        assert failed(http().call("GET", vendor.url, idempotent=True)).reason == Reason.BAD_ANSWER


def test_redirects_are_not_followed() -> None:
    with canned() as elsewhere, canned(status=302, headers={"Location": elsewhere.url}) as vendor:
        failure = failed(http().call("GET", vendor.url, idempotent=True, headers={"Authorization": "Basic x"}))
        assert (failure.result, failure.reason) == ("retry", Reason.BAD_ANSWER)
        assert elsewhere.asked == []


def test_the_secret_is_in_no_answer_repr_or_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    client = http(secrets=(SECRET,), redact=lambda text: text.replace("alice@example.com", "…"))
    with canned(status=400, echo=True) as vendor:
        login = {"Authorization": basic("alice@example.com", SECRET)}
        failure = failed(client.call("POST", vendor.url, idempotent=False, headers=login, json={"key": SECRET}))
    seen = f"{failure.detail} {client!r} {caplog.text}"
    assert SECRET not in seen
    assert login["Authorization"].split()[1] not in seen
    assert "alice@example.com" not in failure.detail


@given(text=st.text(max_size=3000))
def test_the_vendors_words_are_one_line_of_at_most_500_characters(text: str) -> None:
    words = Http().words(text)
    assert len(words) <= 500
    assert "\n" not in words


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "17"}, 17),
        ({"Retry-After": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, 90),
        ({"ratelimit-reset": "11"}, 11),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) + 600)}, 600),
        ({"X-RateLimit-Reset": (NOW + timedelta(seconds=30)).isoformat()}, 30),
        ({"Retry-After": "99999999"}, 24 * 3600),
    ],
)
def test_the_wait_a_vendor_asks_for_is_understood(headers: dict[str, str], seconds: int) -> None:
    assert asked_to_wait(headers, now=NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "soon"}, {"X-RateLimit-Reset": "never"}])
def test_no_wait_is_invented(headers: dict[str, str]) -> None:
    assert asked_to_wait(headers, now=NOW) is None


def test_a_body_is_not_sent_once_its_time_is_up() -> None:
    body = _Timely(b'{"state": "6"}', clock_s() + 60)
    assert (len(body), body.read(4), body.read()) == (14, b'{"st', b'ate": "6"}')
    late = _Timely(b'{"state": "6"}', clock_s() - 1)
    with pytest.raises(requests.ReadTimeout):
        late.read()


def test_an_attempt_ends_with_the_time_that_its_lease_leaves() -> None:
    with canned() as vendor:
        answer = Http(deadline_s=20).attempt(NOW, within_s=0).call("GET", vendor.url, idempotent=True)
    assert isinstance(answer, Failure)
    assert vendor.asked == [], "not sent"
