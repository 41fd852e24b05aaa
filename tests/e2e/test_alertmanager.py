"""Does a rule in a real Prometheus, through a real Alertmanager, open an enriched ticket and resolve it?"""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import dedent

import pytest
import requests

from tests.cli.test_up import free_port
from tests.e2e.company import SECRET
from tests.e2e.stack import Stack, wait_until

MISSING = [name for name in ("prometheus", "prometheus-alertmanager") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.judge,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (make judges)"),
]

CALM, DRIFTED = "0.05", "0.41"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing: it is asked every second."""


class Exporter:
    """A model's drift, as a page that Prometheus scrapes."""

    def __init__(self, directory: Path) -> None:
        self._page = directory / "metrics"
        self.show(CALM)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(directory)))

    def show(self, drift: str) -> None:
        """The drift from now on; Prometheus sees the old page or the new one, never half."""
        half = self._page.with_suffix(".new")
        half.write_text(f'feature_psi{{model="fraud-scorer",feature="amount"}} {drift}\n')
        half.replace(self._page)


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[Exporter]:
    pages = tmp_path / "pages"
    pages.mkdir()
    made = Exporter(pages)
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def monitoring(stack: Stack, exporter: Exporter, tmp_path: Path) -> Iterator[None]:
    """Prometheus scrapes the exporter each second and tells Alertmanager, which tells us."""
    alertmanager, prometheus = free_port(), free_port()
    files = {
        "alertmanager.yml": f"""
            route: {{receiver: tocsin, group_by: [alertname, model], group_wait: 1s, group_interval: 2s}}
            receivers:
            - name: tocsin
              webhook_configs:
              - url: {stack.address.url}/hooks/prometheus
                send_resolved: true
                http_config: {{authorization: {{type: Bearer, credentials: {SECRET}}}}}
            """,
        "prometheus.yml": f"""
            global: {{scrape_interval: 1s, evaluation_interval: 1s}}
            rule_files: [rules.yml]
            alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager}']}}]}}]}}
            scrape_configs:
            - {{job_name: drift, static_configs: [{{targets: ['127.0.0.1:{exporter.server.server_port}']}}]}}
            """,
        "rules.yml": """
            groups:
            - name: ml
              rules:
              - alert: FeatureDriftHigh
                expr: feature_psi > 0.25
                for: 2s
                labels: {severity: error}
                annotations: {summary: 'PSI {{ $value }} for {{ $labels.feature }} on {{ $labels.model }}'}
            """,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(dedent(text))
    told = ["prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=am",
            f"--web.listen-address=127.0.0.1:{alertmanager}", "--cluster.listen-address="]  # fmt: skip
    asked = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb",
             f"--web.listen-address=127.0.0.1:{prometheus}"]  # fmt: skip
    scraped = f"http://127.0.0.1:{prometheus}/api/v1/query?query=feature_psi"
    with running(told, tmp_path), running(asked, tmp_path):
        wait_until(lambda: "fraud-scorer" in page(scraped), 60, "Prometheus has scraped the exporter")
        yield


def page(url: str) -> str:
    """The text there; empty while nobody answers."""
    try:
        return requests.get(url, timeout=2).text
    except requests.RequestException:
        return ""


@contextmanager
def running(command: list[str], directory: Path) -> Iterator[None]:
    """The program, until the block ends; its words lie beside its files."""
    with (directory / f"{command[0]}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            process.wait(10)


@pytest.mark.usefixtures("monitoring")
def test_a_real_rule_opens_an_enriched_ticket_and_resolves_it(stack: Stack, exporter: Exporter) -> None:
    exporter.show(DRIFTED)
    opened_s = wait_until(lambda: stack.ticket_of("amount"), 60, "the drift is a ticket")
    ticket = stack.ticket_of("amount")
    assert ticket is not None
    assert ticket["state"] == "1"
    assert "PSI 0.41" in ticket["description"]
    assert "fraud-scorer" in ticket["short_description"] + ticket["description"]
    assert ticket["assignment_group"] == stack.group("Machine Learning")

    exporter.show(CALM)
    resolved_s = wait_until(lambda: (stack.ticket_of("amount") or {})["state"] == "6", 60, "the ticket is resolved")
    print(f"\nAlertmanager: {opened_s:.1f} s from the metric to the ticket, {resolved_s:.1f} s to its end")
    assert len(stack.servicenow()) == len(set(stack.keys("servicenow")))
