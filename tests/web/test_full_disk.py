"""The disk is full: what is answered 202 is kept all the same, the rest is refused and can be sent again."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url
from werkzeug.test import Client

from tests.database import TEMPLATE
from tests.pipeline.world import MAPPINGS, World
from tests.web.conftest import HOOKS
from tocsin.cli.embedded.postgres import OWNER
from tocsin.receive import Receiver
from tocsin.web.hooks import HooksFirst
from tocsin.web.site import site

BODY = {"version": "4", "status": "firing", "alerts": [], "noise": os.urandom(6000).hex()}
KEY = {"Authorization": "Bearer s3cret"}


class Disk:
    """A small disk of its own, that can be filled to the last byte and freed again."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._ballast = place / "ballast"

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while file.write(b"\0" * size) == size:
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def new_disk() -> Iterator[Callable[[int], Disk]]:
    """Call it for a disk of so many megabytes; where this process may not mount one, the test is skipped."""
    made: list[Path] = []

    def mount(megabytes: int) -> Disk:
        place = Path(tempfile.mkdtemp(prefix="tocsin-disk-", dir="/tmp"))
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0777", "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            place.rmdir()
            pytest.skip(f"no disk of its own can be mounted here: {done.stderr.decode().strip()}")
        made.append(place)
        return Disk(place)

    yield mount
    for place in made:
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()


@pytest.fixture
def database_disk(new_disk: Callable[[int], Disk]) -> Disk:
    return new_disk(48)


@pytest.fixture
def small_database(postgres_url: str, new_database: object, database_disk: Disk) -> Iterator[str]:
    """A migrated database whose tables lie on the small disk."""
    host = make_url(postgres_url).query["host"]
    owner = psycopg.connect(f"host={host} user={OWNER} dbname=postgres", autocommit=True)
    with owner:
        held = owner.execute("SELECT pg_stat_file('base')").fetchone()
        assert held
        place = database_disk.place / "tables"
        place.mkdir()
        server_files = Path(str(host)).stat()
        os.chown(place, server_files.st_uid, server_files.st_gid)
        owner.execute(f"CREATE TABLESPACE small LOCATION '{place}'".encode())
        owner.execute(f"CREATE DATABASE small OWNER tocsin TEMPLATE {TEMPLATE} TABLESPACE small".encode())
        yield make_url(postgres_url).set(database="small").render_as_string(hide_password=False)
        owner.execute("DROP DATABASE small WITH (FORCE)")
        owner.execute("DROP TABLESPACE small")


def test_a_full_disk_loses_nothing_that_was_answered_202(
    small_database: str, database_disk: Disk, new_disk: Callable[[int], Disk], tmp_path: Path
) -> None:
    tree = tmp_path / "mappings"
    tree.mkdir()
    (tree / "signed.secret").write_text("s3cret")
    world = World(small_database, tmp_path, {**MAPPINGS, "hooks.yaml": HOOKS})
    spool_disk = new_disk(1)
    receiver = Receiver(world.app, spool_dir=spool_disk.place / "spool")
    receiver.refresh()
    client = Client(HooksFirst(receiver, site(world.app.settings, receiver).wsgi_app))

    def post(times: int) -> list[tuple[int, str]]:
        answers = [client.post("/hooks/signed", json=BODY, headers=KEY) for _ in range(times)]
        return [(answer.status_code, (answer.get_json() or {}).get("receipt", "")) for answer in answers]

    accepted = post(3)
    assert {status for status, _ in accepted} == {202}

    database_disk.fill()
    accepted += post(20)  # no room for rows: into the spool
    assert {status for status, _ in accepted} == {202}
    assert client.get("/readyz").status_code == 200

    spool_disk.fill()
    refused = client.post("/hooks/signed", json=BODY, headers=KEY)
    assert refused.status_code == 503
    assert refused.headers["Retry-After"]
    assert client.get("/readyz").status_code == 503

    spool_disk.free()
    accepted += post(1)  # what was written of the refused message is in nobody's way
    assert accepted[-1][0] == 202
    database_disk.free()
    receiver._drain()
    accepted += post(1)
    assert client.get("/readyz").status_code == 200
    with world.app.database.transaction() as connection:
        kept = {str(row[0]) for row in connection.exec_driver_sql("SELECT id FROM messages")}
    assert kept == {receipt for _, receipt in accepted}
    receiver.stop()
    world.close()
