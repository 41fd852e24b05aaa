"""Which destinations are there? Every module here whose name does not begin with `_`, found by its file name."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from typing import Any

from tocsin.connectors._connector import Connection, Connector, Options, open_http, secrets_of
from tocsin.connectors._fetch import Fetcher
from tocsin.connectors._http import Failure, Http, clock_s
from tocsin.domain.errors import BadMapping

__all__ = [
    "Connection",
    "Connector",
    "Failure",
    "Fetcher",
    "Http",
    "Options",
    "clock_s",
    "find",
    "names",
    "open_http",
    "secrets_of",
]


@cache
def names() -> tuple[str, ...]:
    """The kinds of connector there are, sorted."""
    return tuple(sorted(found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_")))


@cache
def find(kind: str) -> Connector[Any]:
    """The connector of this kind. Raises BadMapping for a kind that has no file."""
    if kind not in names():
        raise BadMapping([f"connector kind {kind!r} is unknown; choose one of {', '.join(names())}"])
    connector = import_module(f"{__name__}.{kind}").CONNECTOR
    assert isinstance(connector, Connector)
    return connector
