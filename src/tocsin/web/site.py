"""The Flask application behind the hooks: health, metrics, API and console."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import ClassVar

from flask import Flask, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from tocsin.config.settings import Settings
from tocsin.domain.errors import Unavailable
from tocsin.receive import Receiver
from tocsin.store import Database, destinations, reading
from tocsin.web.api import api
from tocsin.web.console import console


def site(settings: Settings, receiver: Receiver) -> Flask:
    """Everything that is not a hook."""
    app = Flask("tocsin.web")
    app.extensions["tocsin.database"] = Database(settings.database_url, pool_size=4)
    app.extensions["tocsin.settings"] = settings
    app.extensions["tocsin.receiver"] = receiver
    app.register_blueprint(api)
    app.register_blueprint(console)

    @app.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @app.get("/readyz")
    def readyz() -> Response:
        if receiver.ready():
            return Response("ready\n", mimetype="text/plain")
        return Response(
            "neither database nor spool is writable\n",
            status=503,
            mimetype="text/plain",
            headers={"Retry-After": "5"},
        )

    @app.get("/metrics")
    def metrics() -> Response:
        queues = _Queues(app.extensions["tocsin.database"])
        text = b"".join(generate_latest(registry) for registry in (_registry(), queues.registry()))
        return Response(text, content_type=CONTENT_TYPE_LATEST)

    return app


class _Queues:
    """Gauges read from the database at each scrape; none when it is away."""

    HELP: ClassVar = {
        "waiting": "Messages accepted and not yet understood",
        "undecided": "Alerts and record updates understood and not yet decided",
        "quarantined": "Messages in quarantine",
        "open_incidents": "Open incidents",
        "undelivered": "Records that are not yet as wanted",
        "dead": "Records that need a person",
    }

    LABELLED: ClassVar = {
        "destination_paused": (("destination",), "1 while a person has paused it"),
        "destination_open": (("destination", "reason"), "1 while its circuit is open: it is only probed"),
        "destination_waiting": (("destination",), "Records that are not yet as wanted there"),
        "dead_records": (("destination", "reason"), "Records that need a person, by the reason they were given up for"),
    }

    def __init__(self, database: Database) -> None:
        self._database = database

    def registry(self) -> CollectorRegistry:
        registry = CollectorRegistry()
        registry.register(self)
        return registry

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            sizes = reading.queues(self._database)
            known = destinations.overview(self._database)
            dead = destinations.dead_by_reason(self._database)
        except Unavailable:
            return
        for name, words in self.HELP.items():
            yield GaugeMetricFamily(f"tocsin_{name}", words, value=sizes[name])
        yield self._labelled("destination_paused", [((d["name"],), float(d["paused_at"] is not None)) for d in known])
        opened = [((d["name"], d["rests_why"]), 1.0) for d in known if d["open_since"] is not None]
        yield self._labelled("destination_open", opened)
        yield self._labelled("destination_waiting", [((d["name"],), float(d["waiting"])) for d in known])
        yield self._labelled("dead_records", [((name, reason), float(count)) for name, reason, count in dead])

    def _labelled(self, name: str, values: Sequence[tuple[tuple[str, ...], float]]) -> GaugeMetricFamily:
        labels, words = self.LABELLED[name]
        gauge = GaugeMetricFamily(f"tocsin_{name}", words, labels=labels)
        for said, value in values:
            gauge.add_metric(list(said), value)
        return gauge


def _registry() -> CollectorRegistry:
    """All processes' figures when PROMETHEUS_MULTIPROC_DIR joins them, else this one's."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
