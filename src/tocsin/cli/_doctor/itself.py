"""Is Tocsin itself well: settings, database, schema, Redis, data key, beat, overdue work, spool, quarantine?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tocsin.domain.errors import BadSetting, Unavailable
from tocsin.domain.seen import Finding, Grade

if TYPE_CHECKING:
    from tocsin.config.settings import Settings
    from tocsin.store import Database

LATE = timedelta(minutes=2)
"""Work that waits longer than this beyond its time has nobody who does it."""
MAX_SKEW_S = 5.0
"""Between this machine and the database: timers run on the database's clock, signatures are checked on ours."""
BEAT_LOCK = 7_203
"""The lock that the leading beat holds (tocsin.worker, which takes seconds to import)."""


def ok(check: str, value: object = "", says: str = "") -> Finding:
    """Looked at and right."""
    return Finding(grade=Grade.OK, check=check, value=str(value), says=says)


def found(grade: Grade, check: str, value: object, says: str, remedy: str = "") -> Finding:
    """Anything else."""
    return Finding(grade=grade, check=check, value=str(value), says=says, remedy=remedy)


def itself(settings: Settings, database: Database | None) -> Iterator[Finding]:
    """Every finding about this installation; `database` is None where none is named."""
    yield from _settings(settings)
    yield _redis(settings.redis_url)
    yield _spool(settings)
    if database is None:
        remedy = "set TOCSIN_DATABASE_URL, or run this where `tocsin up` runs"
        yield found(
            Grade.ERROR, "database", "none", "No database is named: nothing about this installation is known", remedy
        )
        return
    try:
        yield from _database(settings, database)
    except Unavailable as away:
        remedy = "start PostgreSQL, or correct TOCSIN_DATABASE_URL; messages are spooled meanwhile"
        yield found(Grade.ERROR, "database", "away", str(away).splitlines()[0], remedy)


def _settings(settings: Settings) -> Iterator[Finding]:
    if settings.api_token.get_secret_value():
        yield ok("api_token", "set")
    else:
        yield found(Grade.WARNING, "api_token", "empty", "API and console stay closed", "set TOCSIN_API_TOKEN")
    host = urlsplit(settings.public_url).hostname or ""
    if host in ("127.0.0.1", "localhost", "::1"):
        says = "Links in tickets and addresses of hooks lead to this machine only"
        yield found(Grade.NOTE, "public_url", settings.public_url, says, "set TOCSIN_PUBLIC_URL to what others reach")
    else:
        yield ok("public_url", settings.public_url)


def _redis(url: str) -> Finding:
    import redis

    if not url:
        return found(Grade.ERROR, "redis", "none", "No Redis is named", "set TOCSIN_REDIS_URL")
    try:
        client = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
        client.ping()
        client.close()
    except (redis.RedisError, OSError, ValueError) as away:
        says = f"Redis does not answer ({type(away).__name__}): the beat does all work itself, slowly"
        return found(Grade.ERROR, "redis", "away", says, "start it, or correct TOCSIN_REDIS_URL")
    return ok("redis", "answers")


def _spool(settings: Settings) -> Finding:
    """Spooled messages belong to a receiver that lost the database; it drains them by itself."""
    directory = settings.spool_dir
    if not directory.is_dir():
        return ok("spool", "empty", "Not made yet, or on the receiver's own machine")
    waiting = [path for path in directory.glob("*.spool") if path.stat().st_size]
    if waiting:
        size = sum(path.stat().st_size for path in waiting)
        says = f"{size:,} bytes of accepted messages wait for the database"
        return found(
            Grade.WARNING, "spool", f"{len(waiting)} files", says, "bring the database back; start `tocsin web`"
        )
    if not os.access(directory, os.W_OK):
        says = "Cannot be written: with the database away, messages would be refused"
        return found(Grade.ERROR, "spool", directory, says, "give the receiver's user the right to write there")
    return ok("spool", "empty")


# --- what the database tells ---


def _database(settings: Settings, database: Database) -> Iterator[Finding]:
    from tocsin.store import health

    yield ok("database", f"PostgreSQL {health.server_version(database)}")
    here, there = health.revision(database), health.newest_revision()
    if here != there:
        value = here or "no schema"
        remedy = "run `tocsin db upgrade`" if here <= there else "run the release that made this schema, or a newer one"
        yield found(Grade.ERROR, "schema", value, f"This release knows {there}", remedy)
        if here < there:
            return
    else:
        yield ok("schema", here)
    yield _clock(database)
    yield _data_key(settings, database)
    yield from _at_work(database)
    yield from _waiting_for_people(database)


def _clock(database: Database) -> Finding:
    skew_s = (database.now() - datetime.now(UTC)).total_seconds()
    if abs(skew_s) <= MAX_SKEW_S:
        return ok("clock", f"{abs(skew_s):.1f} s", "Between this machine and the database")
    says = "The database's clock and this machine's are apart: timers run on the one, signatures on the other"
    return found(Grade.WARNING, "clock", f"{abs(skew_s):.0f} s", says, "start NTP (such as chrony) on both")


def _data_key(settings: Settings, database: Database) -> Finding:
    from tocsin.store import health
    from tocsin.store.sealed import Seal

    keys = [settings.data_key.get_secret_value(), *(key.get_secret_value() for key in settings.data_keys_old)]
    try:
        seal = Seal(keys)
    except BadSetting as wrong:
        return found(Grade.ERROR, "data_key", "unusable", str(wrong), "set TOCSIN_DATA_KEY")
    newest = health.newest_body(database)
    if newest is not None and not seal.knows(newest):
        says = "The newest stored message was sealed under another key: it cannot be read, here at least"
        return found(Grade.ERROR, "data_key", "another", says, "add that key to TOCSIN_DATA_KEYS_OLD")
    return ok("data_key", "set" if newest is None else "opens what is stored")


def _at_work(database: Database) -> Iterator[Finding]:
    from tocsin.store import health

    if health.held(database, BEAT_LOCK):
        yield ok("beat", "alive")
    else:
        says = "No beat is at work: windows do not end, retries do not go out"
        yield found(Grade.ERROR, "beat", "none", says, "start `tocsin beat` (or `tocsin up`), at least one of it")
    late = health.overdue(database)
    steps = {
        "understanding": (late.understanding, "messages wait to be understood", "`tocsin worker` runs, and its log"),
        "deciding": (late.deciding, "alerts wait to be decided on", "`tocsin worker` runs, and its log"),
        "delivering": (late.delivering, "records wait to be sent", "`tocsin worker` runs, and its log"),
    }
    behind = False
    for step, (waits, says, look) in steps.items():
        if waits is not None and waits > LATE:
            behind = True
            value = f"{waits.total_seconds() / 60:.0f} min late"
            yield found(Grade.ERROR, step, value, says.capitalize(), f"see that {look}")
    if not behind:
        yield ok("workers", "nothing is overdue")


def _waiting_for_people(database: Database) -> Iterator[Finding]:
    from tocsin.store import reading

    sizes = reading.queues(database)
    if sizes["quarantined"]:
        says = "Accepted messages could not be understood"
        remedy = "`tocsin quarantine list` says why; mend the mapping, then `tocsin quarantine replay`"
        yield found(Grade.WARNING, "quarantine", f"{sizes['quarantined']} messages", says, remedy)
    else:
        yield ok("quarantine", "empty")
    unaccounted: list[object] = []
    with suppress(Unavailable):
        unaccounted = list(reading.unaccounted(database))
    if unaccounted:
        says = "Stored messages that neither wait nor stand in the audit trail or quarantine"
        yield found(Grade.ERROR, "unaccounted", len(unaccounted), says, "keep the database as it is, and report a bug")
