"""A report without identity or webhook: sent from a pipeline's step, with what it lacks, through a short outage."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner

from tests.sources.reading import FIXTURES, hook_of, message_of
from tocsin.cli import main
from tocsin.sources import of

REPORT = FIXTURES / "evidently" / "bare_without_tests.json"
SECRET = "s3cret-of-the-hook"


class Receiver(HTTPServer):
    """Answers as told, and keeps what it took."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[int] = []
        self.taken: list[tuple[str, bytes]] = []


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.answers.pop(0) if self.server.answers else 202
        if status == 202:
            self.server.taken.append((self.headers["Authorization"], gzip.decompress(raw)))
        body = json.dumps(
            {"receipt": "r-1"} if status == 202 else {"error": "unauthorized", "reason": "wrong"}
        ).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Quietly."""


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("TOCSIN_HOOK_SECRET", SECRET)
    with Receiver() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def send(receiver: Receiver, *words: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{receiver.server_port}/hooks/evidently"
    done = CliRunner().invoke(main, ["send", "--source", "evidently", "--to", url, *words], catch_exceptions=False)
    return done.exit_code, done.output


def test_the_report_s_model_is_told_and_read(receiver: Receiver) -> None:
    status, shown = send(receiver, "--model", "churn", "--model-version", "7", str(REPORT))
    assert (status, "accepted as r-1" in shown) == (0, True)
    [(credential, body)] = receiver.taken
    assert credential == f"Bearer {SECRET}"
    hook = hook_of("evidently")
    said = of(hook).normalize(message_of(body, hook, datetime(2026, 11, 21, tzinfo=UTC)), hook)
    assert {alert.labels["model"] for alert in said.alerts} == {"churn"}
    assert {alert.model_version for alert in said.alerts} == {"7"}


def test_a_file_that_is_an_envelope_already_is_completed(receiver: Receiver, tmp_path: Path) -> None:
    spread = {"age_days": {"labels": [0, 1, 2], "reference": [9, 1], "current": [1, 9]}}
    file, report = tmp_path / "wrapped.json", json.loads(REPORT.read_bytes())
    file.write_text(json.dumps({"distributions": spread, "dataset": "people", "report": report}))
    assert send(receiver, "--model", "churn", "--dataset", "churn_features", str(file))[0] == 0
    told = json.loads(receiver.taken[0][1])
    assert (told["model"], told["dataset"], told["distributions"]) == ("churn", "churn_features", spread)
    assert told["report"] == report


def test_without_an_identity_the_report_goes_as_it_is(receiver: Receiver) -> None:
    assert send(receiver, str(REPORT))[0] == 0
    assert receiver.taken[0][1] == REPORT.read_bytes()


def test_a_receiver_that_restarts_is_waited_for(receiver: Receiver) -> None:
    receiver.answers = [503, 202]
    assert send(receiver, "--model", "churn", str(REPORT))[0] == 0


def test_a_refusal_is_told_with_its_reason_and_without_the_secret(receiver: Receiver) -> None:
    receiver.answers = [401]
    status, shown = send(receiver, "--model", "churn", str(REPORT))
    assert status == 2
    assert "refused it: 401 wrong" in shown
    assert SECRET not in shown


def test_bare_nan_is_sent_and_what_is_no_json_is_refused(receiver: Receiver, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_text('{"metrics": [NaN]}')
    assert send(receiver, "--model", "churn", str(report))[0] == 0
    assert json.loads(receiver.taken[0][1])["report"] == {"metrics": [None]}
    report.write_text("drift: yes")
    status, shown = send(receiver, "--model", "churn", str(report))
    assert (status, "not JSON" in shown) == (2, True)
