"""How long does a page wait for another vendor that keeps us waiting?

    .venv/bin/python -m benchmarks.slow --answer 25 --waiting 200 --seconds 90

One PagerDuty answers each call after so many seconds and has records waiting without end, another is well and gets a
page every few seconds. Two processes of one host deliver. Printed: how long the pages of the healthy one took.
"""

from __future__ import annotations

import argparse
import base64
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from uuid import uuid4

from benchmarks.outage import KEY, fill, number, pagerduty, steer
from tocsin.bootstrap import App
from tocsin.cli.embedded.postgres import EmbeddedPostgres
from tocsin.config.settings import Settings
from tocsin.delivery import Couriers, deliver
from tocsin.store import migrate
from tocsin.store.database import run

MAPPINGS = """
teams:
  platform: {{owns: ["service:*"]}}
connectors:
  pagerduty: {{kind: pagerduty, url: "{slow}", default_routing_key: {{env: OUTAGE_KEY}}, events_per_minute: 10000,
    read_timeout_s: 28}}
  healthy: {{kind: pagerduty, url: "{healthy}", default_routing_key: {{env: OUTAGE_KEY}}, events_per_minute: 10000}}
policies:
  catch_all: platform
  defaults: {{page: [pagerduty, healthy], ticket: [healthy]}}
"""
EVERY_S = 2.0
PAGE = """
INSERT INTO records (id, incident_id, environment, destination, kind, generation, mode, wanted, told, next_attempt_at)
SELECT gen_random_uuid(), gen_random_uuid(), environment, 'healthy', kind, 1, mode,
    wanted || jsonb_build_object('key', CAST(:key AS text), 'incident_id', gen_random_uuid()), told, now()
FROM records LIMIT 1
"""


def main() -> None:
    """Run it and print what it came to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answer", type=float, default=25.0, help="seconds until the slow vendor answers")
    parser.add_argument("--waiting", type=int, default=200, help="records that wait for it")
    parser.add_argument("--seconds", type=float, default=90.0, help="how long to look")
    said = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="tocsin-slow-", dir="/tmp"))
    place.chmod(0o711)
    server = EmbeddedPostgres(fsync=False)
    workers: list[multiprocessing.Process] = []
    try:
        with pagerduty() as slow, pagerduty() as healthy:
            url = server.start(place / "postgres")
            migrate(url)
            tree = place / "mappings"
            tree.mkdir()
            (tree / "all.yaml").write_text(MAPPINGS.format(slow=slow, healthy=healthy))
            app = application(url, place)
            app.apply(tree, actor="benchmark")
            fill(app, said.waiting)
            steer(slow, "POST", {"fault": "slow", "after_s": said.answer, "times": 0})
            workers = [multiprocessing.Process(target=work, args=(url, place), daemon=True) for _ in range(2)]
            for worker in workers:
                worker.start()
            print(told(measure(app, said.seconds), said.answer))
            app.database.close()
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
        server.stop()
        shutil.rmtree(place, ignore_errors=True)


def application(url: str, place: Path) -> App:
    """The installation, as one process opens it."""
    settings = Settings(
        database_url=url,
        redis_url=f"unix://{place}/nowhere.sock",
        data_key=base64.b64encode(bytes(32)).decode(),
        api_token="token",
        data_dir=place,
        mappings_dir=place / "mappings",
    )
    return App(settings, env={**os.environ, "OUTAGE_KEY": KEY}, pool_size=20)


def work(url: str, place: Path) -> None:
    """What a worker does while the beat wakes it."""
    app = application(url, place)
    couriers = Couriers(app=app)
    while True:
        deliver(app, couriers)
        time.sleep(0.25)


def measure(app: App, seconds: float) -> list[float]:
    """Seconds that each page of the healthy vendor took, one after the other."""
    took: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        with app.database.transaction() as connection:
            run(connection, PAGE, key=uuid4().hex)
        while number(app, "SELECT count(*) FROM records WHERE destination = 'healthy' AND state <> 'settled'"):
            time.sleep(0.05)
        took.append(time.monotonic() - began)
        time.sleep(max(0.0, EVERY_S - took[-1]))
    return took


def told(took: list[float], answer_s: float) -> str:
    """The pages' waits in one line."""
    return (
        f"another vendor answers after {answer_s:g} s: {len(took)} pages took {statistics.median(took):.1f} s in the"
        f" median, {max(took):.1f} s at most"
    )


if __name__ == "__main__":
    main()
