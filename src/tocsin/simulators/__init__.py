"""Local stand-ins for ServiceNow, PagerDuty and Jira: real HTTP servers with memory, and faults on demand.

with simulators.start("servicenow", seed={"sys_user_group": ["ML Platform"]}) as servicenow:
    requests.get(servicenow.url + "/api/now/table/incident", auth=("admin", "tocsin"))
"""

from __future__ import annotations

import importlib
import logging
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from tocsin.domain.errors import BadSetting
from tocsin.simulators.answers import Clock, Json, utc_now
from tocsin.simulators.front import Front, Simulator

KINDS = ("jira", "pagerduty", "servicenow")
POLL_S = 0.02
"""How soon a server notices that it shall stop."""

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Running:
    """A simulator that serves; `stop()` or the end of a `with` block ends it."""

    kind: str
    url: str
    """Without a slash at the end."""
    front: Front
    server: BaseWSGIServer
    thread: threading.Thread

    def seed(self, records: Mapping[str, object]) -> Json:
        """Adds records in the form of a seed file and answers their ids."""
        return self.front.seed(records)

    def state(self) -> Json:
        """Every record, as `GET /__state` answers."""
        return self.front.state()

    def person(self, body: Mapping[str, object]) -> Json:
        """A person edits a record, as `POST /__person` does; answers the record."""
        return self.front.person(body)

    def reset(self) -> None:
        """Back to the first seed; faults and calls are forgotten."""
        self.front.reset()

    def stop(self) -> None:
        """Stops serving; calls that wait for a slow fault are let go."""
        self.front.stopping.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()


class _Quiet(WSGIRequestHandler):
    """Calls are kept for `/__calls`; the console stays free."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        logger.debug("%s %s", self.requestline, code)

    def send_response(self, code: int, message: str | None = None) -> None:
        """Without a Server header of this server's own: the vendor names itself."""
        self.log_request(code)
        self.send_response_only(code, message)
        self.send_header("Date", self.date_time_string())


def create(
    kind: str,
    *,
    user: str = "admin",
    password: str = "tocsin",  # noqa: S107  the documented default of a toy server
    seed: Mapping[str, object] | None = None,
    clock: Clock = utc_now,
    options: Mapping[str, object] | None = None,
) -> Simulator:
    """The simulator of one vendor, not yet serving. BadSetting: unknown kind; BadPayload: unfit seed.

    `options` belong to the vendor, see the class `Vendor` of its package.
    """
    if kind not in KINDS:
        raise BadSetting(f"{kind}: unknown simulator; choose one of {', '.join(KINDS)}")
    # Each brings Flask and its own pages; only what starts is imported.
    module = importlib.import_module(f"tocsin.simulators.{kind}")
    maker: Callable[..., Simulator] = module.Vendor
    return maker(user=user, password=password, seed=seed or {}, clock=clock, **(options or {}))


def listening(
    simulator: Simulator, *, host: str, port: int, tls: tuple[Path, Path] | None = None
) -> tuple[BaseWSGIServer, Front]:
    """A server that is bound but does not serve yet; `tls` is (certificate, key). OSError when the port is taken."""
    front = Front(simulator)
    context: ssl.SSLContext | None = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
    server = make_server(host, port, front, threaded=True, request_handler=_Quiet, ssl_context=context)
    return server, front


def start(
    kind: str,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    user: str = "admin",
    password: str = "tocsin",  # noqa: S107
    seed: Mapping[str, object] | None = None,
    tls: tuple[Path, Path] | None = None,
    clock: Clock = utc_now,
    **options: object,
) -> Running:
    """Serves one simulator from a daemon thread of this process; port 0 takes a free one."""
    simulator = create(kind, user=user, password=password, seed=seed, clock=clock, options=options)
    server, front = listening(simulator, host=host, port=port, tls=tls)
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,), name=f"simulator-{kind}", daemon=True)
    thread.start()
    url = f"{'https' if tls else 'http'}://{host}:{server.server_port}"
    return Running(kind=kind, url=url, front=front, server=server, thread=thread)


def serve(
    kind: str,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    user: str = "admin",
    password: str = "tocsin",  # noqa: S107
    seed: Mapping[str, object] | None = None,
    tls: tuple[Path, Path] | None = None,
    ready: Callable[[str], None] = lambda _url: None,
    **options: object,
) -> None:
    """Serves one simulator until interrupted; `ready` gets the URL once connections are accepted."""
    server, front = listening(
        create(kind, user=user, password=password, seed=seed, options=options), host=host, port=port, tls=tls
    )
    ready(f"{'https' if tls else 'http'}://{host}:{server.server_port}")
    try:
        server.serve_forever(POLL_S)
    except KeyboardInterrupt:
        pass
    finally:
        front.stopping.set()
        server.server_close()
