"""Tell the workers that there is work: one coalesced Redis push, whose failure costs only time.

The message is written in Celery's own protocol (version 2, JSON over kombu's Redis transport), so that the receiver can
wake a worker without importing Celery. https://docs.celeryq.dev/en/stable/internals/protocol.html
"""

from __future__ import annotations

import base64
import os
import socket
import ssl
import threading
from contextlib import ExitStack
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis
import orjson
import uuid_utils

TIMEOUT_S = 0.25
"""A push that takes longer is given up: the beat finds the work within a second. No request waits for it. A busy
machine must not look like a lost broker: a push given up between its two commands keeps others away for FORGET_MS."""

FORGET_MS = 1000
"""A wake-up that no worker has taken up is repeated after this."""

HEARD_MS = 8000
"""A worker is taken to listen for so long after it took up a wake-up: it is given back after 5 s of work."""

Word = bytes | str | int


class Waker:
    """Pushes `task` onto `queue` unless an earlier wake-up for it still waits."""

    def __init__(self, url: str) -> None:
        self._line = Line(url)
        self.failures = 0

    def wake(self, task: str, queue: str) -> bool:
        """True when a wake-up waits or was pushed; False (and counted) when Redis does not answer in time."""
        try:
            if self._line.ask(b"SET", wake_key(task), b"1", b"NX", b"PX", FORGET_MS):
                self._line.ask(b"LPUSH", queue, celery_message(task, queue))
        except OSError:
            self.failures += 1
            return False
        return True

    def waiting(self, queue: str) -> int:
        """Wake-ups that no worker has taken up yet; 0 (and counted) when Redis does not answer in time."""
        try:
            waiting = self._line.ask(b"LLEN", queue)
        except OSError:
            self.failures += 1
            return 0
        return waiting if isinstance(waiting, int) else 0

    def awake(self, task: str) -> None:
        """The wake-up was taken up: the next event pushes a new one."""
        try:
            self._line.ask(b"DEL", wake_key(task))
        except OSError:
            self.failures += 1

    def took_up(self, queue: str) -> None:
        """A worker listens to this queue."""
        try:
            self._line.ask(b"SET", _heard_key(queue), b"1", b"PX", HEARD_MS)
        except OSError:
            self.failures += 1

    def heard(self, queue: str) -> bool:
        """Has a worker of this queue taken up a wake-up in the last HEARD_MS? False when Redis does not answer."""
        try:
            return bool(self._line.ask(b"EXISTS", _heard_key(queue)))
        except OSError:
            self.failures += 1
            return False


class Line:
    """One connection to Redis, opened when needed: four commands need no client of 15 MB in every web process. The
    protocol is hiredis' work. Addresses as Celery takes them: redis://, rediss:// and unix:// with ?db= or
    ?virtual_host=."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url.replace("redis+socket://", "unix://", 1))
        self._socket: socket.socket | None = None
        self._reader = hiredis.Reader()
        self._lock = threading.Lock()
        self._process = os.getpid()

    def ask(self, *command: Word) -> object:
        """The answer to a command. Raises OSError when there is none in time, or it is an error."""
        with self._lock:
            if self._process != os.getpid():  # a forked child must not speak on its parent's connection
                self._socket, self._process = None, os.getpid()
            kept = self._socket is not None
            try:
                return self._asked(command)
            except TimeoutError:
                raise
            except OSError:
                if not kept:
                    raise
                return self._asked(command)  # Redis may have been restarted since the last command

    def _asked(self, command: tuple[Word, ...]) -> object:
        try:
            if self._socket is None:
                self._socket = self._open()
            return self._answer(self._socket, command)
        except (OSError, hiredis.HiredisError) as error:
            self._hang_up()
            if isinstance(error, OSError):
                raise
            raise ConnectionError(f"Redis answers what cannot be read: {error}") from error

    def _open(self) -> socket.socket:
        url = self._url
        with ExitStack() as undo:
            line = undo.enter_context(self._connected())
            if url.scheme == "rediss":
                secure = ssl.create_default_context()
                line = undo.enter_context(secure.wrap_socket(line, server_hostname=url.hostname))
            self._reader = hiredis.Reader()
            self._greet(line)
            undo.pop_all()
        return line

    def _connected(self) -> socket.socket:
        url = self._url
        if url.scheme != "unix":
            line = socket.create_connection((url.hostname or "localhost", url.port or 6379), TIMEOUT_S)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return line
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(TIMEOUT_S)
        try:
            line.connect(unquote(url.path))
        except OSError:
            line.close()
            raise
        return line

    def _greet(self, line: socket.socket) -> None:
        """Log in and choose the database, where the address says so."""
        url, asked = self._url, parse_qs(self._url.query)
        if url.password:
            named = (unquote(url.username),) if url.username else ()
            self._answer(line, (b"AUTH", *named, unquote(url.password)))
        path = url.path.strip("/") if url.scheme != "unix" else ""
        database = asked.get("db", asked.get("virtual_host", [path]))[0]
        if database not in ("", "0"):
            self._answer(line, (b"SELECT", database))

    def _answer(self, line: socket.socket, command: tuple[Word, ...]) -> object:
        packed = hiredis.pack_command(command)  # type: ignore[arg-type]  # the stub means tuples of one word
        line.sendall(packed)
        answer = self._reader.gets()
        while answer is False:
            got = line.recv(65_536)
            if not got:
                raise ConnectionResetError("Redis closed the connection")
            self._reader.feed(got)
            answer = self._reader.gets()
        if isinstance(answer, hiredis.ReplyError):
            raise ConnectionRefusedError(str(answer))
        return answer

    def __del__(self) -> None:
        self._hang_up()

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def wake_key(task: str) -> str:
    return f"tocsin:wake:{task}"


def _heard_key(queue: str) -> str:
    return f"tocsin:heard:{queue}"


def celery_message(task: str, queue: str) -> bytes:
    """A task without arguments, as Celery's Redis transport stores it."""
    task_id = str(uuid_utils.uuid7())
    return orjson.dumps(
        {
            "body": base64.b64encode(
                b'[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
            ).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": task,
                "id": task_id,
                "root_id": task_id,
                "parent_id": None,
                "group": None,
                "retries": 0,
                "eta": None,
                "expires": None,
                "timelimit": [None, None],
                "argsrepr": "()",
                "kwargsrepr": "{}",
                "ignore_result": True,
            },
            "properties": {
                "correlation_id": task_id,
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": task_id,
            },
        }
    )
