"""A signed message is durable first, checked in a worker with a key fetched there, and never trusted without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from sqlalchemy.engine import make_url

from tests.connectors.canned import canned
from tests.pipeline.world import MAPPINGS, World
from tests.sources.sns import CERTIFICATE, CONFIRM, CONFIRMATION, certificate, signed
from tocsin import pipeline
from tocsin.cli.embedded.postgres import OWNER
from tocsin.connectors import Failure, Fetcher
from tocsin.domain.message import KEY_URL
from tocsin.domain.record import Reason
from tocsin.polling import TELL_AFTER, run_errands
from tocsin.receive import Receiver, Request
from tocsin.store import errands, inbox, reading, replaying
from tocsin.store.errands import KEY, Errand

HOOKS = """
    hooks:
      aws: {source: cloudwatch, environment: production, secret: {env: SECRET}}
      open: {source: cloudwatch, environment: production, unverified: true}
"""
TRIGGER = '{"Dimensions": [{"name": "Service", "value": "search"}]}'
ALARM = '{"AlarmName": "slow", "NewStateValue": "ALARM", "Trigger": ' + TRIGGER + "}"


@pytest.fixture
def world(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("SECRET", "s3cret")
    made = World(database, tmp_path, {**MAPPINGS, "aws.yaml": HOOKS})
    yield made
    made.close()


@pytest.fixture
def receiver(world: World, tmp_path: Path) -> Iterator[Receiver]:
    made = Receiver(world.app, spool_dir=tmp_path / "spool")
    made.refresh()
    yield made
    made.stop()


class Outside:
    """Stands for Amazon: counts what is fetched, gives the certificate or fails."""

    def __init__(self, answer: bytes | Failure) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def __call__(self, url: str) -> bytes | Failure:
        self.asked.append(url)
        return self.answer


def now() -> datetime:
    return datetime.now(UTC)


def amazon() -> Outside:
    return Outside(certificate(now=now()))


UNREACHABLE = Failure("retry", Reason.UNREACHABLE, detail="nothing was sent")


def post(receiver: Receiver, body: dict[str, object], *, hook: str = "aws", token: str = "s3cret") -> int:
    request = Request(
        path=f"/hooks/{hook}",
        headers={"content-type": "text/plain; charset=UTF-8", KEY_URL: "https://evil.example.net/key.pem"},
        query={"token": token},
        body=orjson.dumps(body),
    )
    return receiver.accept(request, hook=hook, now=now()).status


def alarm(name: str = "amazon", **more: str) -> dict[str, object]:
    return signed(name, at=now(), Message=ALARM, **more)


def at_once(world: World) -> None:
    """What waits is due."""
    world.do("UPDATE errands SET next_attempt_at = clock_timestamp() WHERE next_attempt_at IS NOT NULL")


def understood(world: World) -> list[str]:
    return world.audit("message.understood")


def test_an_alarm_waits_for_its_certificate_and_is_read_once_it_is_checked(world: World, receiver: Receiver) -> None:
    assert post(receiver, alarm()) == 202
    assert pipeline.understand(world.app) == 1
    assert understood(world) == []
    assert pipeline.understand(world.app) == 0, "it waits for the fetch"
    outside = amazon()
    assert run_errands(world.app, outside) == 1
    at_once(world)
    world.settle()
    assert understood(world) == ["normalized"]
    assert [incident["title"] for incident in world.incidents()]
    assert outside.asked == [CERTIFICATE]


def test_one_certificate_serves_every_message(world: World, receiver: Receiver) -> None:
    outside = amazon()
    for number in range(3):
        post(receiver, alarm(MessageId=f"m-{number}"))
    pipeline.understand(world.app)
    run_errands(world.app, outside)
    at_once(world)
    post(receiver, alarm(MessageId="m-3"))
    world.settle()
    assert run_errands(world.app, outside) == 0
    assert understood(world) == ["normalized"] * 4
    assert outside.asked == [CERTIFICATE]


def test_the_same_message_tried_again_is_a_duplicate(world: World, receiver: Receiver) -> None:
    post(receiver, alarm())
    post(receiver, alarm())
    pipeline.understand(world.app)
    run_errands(world.app, amazon())
    at_once(world)
    world.settle()
    assert sorted(understood(world)) == ["duplicate", "normalized"]


def test_a_wrong_signature_is_never_read(world: World, receiver: Receiver) -> None:
    post(receiver, alarm("somebody else"))
    pipeline.understand(world.app)
    run_errands(world.app, amazon())
    at_once(world)
    world.settle()
    assert understood(world) == ["refused"]
    assert world.incidents() == []
    assert world.sql("SELECT * FROM inbox") == []


def test_while_the_certificate_cannot_be_fetched_it_waits_and_the_team_is_told(
    world: World, receiver: Receiver
) -> None:
    post(receiver, alarm())
    for _ in range(TELL_AFTER):
        pipeline.understand(world.app)
        assert run_errands(world.app, Outside(UNREACHABLE)) == 1
        at_once(world)
    world.settle()
    assert understood(world) == []
    [told] = world.incidents()
    assert "SenderUnreachable" in told["title"] or "cannot be opened" in str(world.sql("SELECT state FROM alerts"))
    at_once(world)
    run_errands(world.app, amazon())
    at_once(world)
    world.settle()
    assert understood(world) == ["normalized"]
    assert {incident["state"] for incident in world.incidents()} == {"open", "resolved"}


def test_what_waits_holds_nobody_up(world: World, receiver: Receiver) -> None:
    post(receiver, alarm())
    pipeline.understand(world.app)
    world.alert("HighLatency", minutes=29, service="checkout")
    world.settle()
    assert [incident["state"] for incident in world.incidents()] == ["open"]
    assert reading.unaccounted(world.app.database) == []


def test_a_key_that_came_meanwhile_sends_the_message_straight_back(world: World, receiver: Receiver) -> None:
    post(receiver, alarm())
    [claimed] = inbox.claim(world.app.database, world.app.seal)
    errands.ask(
        world.app.database, [Errand(url=CERTIFICATE, kind=KEY, source="cloudwatch", hook="aws", environment="")]
    )
    run_errands(world.app, amazon())
    errands.put_off(world.app.database, [(claimed, CERTIFICATE)])
    world.settle()
    assert understood(world) == ["normalized"]


def test_a_message_that_waited_for_a_day_goes_to_quarantine_unread(world: World, receiver: Receiver) -> None:
    post(receiver, alarm())
    pipeline.understand(world.app)
    world.do("UPDATE messages SET received_at = received_at - interval '25 hours'")
    world.do("UPDATE awaiting_key SET received_at = received_at - interval '25 hours'")
    run_errands(world.app, Outside(UNREACHABLE))
    world.settle()
    assert understood(world) == ["quarantined"]
    assert len(world.sql("SELECT * FROM quarantine WHERE reason LIKE '%certificate%'")) == 1
    assert world.sql("SELECT next_attempt_at FROM errands") == [{"next_attempt_at": None}], "nobody waits for it"
    post(receiver, alarm(MessageId="m-2"))
    pipeline.understand(world.app)
    assert run_errands(world.app, amazon()) == 1, "the next one has it tried again"
    world.settle()
    assert understood(world) == ["quarantined", "normalized"]


def test_what_is_no_certificate_is_not_kept_as_one(world: World, receiver: Receiver) -> None:
    post(receiver, alarm())
    pipeline.understand(world.app)
    run_errands(world.app, Outside(b"<html>a proxy's login page</html>"))
    assert world.sql("SELECT answer, failures FROM errands") == [{"answer": None, "failures": 1}]


def test_an_address_that_is_not_allowed_is_never_opened(world: World) -> None:
    world.do(
        "INSERT INTO errands (url, kind, source, hook, environment)"
        " VALUES ('https://169.254.169.254/latest', 'visit', 'cloudwatch', 'aws', 'production')"
    )
    outside = amazon()
    assert run_errands(world.app, outside) == 1
    assert outside.asked == []


def test_a_subscription_is_confirmed_once_and_only_after_its_signature_held(world: World, receiver: Receiver) -> None:
    outside = amazon()
    post(receiver, signed(at=now(), **CONFIRMATION))
    pipeline.understand(world.app)
    run_errands(world.app, outside)
    assert outside.asked == [CERTIFICATE]
    at_once(world)
    world.settle()
    run_errands(world.app, outside)
    post(receiver, signed(at=now(), **CONFIRMATION | {"MessageId": "again"}))
    world.settle()
    run_errands(world.app, outside)
    assert outside.asked == [CERTIFICATE, CONFIRM]
    assert understood(world) == ["ignored", "ignored"]


def test_a_forged_subscription_is_not_confirmed(world: World, receiver: Receiver) -> None:
    outside = amazon()
    post(receiver, signed("somebody else", at=now(), **CONFIRMATION))
    pipeline.understand(world.app)
    run_errands(world.app, outside)
    at_once(world)
    world.settle()
    run_errands(world.app, outside)
    assert outside.asked == [CERTIFICATE]


def test_a_hook_that_verifies_nothing_confirms_nothing(world: World, receiver: Receiver) -> None:
    outside = amazon()
    assert post(receiver, signed(at=now(), **CONFIRMATION), hook="open", token="") == 202
    world.settle()
    assert run_errands(world.app, outside) == 0
    assert understood(world) == ["ignored"]


def test_without_the_hooks_secret_it_is_refused_at_the_door(world: World, receiver: Receiver) -> None:
    assert post(receiver, alarm(), token="") == 401
    assert world.sql("SELECT * FROM messages") == []


def test_a_sender_cannot_name_a_key_itself(world: World, receiver: Receiver) -> None:
    post(receiver, {"AlarmName": "a"})
    post(receiver, alarm())
    assert [
        row["url"] for row in world.sql("SELECT headers->>'x-tocsin-key-url' AS url FROM messages ORDER BY id")
    ] == [
        None,
        CERTIFICATE,
    ]


def test_one_hook_cannot_have_addresses_opened_without_end(world: World, receiver: Receiver) -> None:
    for number in range(60):
        url = CERTIFICATE.replace("0123456789", f"{number:010d}")
        post(receiver, alarm(MessageId=f"m-{number}", SigningCertURL=url))
    pipeline.understand(world.app)
    assert world.sql("SELECT count(*) AS n FROM errands") == [{"n": 50}]
    assert world.sql("SELECT count(*) AS n FROM awaiting_key") == [{"n": 50}]
    assert understood(world) == ["refused"] * 10


@pytest.mark.parametrize(
    ("told", "fits"),
    [
        ({"body": b"-----BEGIN CERTIFICATE-----"}, lambda found: found == b"-----BEGIN CERTIFICATE-----"),
        ({"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}, lambda found: isinstance(found, Failure)),
        ({"status": 404}, lambda found: isinstance(found, Failure)),
        ({"body": b"x" * 70_000}, lambda found: isinstance(found, Failure)),
    ],
)
def test_the_fetcher_takes_bytes_and_follows_nothing(
    told: dict[str, object], fits: Callable[[bytes | Failure], bool]
) -> None:
    with canned(**told) as server:
        assert fits(Fetcher().fetch(server.url))


def test_an_old_confirmation_is_given_up(world: World) -> None:
    world.do(
        "INSERT INTO errands (url, kind, source, hook, environment, asked_at)"
        f" VALUES ('{CONFIRM}', 'visit', 'cloudwatch', 'aws', 'production', now() - interval '4 days')"
    )
    run_errands(world.app, Outside(UNREACHABLE))
    assert world.sql("SELECT next_attempt_at FROM errands") == [{"next_attempt_at": None}]


def test_a_replay_checks_with_the_certificates_that_are_known(world: World, receiver: Receiver, database: str) -> None:
    post(receiver, alarm())
    pipeline.understand(world.app)
    run_errands(world.app, amazon())
    world.settle()
    since = now() - timedelta(hours=1)
    period = replaying.Period(warm_at=since, since=since, until=now() + timedelta(minutes=1))
    name = replaying.scratch_name(now(), "e44a4d")
    admin = make_url(database).set(username=OWNER).render_as_string(hide_password=False)
    with replaying.scratch(world.app.database, admin_url=admin, name=name) as made:
        assert replaying.prepare(world.app.database, made, period, changes_back=timedelta(hours=1)) == 1
        assert set(errands.keys(made, [CERTIFICATE])) == {CERTIFICATE}
