"""Producers of messages, one module each, found by file name: `names()` lists them, `find(name)` gives one.

A module whose name starts with `_` is shared by several sources; every other one exports `SOURCE`.
"""

from __future__ import annotations

import pkgutil
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib import import_module
from importlib.abc import InspectLoader
from importlib.util import find_spec

from tocsin.domain.errors import BadMapping
from tocsin.domain.message import Hook, Source


@cache
def names() -> tuple[str, ...]:
    """Every source's own name, sorted; nothing is imported."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")))


def find(name: str) -> Source:
    """The source of this name or alias; only modules that mention the name are imported.

    Raises BadMapping when no source has the name; the text names the nearest."""
    if name in names():
        return _load(name)
    if aliased := _aliased(name):
        return aliased
    near = get_close_matches(name, (*names(), *_aliases()), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise BadMapping([f"source {name!r} is not known; {hint}`tocsin sources list` shows all {len(names())}"])


def of(hook: Hook) -> Source:
    """The source of a hook, as the hook declares it. Raises BadMapping when no source has the name."""
    found = find(hook.source)
    return found.bind(hook) if found.bind else found


@cache
def _load(name: str) -> Source:
    source = import_module(f"{__name__}.{name}").SOURCE
    assert isinstance(source, Source), f"{name}.SOURCE is not a Source"
    return source


@lru_cache(maxsize=512)
def _aliased(name: str) -> Source | None:
    found = (_load(one) for one in names() if name in _text(one))
    return next((source for source in found if name in source.aliases), None)


def _text(name: str) -> str:
    """What stands in the source's own module, read without importing it."""
    spec = find_spec(f"{__name__}.{name}")
    return spec.loader.get_source(spec.name) or "" if spec and isinstance(spec.loader, InspectLoader) else ""


def _aliases() -> list[str]:
    return [alias for name in names() for alias in _load(name).aliases]
