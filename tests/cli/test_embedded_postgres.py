"""Does the embedded PostgreSQL keep its data, survive a kill, and leave nothing running?"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests.cli.processes import OrdinaryUser, appears, gone, open_place, private_place
from tocsin.cli.embedded.binaries import postgres_install
from tocsin.cli.embedded.postgres import POINTER, EmbeddedPostgres
from tocsin.cli.embedded.privilege import Account, account_for_servers
from tocsin.domain.errors import BadSetting

pytestmark = pytest.mark.e2e

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user to hand over to")

HOLDER = """
import sys, time
from pathlib import Path
from tocsin.cli.embedded.postgres import EmbeddedPostgres
print(EmbeddedPostgres(fsync=False).start(Path(sys.argv[1])), flush=True)
time.sleep(600)
"""


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(fsync=False)
    yield server
    server.stop()


def ask(url: str, question: str) -> object:
    parts = make_url(url)
    with psycopg.connect(host=str(parts.query["host"]), user=parts.username, dbname=parts.database) as connection:
        cursor = connection.execute(question)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def remember(url: str, word: str) -> None:
    ask(url, f"CREATE TABLE IF NOT EXISTS kept AS SELECT '{word}' AS word")


def test_the_second_start_finds_the_data_of_the_first(place: Path, server: EmbeddedPostgres) -> None:
    remember(server.start(place / "postgres"), "anvil")
    server.stop()
    assert ask(server.start(place / "postgres"), "SELECT word FROM kept") == "anvil"


def test_data_survive_a_killed_server_and_its_stale_lock_file(place: Path, server: EmbeddedPostgres) -> None:
    url = server.start(place / "postgres")
    remember(url, "bellows")
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    server.stop()
    assert ask(server.start(place / "postgres"), "SELECT word FROM kept") == "bellows"


def test_a_stale_lock_file_that_names_a_foreign_process_does_not_stop_us(place: Path, server: EmbeddedPostgres) -> None:
    remember(server.start(place / "postgres"), "crucible")
    server.stop()
    lock_file = place / "postgres" / "cluster" / "postmaster.pid"
    with subprocess.Popen(["sleep", "60"]) as foreign:
        lock_file.write_text(f"{foreign.pid}\n{lock_file.parent}\n1700000000\n5432\n/tmp/elsewhere\n\n")
        os.chown(lock_file, (place / "postgres").stat().st_uid, -1)
        url = server.start(place / "postgres")
        assert foreign.poll() is None
        foreign.kill()
    assert ask(url, "SELECT word FROM kept") == "crucible"


def test_the_server_dies_with_a_killed_parent_and_the_next_start_finds_the_data(
    place: Path, server: EmbeddedPostgres
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, place / "postgres"], stdout=subprocess.PIPE, text=True
    ) as held:
        assert held.stdout is not None
        remember(url := held.stdout.readline().strip(), "dowel")
        postmaster = psutil.Process(held.pid).children()[0]
        sockets = Path(str(make_url(url).query["host"]))
        held.kill()
    gone(postmaster)
    assert ask(server.start(place / "postgres"), "SELECT word FROM kept") == "dowel"
    assert not sockets.exists()


def test_an_orphan_that_still_runs_is_stopped_first(place: Path, server: EmbeddedPostgres) -> None:
    url = server.start(place / "postgres")
    remember(url, "easel")
    orphan = server.process
    assert orphan is not None
    # What a system without a death signal leaves: the server runs on, the lock of its owner is free.
    server._held.process, server._held.sockets = None, None
    server.stop()
    second = EmbeddedPostgres(fsync=False)
    try:
        assert ask(second.start(place / "postgres"), "SELECT word FROM kept") == "easel"
        assert orphan.wait(5) is not None
        assert not Path(str(make_url(url).query["host"])).exists()
    finally:
        second.stop()


def test_a_directory_in_use_is_refused_by_name(place: Path, server: EmbeddedPostgres) -> None:
    server.start(place / "postgres")
    with pytest.raises(BadSetting, match=f"in use by another tocsin, process {os.getpid()}"):
        EmbeddedPostgres(fsync=False).start(place / "postgres")


def test_another_major_version_is_refused_with_the_remedy(place: Path, server: EmbeddedPostgres) -> None:
    server.start(place / "postgres")
    server.stop()
    (place / "postgres" / "cluster" / "PG_VERSION").write_text("16\n")
    with pytest.raises(BadSetting, match=r"written by PostgreSQL 16, and this tocsin brings PostgreSQL 18.*pg_dump"):
        server.start(place / "postgres")


def test_a_first_start_that_died_half_way_starts_over(place: Path, server: EmbeddedPostgres) -> None:
    server.start(place / "postgres")
    server.stop()
    (place / "postgres" / "cluster").rename(place / "postgres" / "cluster.new")
    (place / "postgres" / "cluster.new" / "PG_VERSION").unlink()
    assert ask(server.start(place / "postgres"), "SELECT 1") == 1


def test_nobody_but_us_can_open_the_socket_and_no_port_is_open(place: Path, server: EmbeddedPostgres) -> None:
    sockets = Path(str(make_url(server.start(place / "postgres")).query["host"]))
    assert sockets.stat().st_mode & 0o777 == 0o700
    assert server.process is not None
    assert psutil.Process(server.process.pid).net_connections("inet") == []
    server.stop()
    assert not sockets.exists()


def test_rows_and_statements_stay_out_of_the_log(place: Path, server: EmbeddedPostgres) -> None:
    url = server.start(place / "postgres")
    ask(url, "CREATE TABLE people (name text CHECK (name <> 'Ada Example'))")
    with pytest.raises(psycopg.errors.CheckViolation):
        ask(url, "INSERT INTO people VALUES ('Ada Example')")
    server.stop()
    log = "".join(path.read_text() for path in (place / "postgres" / "cluster" / "log").iterdir())
    assert "people_name_check" in log
    assert "Ada Example" not in log


@as_root
def test_as_root_a_closed_parent_is_left_alone_and_the_cluster_lives_elsewhere(server: EmbeddedPostgres) -> None:
    with private_place() as closed, open_place() as state:
        server.state = state / "state"
        remember(server.start(closed / "data" / "postgres"), "flume")
        home = Path((closed / "data" / "postgres" / POINTER).read_text().strip())
        assert home.parent == server.state
        assert (home / "cluster").stat().st_uid != 0
        assert closed.stat().st_mode & 0o777 == 0o700
        server.stop()
        assert ask(server.start(closed / "data" / "postgres"), "SELECT word FROM kept") == "flume"
        server.stop()


@as_root
def test_programs_that_the_database_user_cannot_reach_are_copied_once(monkeypatch: pytest.MonkeyPatch) -> None:
    account = account_for_servers()
    assert account is not None
    reaches = Account.runs
    monkeypatch.setattr(
        Account, "runs", lambda self, command: "site-packages" not in command[0] and reaches(self, command)
    )
    with open_place() as state:
        copy = postgres_install(account, state=state / "state")
        assert copy.name.startswith("postgres-18")
        made = (copy / "bin" / "postgres").stat()
        assert postgres_install(account, state=state / "state") == copy
        assert (copy / "bin" / "postgres").stat() == made
        assert made.st_uid == 0


def test_an_ordinary_user_owns_the_cluster(place: Path, ordinary_user: OrdinaryUser) -> None:
    os.chown(place, ordinary_user.account.user_id, ordinary_user.account.group_id)
    with ordinary_user.popen("-c", HOLDER, str(place / "postgres")) as held:
        assert held.stdout is not None
        url = held.stdout.readline().strip()
        assert ask(url, "SELECT 1") == 1
        assert (place / "postgres" / "cluster").stat().st_uid == ordinary_user.account.user_id
        held.kill()
    appears(lambda: not (place / "postgres" / "cluster" / "postmaster.pid").exists())
    shutil.rmtree(str(make_url(url).query["host"]))
