"""A PostgreSQL of our own, from the wheel's programs, on a private unix socket."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psycopg

from tocsin.cli.embedded.binaries import STATE, postgres_install, version_of
from tocsin.cli.embedded.child import spawn
from tocsin.cli.embedded.holding import Held, starting
from tocsin.cli.embedded.leftover import forget_sockets, keep_sockets, stop_orphan
from tocsin.cli.embedded.privilege import Account, account_for_servers
from tocsin.domain.errors import BadSetting

ROLE = "tocsin"  # owns the database tocsin and nothing else
OWNER = "postgres"  # the cluster's superuser; only this module and tests use it
POINTER = "postgres.location"  # written where the data would be, when it has to be elsewhere
SOCKET_PREFIX = "tocsin-pg-"
START_TIMEOUT_S = 300.0  # recovery after a crash replays at most max_wal_size; minutes on a slow disk
STOP = ((signal.SIGINT, 8.0), (signal.SIGQUIT, 4.0), (signal.SIGKILL, 2.0))  # fast, immediate, gone

# A small machine's tuning. The last three keep rows and statements, which may hold personal data, out of the log.
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": "5432",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "max_wal_size": "512MB",
    "autovacuum": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",
    "log_truncate_on_rotation": "on",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
}


class EmbeddedPostgres:
    """Owns one cluster and its server process: `start` gives the URL, `stop` ends it; the data stays."""

    def __init__(self, *, fsync: bool = True, state: Path = STATE) -> None:
        self.fsync = fsync  # off only for tests: a power cut then loses the cluster
        self.state = state
        self._held = Held()
        self._cluster = Path()
        self._command: list[str] = []
        self._account: Account | None = None

    def start(self, data_dir: Path) -> str:
        """Start on the cluster that belongs to `data_dir`, making it at the first start; answers SQLAlchemy's URL.

        Whatever a killed process left (server, lock file, sockets) is cleared away first. Raises BadSetting when the
        directory is in use, was written by another major version, or the server does not come up.
        """
        self._account = account = account_for_servers()
        install = postgres_install(account, state=self.state)
        with starting(data_dir, self.stop):
            home = _home(data_dir, account, self.state)
            self._held.hold(home)
            self._cluster = cluster = home / "cluster"
            _refuse_other_major(cluster, version_of(install))
            stop_orphan(cluster)
            forget_sockets(home / "sockets", SOCKET_PREFIX)
            if not cluster.exists():
                self._create(cluster, install, account)
            self._held.sockets = _socket_directory(account)
            keep_sockets(home / "sockets", self._held.sockets)
            self._command = self._server_command(install)
            self.launch()
            self._ensure_database()
        return self.url()

    def url(self) -> str:
        """SQLAlchemy's URL; the socket directory is the only way in."""
        return f"postgresql+psycopg://{ROLE}@/{ROLE}?host={self._held.sockets}"

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The running server, None before `start` and after `stop`."""
        return self._held.process

    def launch(self) -> subprocess.Popen[bytes]:
        """Run the server on the cluster and sockets we have: the first time, and again after a crash."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            with tempfile.TemporaryFile() as output:  # only until the logging collector takes over
                self._held.process = spawn(
                    self._command,
                    output=output,
                    account=self._account,
                    death_signal=signal.SIGINT,
                    directory=Path("/"),
                )
                if self._is_ready(deadline):
                    return self._held.process
                output.seek(0)
                said = output.read().decode(errors="replace")
            # Backends of a killed server need a moment to notice; until then it refuses to share their memory.
            if "is still in use" not in said or time.monotonic() > deadline:
                raise BadSetting(
                    f"PostgreSQL did not start on {self._cluster}: {_last_lines(said)} (more in {self._cluster}/log)"
                )
            time.sleep(0.2)

    def stop(self) -> None:
        """Fast shutdown, then immediate, then kill; stopping what is stopped is fine."""
        self._held.end(STOP)

    def _create(self, cluster: Path, install: Path, account: Account | None) -> None:
        half = cluster.with_name("cluster.new")  # a first start that dies half-way leaves no half cluster
        shutil.rmtree(half, ignore_errors=True)
        command = [
            str(install / "bin" / "initdb"), f"--pgdata={half}", f"--username={OWNER}", "--encoding=UTF8", "--locale=C",
            "--data-checksums", "--auth-local=trust", "--auth-host=reject", "--no-instructions",
        ]  # fmt: skip
        made = subprocess.run(
            command if self.fsync else [*command, "--no-sync"],
            user=account.user_id if account else None,
            group=account.group_id if account else None,
            extra_groups=[] if account else None,
            cwd="/",
            umask=0o077,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise BadSetting(f"the database in {cluster} could not be created: {_last_lines(made.stderr)}")
        half.rename(cluster)

    def _server_command(self, install: Path) -> list[str]:
        settings = SETTINGS | {
            "fsync": "on" if self.fsync else "off",
            "unix_socket_directories": str(self._held.sockets),
        }
        command = [str(install / "bin" / "postgres"), "-D", str(self._cluster)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return command

    def _is_ready(self, deadline: float) -> bool:
        assert self._held.process is not None
        while self._held.process.poll() is None and time.monotonic() < deadline:
            with suppress(psycopg.OperationalError), self._connection():
                return True
            time.sleep(0.03)
        return False

    def _ensure_database(self) -> None:
        with self._connection() as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (ROLE,)).fetchone():
                connection.execute(f"CREATE ROLE {ROLE} LOGIN")
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (ROLE,)).fetchone():
                connection.execute(f"CREATE DATABASE {ROLE} OWNER {ROLE}")

    def _connection(self) -> psycopg.Connection:
        return psycopg.connect(host=str(self._held.sockets), user=OWNER, dbname="postgres", autocommit=True)


def _home(data_dir: Path, account: Account | None, state: Path) -> Path:
    """Where the cluster lives: `data_dir`, or a place under `state` that the unprivileged user can enter."""
    data_dir = data_dir.resolve()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account is None:
        return data_dir
    pointer = data_dir / POINTER
    if pointer.exists():
        home = Path(pointer.read_text().strip())
    elif account.can_enter(data_dir.parent):
        home = data_dir
    else:
        home = state / hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
        pointer.write_text(f"{home}\n")
    home.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    home.mkdir(mode=0o700, exist_ok=True)
    owner = home.stat().st_uid
    if owner not in {0, account.user_id}:
        raise BadSetting(f"{home} belongs to user {owner}, and we are root: start tocsin as that user")
    os.chown(home, account.user_id, account.group_id)
    if not account.can_enter(home):
        raise BadSetting(f"user {account.name!r} cannot enter {home}: choose another --data, such as /srv/tocsin")
    return home


def _socket_directory(account: Account | None) -> Path:
    # A socket's path may have 107 bytes (man 7 unix), so it lies in /tmp, private and with a name nobody can foresee.
    directory = Path(tempfile.mkdtemp(prefix=SOCKET_PREFIX, dir="/tmp"))
    if account is not None:
        os.chown(directory, account.user_id, account.group_id)
    return directory


def _refuse_other_major(cluster: Path, version: str) -> None:
    if not cluster.exists():
        return
    try:
        written_by = (cluster / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise BadSetting(f"{cluster} is no PostgreSQL data directory (no PG_VERSION): choose another --data") from None
    major = version.split(".", maxsplit=1)[0]
    if written_by != major:
        raise BadSetting(
            f"{cluster} was written by PostgreSQL {written_by}, and this tocsin brings PostgreSQL {major}. "
            f"Start the release that brought {written_by}, save the data with pg_dump, start this one with an empty "
            f"--data directory, and load the dump there; or go back to the release that brought {written_by}"
        )


def _last_lines(text: str, count: int = 5) -> str:
    return " | ".join(text.strip().splitlines()[-count:]) or "it said nothing"
