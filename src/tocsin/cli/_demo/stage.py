"""Where the demo plays: a Tocsin of its own as `tocsin up` runs it, and three service desks beside it.

The shipped mappings are copied, so that nothing of the user's is touched; every {env: X} in them gets a fresh secret or
a stand-in's address. Everything lies in one directory, which goes when the stage closes unless it shall be kept.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path

from pydantic import SecretStr

from tocsin import simulators
from tocsin.cli._demo.scenarios.noise import WINDOW_HOST
from tocsin.cli.embedded.address import Address
from tocsin.cli.embedded.child import end, spawn
from tocsin.cli.embedded.running import settings_of
from tocsin.config.mappings import Mappings, load
from tocsin.domain.errors import BadSetting, Unavailable
from tocsin.domain.policy import Destination
from tocsin.simulators import Running

START_WITHIN_S = 120.0
STOP_STEPS = ((signal.SIGTERM, 20.0), (signal.SIGKILL, 2.0))
NOT_YET = "http://127.0.0.1:9"
"""Stands for an address until its stand-in listens (RFC 863's port: nothing does)."""
LOG = "up.log"
_ENV = re.compile(r"\{\s*env:\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything that runs, and where it is."""

    url: str
    """Of the hooks and the console."""
    mappings: Mappings
    desks: Mapping[str, Running]
    settings: Mapping[str, str]
    """The TOCSIN_* of the running installation."""
    directory: Path

    @property
    def api_token(self) -> str:
        return self.settings["TOCSIN_API_TOKEN"]

    def gone(self, why: str) -> Unavailable:
        """What to say when the installation does not answer any more."""
        return Unavailable(f"Tocsin does not answer at {self.url} ({why}); {_last_lines(self.directory / LOG)}")

    def secret_of(self, source: str) -> tuple[str, str]:
        """Name and secret of the hook that takes this producer's messages in production."""
        for hook in self.mappings.hooks.values():
            if hook.source == source and hook.environment in ("production", "*") and not hook.defaults:
                return hook.name, hook.secrets[0]
        raise BadSetting(f"the mappings declare no hook for source {source}: the demo needs one, see mappings/hooks/")


@contextmanager
def staged(
    mappings: Path, data: Path | None, *, now: datetime, keep: bool, say: Callable[[str], None]
) -> Iterator[Stage]:
    """Start it all; everything ends with the block, in order. Raises BadMapping, BadSetting or Unavailable."""
    if not mappings.is_dir():
        raise BadSetting(f"there is no mappings directory {mappings}: name one with --mappings")
    with ExitStack() as stack:
        directory = _directory(data, stack, keep=keep)
        scratch = directory / "mappings"
        shutil.copytree(mappings, scratch)
        (scratch / "demo-window.yaml").write_text(_window(now), encoding="utf-8")
        secret = _secrets(scratch)
        desks = _desks(load(scratch, env=secret), stack)
        secret |= {f"{kind.upper()}_URL": desk.url for kind, desk in desks.items()}
        loaded = load(scratch, env=secret)
        say("starting PostgreSQL, Redis, web, workers and beat (as `tocsin up` does)")
        address = Address("127.0.0.1", _free_port())
        settings = _start(address, scratch, directory, secret, stack)
        yield Stage(url=address.url, mappings=loaded, desks=desks, settings=settings, directory=directory)


def _directory(data: Path | None, stack: ExitStack, *, keep: bool) -> Path:
    if data is not None:
        data.mkdir(parents=True, exist_ok=True)
        if any(data.iterdir()):
            raise BadSetting(f"--data {data} is not empty: the demo needs a directory of its own")
        directory = data.resolve()
        if not keep:
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
        return directory
    directory = Path(tempfile.mkdtemp(prefix="tocsin-demo-"))
    directory.chmod(0o711)  # run by root, the database's user must be able to walk through
    if not keep:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
    return directory


def _window(now: datetime) -> str:
    """A maintenance window that is open whenever the demo runs."""
    begin = (now - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M")
    return f"""\
maintenance:
  demo-window:
    subjects: ["host:{WINDOW_HOST}"]
    starts_at: {begin}
    duration: 6h
    timezone: UTC
    environments: [production]
    ticket: CHG0030500
"""


def _secrets(tree: Path) -> dict[str, str]:
    """A value for every {env: X} of the tree: 32 random hex digits, or an address that is filled in later."""
    names = {name for file in sorted(tree.rglob("*.yaml")) for name in _ENV.findall(file.read_text(encoding="utf-8"))}
    return {name: NOT_YET if name.endswith("_URL") else secrets.token_hex(16) for name in sorted(names)}


# --- the service desks ---


def _desks(mappings: Mappings, stack: ExitStack) -> dict[str, Running]:
    by_kind = {destination.kind: destination for destination in mappings.destinations.values()}
    missing = sorted({"servicenow", "pagerduty", "jira"} - set(by_kind))
    if missing:
        raise BadSetting(f"the mappings have no connector of kind {', '.join(missing)}: the demo shows all three")
    servicenow, jira = by_kind["servicenow"], by_kind["jira"]
    return {
        "servicenow": stack.enter_context(
            simulators.start(
                "servicenow",
                user=servicenow.text("username"),
                password=servicenow.text("password"),
                seed=_servicenow_seed(mappings),
            )
        ),
        "pagerduty": stack.enter_context(
            simulators.start("pagerduty", seed={"routing_keys": _routing_keys(by_kind["pagerduty"])})
        ),
        "jira": stack.enter_context(
            simulators.start(
                "jira",
                user=jira.text("email"),
                password=jira.text("api_token"),
                seed={"projects": _addresses(mappings, "jira", "project")},
            )
        ),
    }


def _servicenow_seed(mappings: Mappings) -> dict[str, object]:
    entries = mappings.catalog.entries.values()
    return {
        "sys_user_group": _addresses(mappings, "servicenow", "assignment_group"),
        "cmdb_ci": sorted({entry.ci or entry.subject.name for entry in entries}),
        "cmdb_ci_service": sorted({entry.business_service for entry in entries} - {""}),
    }


def _addresses(mappings: Mappings, destination: str, field: str) -> list[str]:
    """What the teams name at this destination."""
    teams = mappings.catalog.teams.values()
    return sorted({team.destinations.get(destination, {}).get(field, "") for team in teams} - {""})


def _routing_keys(destination: Destination) -> dict[str, str]:
    keys = destination.options.get("routing_keys")
    return {_text(key): name for name, key in keys.items()} if isinstance(keys, Mapping) else {}


def _text(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value or "")


# --- Tocsin itself ---


def _start(
    address: Address, mappings: Path, directory: Path, secret: Mapping[str, str], stack: ExitStack
) -> dict[str, str]:
    data, log = directory / "data", directory / LOG
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    command = [
        *(sys.executable, "-m", "tocsin.cli", "up"),
        *("--data", str(data), "--mappings", str(mappings), "--bind", f"{address.host}:{address.port}"),
    ]
    output = stack.enter_context(log.open("wb"))
    process = spawn(command, output=output, environment={**inherited, **secret})
    stack.callback(end, process, steps=STOP_STEPS)
    deadline = time.monotonic() + START_WITHIN_S
    while not (settings := settings_of(data)) or address.answers("/readyz") != HTTPStatus.OK:
        if process.poll() is not None or time.monotonic() > deadline:
            raise Unavailable(f"Tocsin did not start; {_last_lines(log)}")
        time.sleep(0.1)
    return settings


def _last_lines(log: Path) -> str:
    return "its last lines:\n" + "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
