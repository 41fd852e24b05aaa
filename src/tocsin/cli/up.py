"""One command, one Ctrl-C: PostgreSQL, Redis, web, workers and beat on this machine, nothing installed beforehand."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import FrameType

import click

from tocsin.cli.embedded.address import Address, address
from tocsin.cli.embedded.following import Follower
from tocsin.cli.embedded.keys import api_token, chosen, data_key
from tocsin.cli.embedded.lock import DirectoryLock
from tocsin.cli.embedded.postgres import STOP as POSTGRES_STOP
from tocsin.cli.embedded.postgres import EmbeddedPostgres
from tocsin.cli.embedded.redis import STOP as REDIS_STOP
from tocsin.cli.embedded.redis import EmbeddedRedis
from tocsin.cli.embedded.running import DEFAULT_DATA, LOCK, announce, withdraw
from tocsin.cli.embedded.supervisor import Part, Supervisor, command_part
from tocsin.cli.web import METRICS, fresh_metrics, serving
from tocsin.domain.errors import BadSetting

SECTION = "run it"
TEND_EVERY_S = 0.2
STILL_WAITING_S = 30.0

# Intake ends first, then who works on it, then what they work with.
WEB_TIER, WORK_TIER, REDIS_TIER, POSTGRES_TIER = range(4)
WORK_STOP = ((signal.SIGTERM, 4.0), (signal.SIGQUIT, 1.0))  # Celery: finish the task at hand, then drop it

DIRECTORY = click.Path(path_type=Path, file_okay=False)
_printing = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `tocsin up` was asked to run."""

    data: Path
    mappings: Path
    bind: Address
    workers: int


@click.command(context_settings={"show_default": True})
@click.option("--data", type=DIRECTORY, default=DEFAULT_DATA, envvar="TOCSIN_DATA_DIR", help="All it keeps.")
@click.option("--mappings", type=DIRECTORY, default="mappings", envvar="TOCSIN_MAPPINGS_DIR", help="Edits apply.")
@click.option("--bind", default="127.0.0.1:8080", envvar="TOCSIN_BIND", help="HOST:PORT for hooks and console.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, help="Processes for web, and for work.")
@click.option("--browser/--no-browser", default=False, help="Open the console when it is ready.")
def up(data: Path, mappings: Path, bind: str, workers: int, browser: bool) -> None:
    """Run everything on this machine; Ctrl-C stops it."""
    plan = Plan(data=data, mappings=mappings, bind=address(bind), workers=workers)
    end = _End()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end.ask)  # one way out for all of them
    try:
        with ExitStack() as stack:
            _run(plan, stack, end, browser=browser)
    except KeyboardInterrupt:
        say("stopped")


class _End:
    """Somebody wants us to stop. While we start, that interrupts whatever waits; afterwards it is only noted: an
    exception out of nowhere may be swallowed, or leave a lock held, in whatever the main thread happens to do."""

    def __init__(self) -> None:
        self.asked = False
        self.interrupts = True

    def ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        if self.interrupts:
            raise KeyboardInterrupt


def say(text: str) -> None:
    """One line of our own on the screen."""
    with _printing:
        click.secho(f"tocsin    | {text}", bold=True)


def show(part: str, line: str) -> None:
    """One line that a part printed; a closed terminal must not block the part."""
    with _printing, suppress(OSError):
        click.echo(f"{part:<9} | {line}")


def _run(plan: Plan, stack: ExitStack, end: _End, *, browser: bool) -> None:
    _refuse_bad_mappings(plan.mappings)
    plan.bind.refuse_taken()
    _hold(plan.data, stack)
    supervisor = Supervisor(say)
    settings = _start_servers(plan, supervisor, stack)
    os.environ.update(settings)  # for what this process does itself, and for every part
    say("bringing the database's schema up to date")
    from tocsin.store import migrate

    migrate(settings["TOCSIN_DATABASE_URL"])
    follower = _follower(plan.mappings)
    follower.look(now=time.monotonic())
    supervisor.add(web_part(plan, os.environ))
    _tend_until_ready(plan, supervisor)  # alone it is ready sooner, and what arrives is kept
    for part in work_parts(plan, os.environ):
        supervisor.add(part)
    announce(plan.data, settings)
    stack.callback(withdraw, plan.data)
    _banner(plan)
    if browser:
        click.launch(plan.bind.url)
    end.interrupts = False
    while not end.asked:
        supervisor.tend(now=time.monotonic())
        follower.look(now=time.monotonic())
        time.sleep(TEND_EVERY_S)
    raise KeyboardInterrupt


def web_part(plan: Plan, environment: Mapping[str, str]) -> Part:
    """What takes in messages."""
    return command_part("web", serving(plan.bind, plan.workers), environment=environment, show=show, tier=WEB_TIER)


def work_parts(plan: Plan, environment: Mapping[str, str]) -> list[Part]:
    """What does the work behind it: the same commands that servers run."""
    commands = {
        "worker": ("worker", "--concurrency", str(plan.workers)),
        "attribute": ("worker", "--attribute", "--concurrency", "1"),
        "beat": ("beat",),
    }
    return [
        command_part(
            name, (sys.executable, "-m", "tocsin.cli", *words), environment=environment, show=show, tier=WORK_TIER,
            stop=WORK_STOP,
        )
        for name, words in commands.items()
    ]  # fmt: skip


def _refuse_bad_mappings(directory: Path) -> None:
    if not directory.is_dir():
        raise BadSetting(
            f"there is no mappings directory {directory}: `tocsin init {directory}` writes a first one, "
            "or name yours with --mappings"
        )
    from tocsin.bootstrap import checked

    checked(directory, env=os.environ)


def _hold(data: Path, stack: ExitStack) -> None:
    """Make the data directory ours alone; as root the database's user must be able to walk through it."""
    try:
        data.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        lock = DirectoryLock(data / LOCK)
        lock.hold()
    except OSError as error:
        raise BadSetting(f"cannot write in {data}: {error.strerror}. Choose another directory: --data DIR") from error
    stack.callback(lock.release)


def _start_servers(plan: Plan, supervisor: Supervisor, stack: ExitStack) -> dict[str, str]:
    """Start PostgreSQL and Redis; answers the settings that every part gets."""
    data = plan.data.resolve()
    postgres, redis = EmbeddedPostgres(), EmbeddedRedis()
    say(f"starting PostgreSQL and Redis in {plan.data}")
    stack.callback(postgres.stop)
    database_url = postgres.start(data / "postgres")
    stack.callback(redis.stop)
    redis_url = redis.start(data / "redis")
    stack.callback(_stop, supervisor)
    supervisor.add(Part("postgres", postgres.launch, POSTGRES_TIER, POSTGRES_STOP), running=postgres.process)
    supervisor.add(Part("redis", redis.launch, REDIS_TIER, REDIS_STOP), running=redis.process)
    (data / "spool").mkdir(mode=0o700, exist_ok=True)
    return {
        "TOCSIN_DATABASE_URL": database_url,
        "TOCSIN_REDIS_URL": redis_url,
        "TOCSIN_DATA_KEY": chosen(os.environ, "TOCSIN_DATA_KEY", data_key(data)),
        "TOCSIN_API_TOKEN": chosen(os.environ, "TOCSIN_API_TOKEN", api_token(data)),
        "TOCSIN_MAPPINGS_DIR": str(plan.mappings.resolve()),
        "TOCSIN_SPOOL_DIR": str(data / "spool"),
        "TOCSIN_PUBLIC_URL": chosen(os.environ, "TOCSIN_PUBLIC_URL", plan.bind.url),
        "TOCSIN_DATA_DIR": str(data),
        METRICS: str(fresh_metrics(data / "metrics")),
        "TOCSIN_LOG_LEVEL": os.environ.get("TOCSIN_LOG_LEVEL", "WARNING"),  # a terminal shows what needs a look
    }


def _follower(directory: Path) -> Follower:
    from tocsin.bootstrap import App
    from tocsin.config.settings import Settings

    app = App(Settings(), pool_size=1)
    return Follower(directory, apply=lambda changed: app.apply(changed, actor="tocsin up"), say=say)


def _tend_until_ready(plan: Plan, supervisor: Supervisor) -> None:
    say_at = time.monotonic() + STILL_WAITING_S
    while (status := plan.bind.answers("/readyz")) != HTTPStatus.OK:
        now = time.monotonic()
        supervisor.tend(now=now)
        if now > say_at:
            say_at = now + STILL_WAITING_S
            say(f"still waiting: {plan.bind.url}/readyz answers {status or 'nothing'}")
        time.sleep(TEND_EVERY_S)


def _banner(plan: Plan) -> None:
    lines = (
        "",
        f"Tocsin is ready at  {plan.bind.url}",
        f"Point alerts at     {plan.bind.url}/hooks/<hook>  (`tocsin hooks` lists yours)",
        f"Everything is in    {plan.data}  (back it up with its data.key)",
        f"API token           {plan.data / 'api.token'}",
        "Ctrl-C stops everything.",
        "",
    )
    for line in lines:
        say(line)


def _stop(supervisor: Supervisor) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it takes 10 s at most; hurrying would only leave orphans
    with suppress(OSError):  # the terminal may be gone
        say("stopping")
    supervisor.stop()
