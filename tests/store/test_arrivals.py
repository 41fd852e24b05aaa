"""A message is durable before it is answered: in the database, or in the spool while that is away."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
import uuid_utils.compat
from sqlalchemy.engine import make_url

from tocsin.domain.errors import BadSetting, Unavailable
from tocsin.store import Database, inbox
from tocsin.store.arrivals import DATABASE_TIMEOUT_S, Arrival, Spool, Writer
from tocsin.store.database import dumped, run
from tocsin.store.sealed import Seal

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OTHER_KEY = "HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def arrival(body: bytes = b"{}", seal: Seal | None = None) -> Arrival:
    return Arrival(
        id=uuid_utils.compat.uuid7(),
        received_at=AT,
        hook="am",
        source="alertmanager",
        environment="production",
        headers={"user-agent": "x"},
        query={},
        body=(seal or Seal([KEY])).seal(body),
    )


@pytest.fixture
def store(database: str) -> Iterator[Database]:
    opened = Database(database)
    yield opened
    opened.close()


@pytest.fixture
def writer(database: str) -> Iterator[Writer]:
    with closing(Writer(database)) as opened:
        yield opened


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with closing(Spool(tmp_path)) as opened:
        yield opened


def away(url: str) -> str:
    """The address of a server that is not there."""
    return make_url(url).update_query_dict({"host": "/tmp/nowhere"}).render_as_string(hide_password=False)


def test_a_written_message_is_claimed_once_with_its_body(store: Database, writer: Writer) -> None:
    seal = Seal([KEY])
    sent = arrival(b'{"alerts": []}', seal)
    writer.write(sent)
    [claimed] = inbox.claim(store, seal)
    assert (claimed.message.id, claimed.message.body, claimed.claims) == (sent.id, b'{"alerts": []}', 1)
    assert inbox.claim(store, seal) == []


def test_the_same_receipt_twice_is_one_message(store: Database, writer: Writer) -> None:
    seal = Seal([KEY])
    sent = arrival(seal=seal)
    writer.write(sent)
    writer.write(sent)
    assert len(inbox.claim(store, seal)) == 1


def test_a_database_that_is_away_is_told_at_once_and_found_again(database: str, writer: Writer) -> None:
    with closing(Writer(away(database))) as lost:
        with pytest.raises(Unavailable):
            lost.write(arrival())
        assert lost.away
        assert not lost.probe()
    assert writer.probe()


def together(writer: Writer, arrivals: list[Arrival]) -> list[tuple[str, float]]:
    """How each ended when all were written at once, and after how many seconds."""
    start = threading.Barrier(len(arrivals))

    def write(one: Arrival) -> tuple[str, float]:
        start.wait()
        began = time.monotonic()
        try:
            writer.write(one)
        except Unavailable as error:
            return type(error).__name__, time.monotonic() - began
        return "kept", time.monotonic() - began

    with ThreadPoolExecutor(len(arrivals)) as threads:
        return list(threads.map(write, arrivals))


def test_what_arrives_at_once_is_kept_at_once_and_one_bad_row_takes_no_other_with_it(
    store: Database, writer: Writer
) -> None:
    seal = Seal([KEY])
    for _ in range(5):
        good = [arrival(seal=seal) for _ in range(40)]
        bad = replace(arrival(seal=seal), hook="\0")
        ends = [end for end, _ in together(writer, [*good[:20], bad, *good[20:]])]
        assert (ends.count("kept"), ends[20]) == (40, "Unstorable")
        assert not writer.away
        assert {c.message.id for c in inbox.claim(store, seal)} == {one.id for one in good}


def test_nobody_waits_long_for_a_database_that_hangs_and_all_are_told(store: Database, writer: Writer) -> None:
    writer.write(arrival())
    with store.transaction() as other:
        run(other, "LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
        ends = together(writer, [arrival() for _ in range(20)])
    assert {end for end, _ in ends} == {"Unavailable"}
    assert max(seconds for _, seconds in ends) < 2 * DATABASE_TIMEOUT_S + 0.5
    assert writer.probe()
    assert {end for end, _ in together(writer, [arrival() for _ in range(20)])} == {"kept"}


def test_json_text_loses_zero_bytes_alone() -> None:
    """PostgreSQL keeps none; the six characters that stand for one in a quoted log line are text like any other."""
    told = {"a": "x\0y\0\0", "quoted": r"\u0000", "after one": "\\\0", r"\\u0000": r"say \\u0000"}
    assert orjson.loads(dumped(told)) == told | {"a": "xy", "after one": "\\"}


def test_a_spooled_line_that_the_database_refuses_is_set_aside_and_the_rest_is_kept(
    store: Database, writer: Writer, spool: Spool, tmp_path: Path
) -> None:
    seal = Seal([KEY])
    bad, good = replace(arrival(seal=seal), hook="\0"), arrival(seal=seal)
    spool.append(bad)
    spool.append(good)
    assert spool.drain(writer) == 1
    assert not spool.pending
    assert [c.message.id for c in inbox.claim(store, seal)] == [good.id]
    [damaged] = tmp_path.glob("*.damaged")
    assert str(bad.id) in damaged.read_text()


def test_spooled_messages_reach_the_database_once_also_those_of_a_dead_process(
    store: Database, writer: Writer, spool: Spool, tmp_path: Path
) -> None:
    seal = Seal([KEY])
    lost = arrival(b"of the dead", seal)
    with closing(Spool(tmp_path)) as dead:  # closing drops the file's lock, as a killed process's death would
        dead.append(lost)
    kept = arrival(b"of the living", seal)
    spool.append(kept)
    assert spool.pending
    assert spool.drain(writer) == 2
    assert not spool.pending
    assert spool.drain(writer) == 0
    assert {c.message.id for c in inbox.claim(store, seal)} == {lost.id, kept.id}


def test_a_line_torn_by_a_crash_is_left_out_and_the_rest_is_kept(
    store: Database, writer: Writer, spool: Spool, tmp_path: Path
) -> None:
    seal = Seal([KEY])
    whole = arrival(seal=seal)
    spool.append(whole)
    [path] = tmp_path.glob("*.spool")
    with path.open("ab") as file:
        file.write(b'{"id": "torn')
    spool.close()
    with closing(Spool(tmp_path)) as following:
        assert following.drain(writer) == 1
    assert [c.message.id for c in inbox.claim(store, seal)] == [whole.id]


def test_while_the_database_is_away_a_drain_loses_nothing(database: str, writer: Writer, spool: Spool) -> None:
    spool.append(arrival())
    with closing(Writer(away(database))) as lost, pytest.raises(Unavailable):
        spool.drain(lost)
    assert spool.pending
    assert spool.drain(writer) == 1


def test_an_older_key_still_opens_and_a_missing_one_says_which_setting() -> None:
    sealed = Seal([OTHER_KEY]).seal(b"secret")
    assert Seal([KEY, OTHER_KEY]).open(sealed) == b"secret"
    assert b"secret" not in sealed
    with pytest.raises(BadSetting, match="TOCSIN_DATA_KEYS_OLD"):
        Seal([KEY]).open(sealed)


def test_a_batch_whose_reader_died_comes_back_smaller_and_poison_ends_alone(store: Database, writer: Writer) -> None:
    seal = Seal([KEY])
    for _ in range(30):
        writer.write(arrival(seal=seal))
    sizes = []
    for _ in range(3):
        sizes.append(len(inbox.claim(store, seal)))
        with store.transaction() as connection:
            run(connection, "UPDATE inbox SET claimed_until = now() - interval '1 s' WHERE claims > 0")
    assert sizes == [30, 14, 1]


def test_a_damaged_line_is_set_aside_and_the_rest_is_kept(
    store: Database, writer: Writer, spool: Spool, tmp_path: Path
) -> None:
    seal = Seal([KEY])
    whole = arrival(seal=seal)
    (tmp_path / "1-dead.spool").write_bytes(b'{"id": "dama\x00ged"}\n')
    spool.append(whole)
    assert spool.drain(writer) == 1
    assert not spool.pending
    assert [c.message.id for c in inbox.claim(store, seal)] == [whole.id]
    assert (tmp_path / "1-dead.damaged").read_bytes() == b'{"id": "dama\x00ged"}\n'
