"""What files say as the domain's values, each with the `file:line` that says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import translate
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, SecretStr

from tocsin.config.files import ENTRY_SECTIONS, ConnectorIn, EntryIn, HookIn, ModelIn, TeamIn, WindowIn
from tocsin.config.gathered import Gathered, Placed, merged
from tocsin.config.marks import Finding
from tocsin.config.marks import Path as Place
from tocsin.config.secret import EnvSecret, FileSecret, NoSecret, reference, resolve
from tocsin.domain.catalog import Catalog, Entry, ModelCard, Owns, Team
from tocsin.domain.message import Hook
from tocsin.domain.policy import (
    ClosedRecord,
    Condition,
    Destination,
    Flapping,
    Inbound,
    Outage,
    Policy,
    Redaction,
    Retention,
    Rule,
    Want,
)
from tocsin.domain.policy import Window as MaintenanceWindow
from tocsin.domain.subject import Subject

M = TypeVar("M", bound=BaseModel)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(slots=True, kw_only=True)
class Secrets:
    """Resolves references and remembers, as findings, which are not there."""

    env: Mapping[str, str]
    root: Path
    missing: list[Finding] = field(default_factory=list)

    def value(self, ref: EnvSecret | FileSecret, placed: Placed[BaseModel], at: Place) -> str:
        """The secret; empty, and a finding kept, when it is not there."""
        try:
            return resolve(ref, env=self.env, root=self.root)
        except NoSecret as gone:
            remedy = "set it where Tocsin runs" if isinstance(ref, EnvSecret) else "write the file, mode 0600"
            self.missing.append(placed.finding(str(gone), remedy, at=at))
            return ""


def _all(found: Gathered, section: str, kind: type[M]) -> dict[str, Placed[M]]:
    chosen: dict[str, Placed[M]] = {}
    for name, placed in sorted(found.sections.get(section, {}).items()):
        assert isinstance(placed.value, kind)
        chosen[name] = Placed(value=placed.value, document=placed.document, path=placed.path)
    return chosen


# --- the catalogue ---


def catalog(found: Gathered) -> Catalog:
    """Entries, teams and claims."""
    entries: dict[Subject, Entry] = {}
    for section, kind in ENTRY_SECTIONS.items():
        for name, placed in _all(found, section, EntryIn).items():
            subject = Subject.of(kind, name)
            entries[subject] = _entry(subject, placed)
    teams = _all(found, "teams", TeamIn)
    return Catalog(
        entries=entries,
        teams={name: _team(name, placed) for name, placed in teams.items()},
        owns=tuple(claim for name, placed in teams.items() for claim in _claims(name, placed)),
        catch_all=merged(found).catch_all,
    )


def _entry(subject: Subject, placed: Placed[EntryIn]) -> Entry:
    said = placed.value
    features = said.features if isinstance(said, ModelIn) else []
    upstream = [*said.depends_on, *(Subject.of("feature", name) for name in features)]
    return Entry(
        subject=subject,
        owner=said.owner,
        depends_on=tuple(dict.fromkeys(upstream)),
        aliases=tuple(said.aliases),
        criticality=said.criticality,
        risk=said.risk,
        runbook=said.runbook,
        kpi=said.kpi,
        contract=said.contract,
        business_service=said.business_service,
        ci=said.ci,
        description=said.description,
        monitored=said.monitored,
        model=_card(said) if isinstance(said, ModelIn) else None,
        links=said.links,
        origin=placed.where,
    )


def _card(said: ModelIn) -> ModelCard:
    return ModelCard(
        version=said.version,
        previous_version=said.previous_version,
        training_snapshot=said.training_snapshot,
        feature_schema_version=said.feature_schema_version,
        rollback=said.rollback,
    )


def _team(name: str, placed: Placed[TeamIn]) -> Team:
    said = placed.value
    return Team(
        name=name,
        title=said.title or name,
        destinations=said.destinations,
        escalates_to=said.escalates_to,
        timezone=said.business_hours.timezone,
        business_hours=(said.business_hours.opens, said.business_hours.closes),
        business_days=tuple(sorted({_DAYS.index(day) for day in said.business_hours.days})),
        origin=placed.where,
    )


def _claims(team: str, placed: Placed[TeamIn]) -> list[Owns]:
    return [
        Owns(
            pattern=claim.pattern,
            team=team,
            symptoms=claim.symptoms,
            origin=placed.document.where((*placed.path, "owns", at)),
        )
        for at, claim in enumerate(placed.value.owns)
    ]


# --- in and out ---


def hooks(found: Gathered, secrets: Secrets) -> dict[str, Hook]:
    """The inbound addresses with their secrets."""
    return {name: _hook(name, placed, secrets) for name, placed in _all(found, "hooks", HookIn).items()}


def _hook(name: str, placed: Placed[HookIn], secrets: Secrets) -> Hook:
    said = placed.value
    values = [secrets.value(said.secret, placed, ("secret",))] if said.secret else []
    values += [secrets.value(ref, placed, ("secrets", at)) for at, ref in enumerate(said.secrets)]
    return Hook(
        name=name,
        source=said.source,
        environment=said.environment,
        secrets=tuple(value for value in values if value),
        unverified=said.unverified,
        defaults=said.defaults,
        reads=said.reads.plain() if said.reads else None,
        samples=tuple(said.samples),
        origin=placed.where,
    )


def destinations(found: Gathered, secrets: Secrets) -> dict[str, Destination]:
    """The ways out; secrets inside options are wrapped in SecretStr."""
    return {
        name: Destination(
            name=name,
            kind=placed.value.kind,
            mode=placed.value.mode,
            options=_options(placed, secrets),
            max_new_per_hour=placed.value.max_new_per_hour,
            poll_every=placed.value.poll_every,
            origin=placed.where,
        )
        for name, placed in _all(found, "connectors", ConnectorIn).items()
    }


def _options(placed: Placed[ConnectorIn], secrets: Secrets) -> dict[str, object]:
    """The connector's own options; what they refer to is wrapped, whether or not it is a secret: that is the
    connector's Config to say, and reading mappings must not need every vendor's client."""
    return {key: _unlocked(value, placed, secrets, (key,)) for key, value in (placed.value.model_extra or {}).items()}


def _unlocked(value: object, placed: Placed[ConnectorIn], secrets: Secrets, at: Place) -> object:
    ref = reference(value)
    if ref is not None:
        return SecretStr(secrets.value(ref, placed, at))
    if isinstance(value, dict):
        return {key: _unlocked(item, placed, secrets, (*at, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_unlocked(item, placed, secrets, (*at, index)) for index, item in enumerate(value)]
    return value


# --- policies ---


def policy(found: Gathered) -> Policy:
    """Everything that deciding asks."""
    said = merged(found)
    return Policy(
        rules=_rules(found),
        defaults={Want(want): tuple(names) for want, names in said.defaults.items()},
        persistence=said.persistence,
        persistence_subjects=said.persistence_subjects,
        drift=said.drift.plain(),
        flapping=Flapping(opens=said.flapping.opens, within=said.flapping.within, quiet=said.flapping.quiet),
        windows=tuple(_window(name, placed) for name, placed in _all(found, "maintenance", WindowIn).items()),
        outages=_outages(found),
        severities=said.severities,
        owners_by_symptom=said.owners_by_symptom,
        runbooks=said.runbooks,
        redaction=Redaction(keys=tuple(said.redaction.keys), patterns=said.redaction.patterns),
        retention=Retention(raw=said.retention.raw, audit=said.retention.audit, attempts=said.retention.attempts),
        reopen_within=said.reopen_within,
        notes_every=said.notes_every,
        inbound={name: Inbound(**fields) for name, fields in _by_name(said.inbound).items()},
        closed_records={name: ClosedRecord(**fields) for name, fields in _by_name(said.closed_records).items()},
    )


def _by_name(said: Mapping[str, BaseModel]) -> dict[str, dict[str, Any]]:
    """Fields per destination or kind, each filled up from `defaults`."""
    defaults = said.get("defaults")
    common = _written(defaults) if defaults else {}
    return {name: common | _written(each) for name, each in said.items()}


def _written(said: BaseModel) -> dict[str, Any]:
    return {name: getattr(said, name) for name in said.model_fields_set}


def _rules(found: Gathered) -> tuple[Rule, ...]:
    """The routes of all files, in the order of paths; a name that stands twice is a finding."""
    rules: dict[str, Rule] = {}
    for part in found.policies.get("routes", []):
        assert isinstance(part.value, list)
        for at, route in enumerate(part.value):
            where = part.document.where((*part.path, at))
            if route.name in rules:
                first = rules[route.name].origin
                message = f"a route named {route.name} stands already at {first}"
                found.findings.append(part.finding(message, "give it a name of its own", at=(at, "name")))
            rules[route.name] = Rule(
                name=route.name,
                want=route.want,
                when=Condition(**{**dict(route.when), "subjects": tuple(route.when.subjects)}),
                team=route.team,
                destinations=tuple(route.destinations),
                origin=where,
            )
    return tuple(rules.values())


def _outages(found: Gathered) -> tuple[Outage, ...]:
    outages = []
    for part in found.policies.get("outages", []):
        assert isinstance(part.value, list)
        outages += [
            Outage(
                subject=said.subject,
                starts_at=said.starts_at.astimezone(UTC),
                ends_at=said.ends_at.astimezone(UTC) if said.ends_at else None,
                ticket=said.ticket,
                note=said.note,
                origin=part.document.where((*part.path, at)),
            )
            for at, said in enumerate(part.value)
        ]
    return tuple(outages)


def _window(name: str, placed: Placed[WindowIn]) -> MaintenanceWindow:
    said = placed.value
    return MaintenanceWindow(
        name=name,
        subjects=tuple(said.subjects),
        starts_at=_moment(said.starts_at, said.timezone),
        duration=said.duration,
        timezone=said.timezone,
        rrule=said.rrule or "",
        environments=said.environments,
        symptoms=said.symptoms,
        include_dependants=said.include_dependants,
        ticket=said.ticket,
        origin=placed.where,
    )


def _moment(at: datetime, timezone: str) -> datetime:
    return (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(timezone))).astimezone(UTC)


# --- ties ---


def ties(known: Catalog) -> list[Finding]:
    """Claims of equal rank by two teams to one thing: the same pattern, or patterns that meet in a catalogue entry."""
    reach = {claim.pattern: _matched(claim.pattern, known) for claim in known.owns}
    found: dict[tuple[str, str], Finding] = {}
    for one, other in combinations(known.owns, 2):
        shared = _shared(one, other, known, reach) if one.team != other.team and _rank_alike(one, other) else ""
        if shared:
            message = f"{one.team} ({one.pattern}, {one.origin}) and {other.team} ({other.pattern}) both own {shared}"
            finding = Finding(
                where=other.origin,
                field=f"teams.{other.team}.owns",
                message=message,
                remedy="make one pattern longer or give the entry an owner",
            )
            found.setdefault((one.origin, other.origin), finding)
    return list(found.values())


def _matched(pattern: str, known: Catalog) -> frozenset[Subject]:
    matches = re.compile(translate(pattern)).match
    return frozenset(subject for subject in known.entries if matches(subject))


def _rank_alike(one: Owns, other: Owns) -> bool:
    """As Catalog.owner ranks: claims for symptoms, exactness, length."""
    same_shape = ("*" in one.pattern) == ("*" in other.pattern) and len(one.pattern) == len(other.pattern)
    both_for_all = not one.symptoms and not other.symptoms
    return same_shape and (both_for_all or bool(one.symptoms & other.symptoms))


def _shared(one: Owns, other: Owns, known: Catalog, reach: Mapping[str, frozenset[Subject]]) -> str:
    """The pattern, when it is the same, or the first entry where both decide."""
    if one.pattern == other.pattern:
        return one.pattern
    symptom = min(one.symptoms & other.symptoms, default=None)
    for subject in sorted(reach[one.pattern] & reach[other.pattern]):
        deciding = known.owner(subject, symptom)
        if deciding and deciding.where in (one.origin, other.origin):
            return subject
    return ""
