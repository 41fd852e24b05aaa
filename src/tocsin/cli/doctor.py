"""Will tickets and pages go out at 3 a.m.? Looks at this installation and at every destination, read-only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from sqlalchemy.exc import ProgrammingError

from tocsin.cli._terminal import echo_json, progress_screen, screen
from tocsin.domain.errors import BadSetting, Unavailable

if TYPE_CHECKING:
    from tocsin.cli._doctor.destinations import Patient
    from tocsin.config.mappings import Mappings
    from tocsin.config.settings import Settings
    from tocsin.domain.seen import Finding
    from tocsin.store import Database

SECTION = "operate"
ITSELF = "tocsin"
AT_ONCE = 8
EXIT = {"ok": 0, "note": 0, "warning": 1, "error": 2}

Findings = dict[str, list["Finding"]]


@click.command()
@click.argument("names", metavar="[DESTINATION]…", nargs=-1)
@click.option(
    "--mappings",
    "directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Look with the mappings of this directory instead of the active ones: before `tocsin apply`.",
)
@click.option("--probe-write", is_flag=True, help="Also write one record to each and take it back; asks first.")
@click.option("--probe-at", metavar="NAME", default="", help="Group, project or routing key for the probe.")
@click.option("--yes", is_flag=True, help="Do not ask before a probe: for scripts.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor(
    *, names: tuple[str, ...], directory: Path | None, probe_write: bool, probe_at: str, yes: bool, as_json: bool
) -> None:
    """Check Tocsin itself and each DESTINATION (default: all): credentials, rights, names, required fields, clocks.

    Only reads, unless --probe-write. Exit status: 0 nothing to mend, 1 warnings, 2 errors, or it cannot be looked at.
    """
    from tocsin.cli._doctor.itself import itself
    from tocsin.cli._doctor.shown import show, summed_up, worst
    from tocsin.config.settings import Settings

    settings = Settings()
    with _opened(settings) as database:
        mappings, version = _mappings(settings, database, directory)
        chosen = _chosen(mappings, names, settings.public_url)
        if probe_write:
            chosen = [_asked(patient, probe_at, yes=yes) for patient in chosen]
        parts: Findings = {} if names else {ITSELF: [*itself(settings, database), *_of_mappings(mappings, version)]}
        parts |= _looked_at(chosen, mappings, _standings(database), quiet=as_json)
    every = [finding for found in parts.values() for finding in found]
    if as_json:
        echo_json(_answer(parts, worst(every)))
    else:
        show(screen(), parts)
        screen().print()
        screen().print(summed_up(parts))
    raise SystemExit(EXIT[worst(every)])


def _answer(parts: Findings, worst: str) -> dict[str, Any]:
    findings = [
        {
            "part": part,
            "grade": str(one.grade),
            "check": one.check,
            "value": one.value,
            "says": one.says,
            "remedy": one.remedy,
        }
        for part, found in parts.items()
        for one in found
    ]
    return {"worst": str(worst), "findings": findings}


# --- what to look with ---


@contextmanager
def _opened(settings: Settings) -> Iterator[Database | None]:
    """The database that settings name; None where they name none."""
    from tocsin.store import Database

    database = Database(settings.database_url, pool_size=2) if settings.database_url else None
    try:
        yield database
    finally:
        if database is not None:
            database.close()


def _mappings(settings: Settings, database: Database | None, directory: Path | None) -> tuple[Mappings, int]:
    """The mappings to look with and their version: those of `directory` (0), the active ones, or else the files where
    Tocsin would look (0). A secret that is missing here becomes a finding, not an end."""
    import os

    from tocsin.config.mappings import load, loads
    from tocsin.store import mappings as versions

    version = 0
    if directory is None and database is not None:
        # A database that is away or empty is told by its own findings; the files still say much.
        with suppress(Unavailable, ProgrammingError):
            version = versions.active_version(database)
    if version and database is not None:
        files = versions.stored(database, version).files
        return loads(files, env=os.environ, root=settings.mappings_dir, secrets_optional=True), version
    return load(directory or settings.mappings_dir, env=os.environ, secrets_optional=True), version


def _of_mappings(mappings: Mappings, version: int) -> Iterator[Finding]:
    """Are they sound, and are they the active ones?"""
    from tocsin.config.findings import check
    from tocsin.domain.seen import Finding, Grade

    errors = [finding for finding in check(mappings) if finding.level == "error"]
    said = f"version {version}" if version else "files, not applied"
    if errors:
        says = f"{len(errors)} errors, the first: {errors[0]}"
        remedy = "`tocsin check` lists them all"
        yield Finding(grade=Grade.ERROR, check="mappings", value=said, says=says, remedy=remedy)
    else:
        yield Finding(grade=Grade.OK if version else Grade.NOTE, check="mappings", value=said)
    missing = [str(finding) for finding in mappings.missing_secrets]
    if missing:
        says = f"Not there for this process, the first: {missing[0]}"
        remedy = "set them where Tocsin runs; run doctor there too"
        yield Finding(grade=Grade.WARNING, check="secrets", value=f"{len(missing)} missing", says=says, remedy=remedy)


def _chosen(mappings: Mappings, names: Sequence[str], public_url: str) -> list[Patient]:
    """The destinations asked for. Raises BadSetting for a name that there is not."""
    from tocsin.cli._doctor.destinations import patients

    known = patients(mappings, now=datetime.now(UTC), public_url=public_url)
    unknown = sorted(set(names) - {patient.name for patient in known})
    if unknown:
        there = ", ".join(patient.name for patient in known) or "none"
        raise BadSetting(f"no destination is named {unknown[0]}; there are: {there}")
    return [patient for patient in known if patient.name in names or not names]


def _asked(patient: Patient, place: str, *, yes: bool) -> Patient:
    """The same patient, allowed to be written to when the person says so."""
    from tocsin.cli._doctor.destinations import PROBES, allowed_to_write, place_of

    words = PROBES.get(patient.destination.kind)
    place = place or place_of(patient)
    if words is None or patient.missing:
        return patient
    if not place:
        raise BadSetting(f"{patient.name}: no group, project or routing key to probe is known; give --probe-at")
    address = patient.destination.text("url")
    what = f"{patient.name}{f' ({address})' if address else ''}: {words[0].format(place=place)}."
    if yes or click.confirm(f"{what} Go on?", err=True):
        return allowed_to_write(patient, place)
    return patient


def _standings(database: Database | None) -> Mapping[str, Mapping[str, Any]]:
    """How each destination stands here, as far as the database can be asked."""
    from tocsin.store import destinations, health

    if database is None:
        return {}
    try:
        looks = health.looks(database)
        return {row["name"]: {**row, **looks.get(row["name"], {})} for row in destinations.overview(database)}
    except (Unavailable, ProgrammingError):
        return {}


# --- the looking itself ---


def _looked_at(
    chosen: Sequence[Patient], mappings: Mappings, standings: Mapping[str, Mapping[str, Any]], *, quiet: bool
) -> Findings:
    """All findings by destination, several destinations at a time, with progress on standard error."""
    from tocsin.cli._doctor.destinations import inspected, standing
    from tocsin.decide.redact import Redactor

    redact = Redactor(mappings.policy.redaction).text
    parts: Findings = {patient.name: [*standing(patient, standings.get(patient.name, {}))] for patient in chosen}

    def look(patient: Patient, tell: Callable[[str], None]) -> None:
        if patient.destination.mode == "off":
            return
        for finding in inspected(patient, redact):
            parts[patient.name].append(finding)
            tell(f"{patient.name}: {finding.check}")

    with (
        progress_screen().status("Looking …") if not quiet else nullcontext() as status,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        tell = status.update if status is not None else _untold
        for future in [pool.submit(look, patient, tell) for patient in chosen]:
            future.result()
    return parts


def _untold(_words: str) -> None:
    """Nobody watches."""
