"""The web process in this one: hooks in front of Flask, over a world on a real database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import Client

from tests.pipeline.world import MAPPINGS, World
from tocsin.receive import Receiver
from tocsin.web.hooks import HooksFirst
from tocsin.web.site import site

HOOKS = """
    hooks:
      signed: {source: alertmanager, secret: {file: signed.secret}}
"""


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[World]:
    tree = tmp_path / "mappings"
    tree.mkdir()
    (tree / "signed.secret").write_text("s3cret")
    made = World(database, tmp_path, {**MAPPINGS, "hooks.yaml": HOOKS})
    yield made
    made.close()


@pytest.fixture
def receiver(world: World, tmp_path: Path) -> Iterator[Receiver]:
    made = Receiver(world.app, spool_dir=tmp_path / "spool")
    made.refresh()
    yield made
    made.stop()


@pytest.fixture
def client(world: World, receiver: Receiver) -> Iterator[Client]:
    app = site(world.app.settings, receiver)
    yield Client(HooksFirst(receiver, app.wsgi_app))
    app.extensions["tocsin.database"].close()
