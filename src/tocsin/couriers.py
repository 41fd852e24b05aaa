"""Who brings records to a destination: its connector, config and HTTP client, kept while mappings and secrets stay."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from tocsin.bootstrap import Active, App
from tocsin.config.mappings import secret_files
from tocsin.connectors import Connector, Http, clock_s, find, open_http, secrets_of
from tocsin.domain.policy import Destination
from tocsin.domain.record import Outcome, Reason, Task, Wanted
from tocsin.store import destinations
from tocsin.store.database import dumped

log = logging.getLogger(__name__)

FOLLOW_EVERY_S = 1.0
"""How often the deliveries under way look for new mappings; each call of `follow` looks."""

LOOK_EVERY_S = 5.0
"""How often files that hold secrets are looked at for a change."""

Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Courier:
    """What it takes to reach one destination."""

    connector: Connector[Any]
    config: Any
    http: Http

    @property
    def when_human_touched(self) -> Any:  # noqa: ANN401 a Literal of the Task
        return getattr(self.config, "when_human_touched", Task.__dataclass_fields__["when_human_touched"].default)

    @property
    def mirrors(self) -> bool:
        """Are changes to be shown there?"""
        return self.connector.mirror is not None and bool(getattr(self.config, "mirror_changes", False))

    def rendered(self, wanted: Wanted) -> Mapping[str, object]:
        """What a create would carry, without any secret of the config."""
        text = dumped(self.connector.render(self.config, wanted))
        for secret in sorted(filter(None, secrets_of(self.config)), key=len, reverse=True):
            text = text.replace(dumped(secret)[1:-1], "***")
        found: Mapping[str, object] = orjson.loads(text)
        return found


@dataclass(kw_only=True)
class Couriers:
    """The couriers of all destinations. Secrets are read anew when the file that holds one changes, and when a vendor
    refuses one (`renewed`); no restart is needed."""

    app: App
    version: int = -1
    known: dict[str, Courier | Outcome] = field(default_factory=dict)
    _options: dict[str, Destination] = field(default_factory=dict)
    _stamps: dict[Path, Stamp] = field(default_factory=dict)
    _looked_s: float = 0.0
    _followed_s: float = float("-inf")
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def of(self, destination: str) -> Courier | Outcome:
        """The courier of a destination, or why there is none."""
        if clock_s() - self._followed_s > FOLLOW_EVERY_S:
            self.follow()
        with self._lock:
            if destination not in self.known:
                self.known[destination] = self._made(destination)
            return self.known[destination]

    def follow(self) -> None:
        """Take over mappings or secrets that have changed."""
        active = self.app.active()
        self._followed_s = clock_s()
        with self._lock:
            if active.version != self.version:
                self._adopt(active)
            elif clock_s() - self._looked_s > LOOK_EVERY_S:
                self._looked_s = clock_s()
                if self._stamps != {path: _stamp(path) for path in self._stamps}:
                    self._reread()

    def renewed(self, destination: str) -> bool:
        """Read the secrets anew; True when this destination's options have changed by it."""
        with self._lock:
            before = self._options.get(destination)
            self._reread()
            return self._options.get(destination) != before

    def _reread(self) -> None:
        self.app.reread()
        active = self.app.active()
        if active.version == self.version:
            changed = {n for n, d in active.mappings.destinations.items() if self._options.get(n) != d}
            for name in changed:
                log.info("destination=%s its secrets have changed", name)
                self.known.pop(name, None)
        self._remember(active)

    def _adopt(self, active: Active) -> None:
        self.known, self.version = {}, active.version
        self._remember(active)
        declared = []
        for name, destination in active.mappings.destinations.items():
            courier = self.known.setdefault(name, self._made(name))
            config = courier.config if isinstance(courier, Courier) else None
            limits = (getattr(config, "calls_per_minute", None), getattr(config, "calls_per_hour", None))
            declared.append((destination, *limits))
        destinations.declare(self.app.database, declared)

    def _remember(self, active: Active) -> None:
        self._options = dict(active.mappings.destinations)
        files = secret_files(active.mappings.files, root=self.app.mappings_dir)
        self._stamps, self._looked_s = {path: _stamp(path) for path in files}, clock_s()

    def _made(self, name: str) -> Courier | Outcome:
        active = self.app.active()
        declared = self._options.get(name)
        if declared is None:
            words = f"destination {name} is no longer in the mappings; declare it again and replay"
            return Outcome(result="rejected", reason=Reason.GONE, detail=words)
        connector = find(declared.kind)
        try:
            config = connector.Config(**declared.options)
        except ValidationError as error:
            fields = ", ".join(sorted({".".join(map(str, one["loc"])) for one in error.errors(include_input=False)}))
            words = f"destination {name} cannot be used: see {fields or 'its options'} with `tocsin check`, and replay"
            return Outcome(result="rejected", reason=Reason.CLIENT_ERROR, detail=words)
        return Courier(connector=connector, config=config, http=open_http(config, redact=active.redactor.text))


def _stamp(path: Path) -> Stamp:
    """What tells that a file was replaced; all 0 when it is not there."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)
