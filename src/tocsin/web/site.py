"""The Flask application behind the hooks: health, metrics, API and console."""

from __future__ import annotations

import os

from flask import Flask, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from tocsin.config.settings import Settings
from tocsin.receive import Receiver
from tocsin.store import Database
from tocsin.web.api import api
from tocsin.web.console import console


def site(settings: Settings, receiver: Receiver) -> Flask:
    """Everything that is not a hook."""
    app = Flask("tocsin.web")
    app.extensions["tocsin.database"] = Database(settings.database_url, pool_size=4)
    app.extensions["tocsin.settings"] = settings
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
        return Response(generate_latest(_registry()), content_type=CONTENT_TYPE_LATEST)

    return app


def _registry() -> CollectorRegistry:
    """All processes' figures when PROMETHEUS_MULTIPROC_DIR joins them, else this one's."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
