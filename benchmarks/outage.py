"""What does an outage of a vendor cost us, with thousands of records waiting, and what does the vendor see afterwards?

    .venv/bin/python -m benchmarks.outage --records 10000 --away 30

A PagerDuty that answers 503 for a while, then again as usual. Printed: attempts while it was away, memory of the
delivering process, how its calls rose afterwards, how long all took.
"""

from __future__ import annotations

import argparse
import base64
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import orjson
import psutil

from tocsin.bootstrap import App
from tocsin.cli.embedded.postgres import EmbeddedPostgres
from tocsin.config.settings import Settings
from tocsin.delivery import Couriers, deliver
from tocsin.domain.alert import Severity
from tocsin.domain.policy import Want
from tocsin.domain.record import Told, Wanted
from tocsin.store import migrate
from tocsin.store.database import dumped, rows, run

KEY = "0123456789abcdef0123456789abcdef"
MAPPINGS = """
teams:
  platform: {{owns: ["service:*"]}}
connectors:
  pagerduty: {{kind: pagerduty, url: "{url}", default_routing_key: {{env: OUTAGE_KEY}}, events_per_minute: 10000}}
policies:
  catch_all: platform
  defaults: {{page: [pagerduty], ticket: [pagerduty]}}
"""
LONGEST_S = 1_800


@dataclass(slots=True)
class Watch:
    """What this process holds, sampled from a thread of its own."""

    peak_mib: float = 0.0
    running: bool = True
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._sample, daemon=True)
        self.thread.start()

    def _sample(self) -> None:
        while self.running:
            self.peak_mib = max(self.peak_mib, held_mib())
            time.sleep(0.1)


def held_mib() -> float:
    """Resident memory of this process now."""
    return float(psutil.Process().memory_info().rss) / 2**20


def main() -> None:
    """Run it and print what it came to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--away", type=float, default=30.0, help="seconds that the vendor is away")
    said = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="tocsin-outage-", dir="/tmp"))
    place.chmod(0o711)
    server = EmbeddedPostgres(fsync=False)
    try:
        with pagerduty() as url:
            measure(application(server.start(place / "postgres"), place, url), url, said.records, said.away)
    finally:
        server.stop()
        shutil.rmtree(place, ignore_errors=True)


def measure(app: App, url: str, count: int, away_s: float) -> None:
    """Let the vendor go away, come back, and everything be delivered."""
    fill(app, count)
    couriers = Couriers(app=app)
    couriers.follow()
    steer(url, "POST", {"fault": "server_error_before", "times": 0})
    before_mib, watch = held_mib(), Watch()
    deliver_for(app, couriers, away_s)
    tried = number(app, "SELECT count(*) FROM attempts")
    steer(url, "DELETE", None)
    began = time.monotonic()
    back_at = app.database.now()
    while number(app, "SELECT count(*) FROM records WHERE state <> 'settled'"):
        if not deliver(app, couriers):
            time.sleep(0.25)
        if time.monotonic() - began > LONGEST_S:
            raise SystemExit("not delivered in half an hour")
    took_s = time.monotonic() - began
    watch.running = False
    with app.database.transaction() as connection:
        seconds = rows(
            connection,
            "SELECT floor(extract(epoch FROM at - :back))::int AS second, count(*) AS n FROM attempts WHERE at >= :back"
            " GROUP BY 1 ORDER BY 1",
            back=back_at,
        )
    wave = [int(row.n) for row in seconds]
    print(f"records waiting            {count:,}")
    print(f"attempts in {away_s:g} s of outage  {tried}")
    print(f"delivered after its end in {took_s:.1f} s, {count / took_s:.0f} a second")
    print(f"calls in the seconds after {wave[:8]} …, at most {max(wave)}")
    print(f"memory                     {before_mib:.0f} MiB before, {watch.peak_mib:.0f} MiB at most")


def deliver_for(app: App, couriers: Couriers, seconds: float) -> None:
    """What a worker does while the beat wakes it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        deliver(app, couriers)
        time.sleep(0.25)


def application(url: str, place: Path, vendor: str) -> App:
    """An installation on a fresh database whose only destination is the vendor."""
    migrate(url)
    tree = place / "mappings"
    tree.mkdir()
    (tree / "all.yaml").write_text(MAPPINGS.format(url=vendor))
    settings = Settings(
        database_url=url,
        redis_url=f"unix://{place}/nowhere.sock",
        data_key=base64.b64encode(bytes(32)).decode(),
        api_token="token",
        data_dir=place,
        mappings_dir=tree,
    )
    app = App(settings, env={**os.environ, "OUTAGE_KEY": KEY}, pool_size=20)
    app.apply(tree, actor="benchmark")
    return app


def fill(app: App, count: int) -> None:
    """So many new records, all due."""
    now = datetime.now(UTC)
    wanted = Wanted(
        key="0" * 32,
        incident_id=UUID(int=0),
        display="TOC-1",
        generation=1,
        status="open",
        want=Want.PAGE,
        severity=Severity.CRITICAL,
        impact=1,
        urgency=1,
        title="Checkout is slow since 14:02",
        body="\n".join(["What: requests take 4 s instead of 200 ms."] * 20),
        category="platform",
        environment="production",
        team="platform",
        opened_at=now,
    )
    told = Told(at=now, state="open", severity=Severity.CRITICAL, subjects=())
    with app.database.transaction() as connection:
        run(
            connection, "INSERT INTO destinations (name, kind) VALUES ('pagerduty', 'pagerduty') ON CONFLICT DO NOTHING"
        )
        run(
            connection,
            "INSERT INTO records (id, incident_id, environment, destination, kind, generation, mode, wanted, told,"
            " next_attempt_at)"
            " SELECT md5(n::text)::uuid, md5('i' || n)::uuid, 'production', 'pagerduty', 'pagerduty', 1,"
            " 'live', CAST(:wanted AS jsonb) || jsonb_build_object('key', md5(n::text), 'display', 'TOC-' || n,"
            " 'incident_id', md5('i' || n)::uuid), CAST(:told AS jsonb), now() FROM generate_series(1, :count) AS n",
            wanted=dumped(wanted),
            told=dumped(told),
            count=count,
        )


def number(app: App, query: str) -> int:
    """The one number that a query answers."""
    with app.database.transaction() as connection:
        return int(rows(connection, query)[0][0])


@contextmanager
def pagerduty() -> Iterator[str]:
    """A simulated PagerDuty in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tocsin.cli", "simulate", "pagerduty", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            time.sleep(0.2)
            try:
                steer(url, "DELETE", None)
                break
            except OSError:
                continue
        yield url
    finally:
        process.terminate()
        process.wait()


def steer(url: str, method: str, plan: dict[str, object] | None) -> None:
    """Plan a fault, or forget all."""
    body = orjson.dumps(plan) if plan is not None else None
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/__faults", data=body, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        answer.read()


if __name__ == "__main__":
    main()
