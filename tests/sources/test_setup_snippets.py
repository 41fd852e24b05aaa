"""Code that people are told to paste works: it compiles, and Airflow's callback posts what the source reads."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from tests.sources.reading import hook_of, message_of
from tocsin.domain.message import Message
from tocsin.sources import find, names

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
SECRET = "s3cret"


@pytest.mark.parametrize("name", names())
def test_python_in_setup_compiles(name: str) -> None:
    filled = find(name).setup.format(url="https://tocsin.example.com/hooks/h", secret=SECRET)
    for snippet in re.findall(r"```python\n(.*?)```", filled, re.DOTALL):
        compile(textwrap.dedent(snippet), name, "exec")


@contextmanager
def listening(received: list[Message]) -> Iterator[str]:
    """A loopback server that keeps what is posted to it."""

    class Keeper(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(message_of(body, hook_of("airflow"), NOW, dict(self.headers.items())))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Keeper) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hooks/airflow"
        finally:
            server.shutdown()
            thread.join()


def test_airflows_callback_posts_what_the_source_reads() -> None:
    received: list[Message] = []
    airflow = find("airflow")
    run = SimpleNamespace(dag_id="build_features", run_id="r1", start_date=NOW, end_date=None)
    task = SimpleNamespace(
        task_id="load",
        map_index=-1,
        try_number=2,
        start_date=NOW,
        end_date=NOW,
        log_url="https://airflow.example.com/l",
    )
    context = {"dag_run": run, "task_instance": task, "exception": RuntimeError("upstream table missing")}
    with listening(received) as url:
        snippet = re.findall(r"```python\n(.*?)```", airflow.setup.format(url=url, secret=SECRET), re.DOTALL)[0]
        namespace: dict[str, Any] = {}
        exec(snippet, namespace)
        namespace["tell_tocsin"]("failed")(context)
        namespace["tell_tocsin"]("failed", of_task=True)(context)
    assert [airflow.verify(message, (SECRET,)).verdict for message in received] == ["verified", "verified"]
    assert "task_id" not in json.loads(received[0].body)
    alerts = [airflow.normalize(message, hook_of("airflow")).alerts[0] for message in received]
    assert [(alert.name, alert.resource) for alert in alerts] == [("JobFailed", ""), ("TaskFailed", "load")]
    assert alerts[1].summary.endswith("upstream table missing")
