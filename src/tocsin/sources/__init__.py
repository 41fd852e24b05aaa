"""Producers of messages, one module each, found by file name: `names()` lists them, `find(name)` gives one.

A module whose name starts with `_` is shared by several sources; every other one exports `SOURCE`.
"""

from __future__ import annotations

import pkgutil
from difflib import get_close_matches
from functools import cache
from importlib import import_module

from tocsin.domain.errors import BadMapping
from tocsin.domain.message import Hook, Source


@cache
def names() -> tuple[str, ...]:
    """Every source's own name, sorted; nothing is imported."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")))


def find(name: str) -> Source:
    """The source of this name or alias; only its own module is imported unless an alias must be looked up.

    Raises BadMapping when no source has the name; the text names the nearest."""
    if name in names():
        return _load(name)
    known = _aliases()
    if name in known:
        return _load(known[name])
    near = get_close_matches(name, (*names(), *known), n=3, cutoff=0.5)
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


@cache
def _aliases() -> dict[str, str]:
    return {alias: name for name in names() for alias in _load(name).aliases}
