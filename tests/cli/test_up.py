"""Does `tocsin up` start everything with one command, and end everything with one Ctrl-C?"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.cli.processes import OrdinaryUser, appears, gone, open_place
from tocsin.cli.embedded.address import Address
from tocsin.cli.embedded.running import settings_of

pytestmark = pytest.mark.e2e

READY_S = 90.0  # seconds are usual; the machine may be busy
PARTS = 6  # PostgreSQL, Redis, web, worker, attribute worker, beat


@dataclass
class Running:
    """A `tocsin up` in a process of its own."""

    process: subprocess.Popen[str]
    data: Path
    address: Address
    lines: list[str] = field(default_factory=list)

    def read(self) -> None:
        """Collect what it prints; runs in a thread."""
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def is_ready(self) -> bool:
        """Has it said so?"""
        assert self.process.poll() is None, "".join(self.lines)
        return any("Tocsin is ready" in line for line in self.lines)

    def children(self) -> list[psutil.Process]:
        """Everything that it started, directly or not, and that still runs."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in found if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]

    def part(self, words: str) -> psutil.Process | None:
        """The child whose command line has these words."""
        with suppress(psutil.NoSuchProcess):  # a child that ends while we look; look again
            return next((child for child in self.children() if words in " ".join(child.cmdline())), None)
        return None


LEAST = "teams: {platform: {}}\npolicies: {catch_all: platform}\n"
"""The least that can be used: somebody gets what nobody owns."""


@contextmanager
def up(place: Path, *, user: OrdinaryUser | None = None) -> Iterator[Running]:
    """Run it in `place` until it is ready; nothing of it outlives the block."""
    (place / "mappings").mkdir(exist_ok=True)
    (place / "mappings" / "least.yaml").write_text(LEAST)
    address = Address("127.0.0.1", free_port())
    arguments = ["-m", "tocsin.cli", "up", "--data", str(place / "data"), "--mappings", str(place / "mappings"),
                 "--bind", f"127.0.0.1:{address.port}", "--workers", "1"]  # fmt: skip
    if user is None:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    else:
        process = user.popen("-u", *arguments)
    with process:
        running = Running(process, place / "data", address)
        reader = threading.Thread(target=running.read)
        reader.start()
        try:
            appears(running.is_ready, within_s=READY_S)
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
            reader.join()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tocsin(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run another command to its end."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    return subprocess.run(
        [sys.executable, "-m", "tocsin.cli", *arguments],
        cwd=cwd,
        env=known | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """One installation for the tests that only look, or break a part."""
    with open_place() as place, up(place) as running:
        yield running


def test_it_is_ready_when_it_says_so(running: Running) -> None:
    assert running.address.answers("/readyz") == 200
    assert running.address.answers("/healthz") == 200


def test_its_keys_are_private(running: Running) -> None:
    for name in ("data.key", "api.token", "running.env"):
        assert (running.data / name).stat().st_mode & 0o777 == 0o600


def test_other_commands_find_it_by_its_data_directory(running: Running) -> None:
    said = tocsin("db", "current", cwd=running.data.parent, TOCSIN_DATA_DIR=str(running.data))
    assert said.returncode == 0, said.stderr
    assert said.stdout.strip()


def test_a_second_one_on_the_same_data_is_refused_by_name(running: Running) -> None:
    said = tocsin(
        "up", "--data", str(running.data), "--mappings", "mappings", "--bind", f"127.0.0.1:{free_port()}",
        cwd=running.data.parent,
    )  # fmt: skip
    assert said.returncode == 2
    assert f"in use by another tocsin, process {running.process.pid}" in said.stderr
    assert running.address.answers("/readyz") == 200


def test_an_address_in_use_is_refused_with_another_to_try(running: Running, tmp_path: Path) -> None:
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings" / "least.yaml").write_text(LEAST)
    said = tocsin("up", "--bind", f"127.0.0.1:{running.address.port}", cwd=tmp_path)
    assert said.returncode == 2
    assert f"cannot listen on 127.0.0.1:{running.address.port}: Address already in use" in said.stderr
    assert f"--bind 127.0.0.1:{running.address.port + 1}" in said.stderr
    assert not (tmp_path / "tocsin-data").exists()


@pytest.mark.parametrize("part", ["tocsin.cli beat", "redis-server", "granian", "postgres -D", "worker --concurrency"])
def test_a_part_that_was_killed_comes_back(running: Running, part: str) -> None:
    appears(lambda: running.part(part), within_s=30)
    victim = running.part(part)
    assert victim is not None
    before = len(running.lines)
    victim.kill()
    gone(victim)
    appears(lambda: any("starting it again" in line for line in running.lines[before:]))
    appears(lambda: running.part(part), within_s=30)
    appears(lambda: running.address.answers("/readyz") == 200, within_s=30)


def test_ctrl_c_ends_every_part_and_the_next_start_keeps_the_key(place: Path) -> None:
    with up(place) as first:
        appears(lambda: len(first.children()) >= PARTS)
        parts = first.children()
        key = (place / "data" / "data.key").read_text()
        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(60) == 0
        assert [part for part in parts if part.is_running() and part.status() != psutil.STATUS_ZOMBIE] == []
        assert settings_of(place / "data") == {}
        assert "stopped" in first.lines[-1]
    with up(place):
        assert (place / "data" / "data.key").read_text() == key


def test_a_killed_one_takes_its_parts_along_and_the_next_start_recovers(place: Path) -> None:
    with up(place) as first:
        parts = first.children()
        first.process.kill()
        for part in parts:
            gone(part)
        assert settings_of(place / "data") == {}
    with up(place) as second:
        assert second.address.answers("/readyz") == 200


def test_a_bad_mapping_is_refused_with_file_and_line_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings" / "broken.yaml").write_text("teems: {}\n")
    said = tocsin("up", "--bind", f"127.0.0.1:{free_port()}", cwd=tmp_path)
    assert said.returncode == 2
    assert "broken.yaml:1: " in said.stderr
    assert "Traceback" not in said.stderr
    assert not (tmp_path / "tocsin-data").exists()


def test_without_mappings_it_says_how_to_make_them(tmp_path: Path) -> None:
    said = tocsin("up", "--bind", f"127.0.0.1:{free_port()}", cwd=tmp_path)
    assert said.returncode == 2
    assert "there is no mappings directory mappings: `tocsin init mappings` writes a first one" in said.stderr


def test_mappings_that_change_are_applied_and_bad_ones_are_not(place: Path) -> None:
    with up(place) as running:
        file = place / "mappings" / "team.yaml"
        file.write_text("nonsense: [\n")
        appears(lambda: any("not applied" in line for line in running.lines))
        file.unlink()
        appears(lambda: sum("are applied as version" in line for line in running.lines) == 2)


def test_an_ordinary_user_can_run_it_too(place: Path, ordinary_user: OrdinaryUser) -> None:
    account = ordinary_user.account
    shutil.chown(place, account.user_id, account.group_id)
    (place / "mappings").mkdir(mode=0o755)
    with up(place, user=ordinary_user) as running:
        assert {child.uids().real for child in running.children()} == {account.user_id}
        assert (place / "data").stat().st_mode & 0o777 == 0o700
