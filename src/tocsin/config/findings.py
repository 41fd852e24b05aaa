"""What is wrong or missing in mappings that read well: names that lead nowhere, routes never reached, orphans?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase

from pydantic import BaseModel, SecretStr

from tocsin.config.files import ENTRY_SECTIONS
from tocsin.config.mappings import Mappings
from tocsin.config.marks import Document, Finding, Level, Path, Step, field_name, read
from tocsin.config.routes import unreachable
from tocsin.config.shape import did_you_mean, fit
from tocsin.domain.catalog import Criticality, Entry
from tocsin.domain.errors import BadMapping
from tocsin.domain.policy import Destination
from tocsin.domain.subject import Subject

_SECTIONS = {kind: section for section, kind in ENTRY_SECTIONS.items()}


def check(mappings: Mappings) -> list[Finding]:
    """Every finding, errors first, each with its place and remedy. Imports the sources and connectors named."""
    places = _Places(mappings.files)
    found = [finding for look in _LOOKS for finding in look(mappings, places)]
    found += mappings.missing_secrets
    return sorted(found, key=lambda f: (f.level is not Level.ERROR, *f.place))


class _Places:
    """Finds the line of a field again from the text: values keep only where they begin."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files
        self._read: dict[str, Document] = {}

    def document(self, origin: str) -> Document:
        file = origin.rpartition(":")[0]
        if file not in self._read:
            self._read[file] = read(self._files[file], file)
        return self._read[file]

    def finding(
        self, origin: str, path: tuple[Step, ...], message: str, remedy: str, level: Level = Level.ERROR
    ) -> Finding:
        document = self.document(origin)
        where = document.where(path) if document.written(path) else origin
        return Finding(level=level, where=where, field=field_name(path), message=message, remedy=remedy)

    def of_policy(self, mappings: Mappings, path: tuple[Step, ...], message: str, remedy: str) -> Finding:
        """A finding about a field of `policies`, in whichever file it stands."""
        for file in sorted(mappings.files):
            if file.endswith(".yaml"):
                document = self.document(f"{file}:1")
                if document.written(path) == path:
                    return self.finding(f"{file}:1", path, message, remedy)
        first = min((file for file in mappings.files if file.endswith(".yaml")), default="mappings")
        return Finding(where=f"{first}:1", field=field_name(path), message=message, remedy=remedy)


Found = Iterator[Finding]


def _place_of(subject: Subject) -> Path:
    return (_SECTIONS[subject.kind], subject.name)


# --- who owns what ---


def _unknown_teams(mappings: Mappings, places: _Places) -> Found:
    teams = mappings.catalog.teams
    policy = mappings.policy

    def remedy(name: str) -> str:
        return did_you_mean(name, teams) or "add the team under teams"

    for subject, entry in mappings.catalog.entries.items():
        if entry.owner and entry.owner not in teams:
            path = (*_place_of(subject), "owner")
            yield places.finding(entry.origin, path, f"no team is named {entry.owner}", remedy(entry.owner))
    for name, team in teams.items():
        if team.escalates_to and team.escalates_to not in teams:
            path = ("teams", name, "escalates_to")
            yield places.finding(team.origin, path, f"no team is named {team.escalates_to}", remedy(team.escalates_to))
    for rule in policy.rules:
        if rule.team and rule.team not in teams:
            field = f"policies.routes.{rule.name}.team"
            message = f"no team is named {rule.team}"
            yield Finding(where=rule.origin, field=field, message=message, remedy=remedy(rule.team))
    for symptom, owner in policy.owners_by_symptom.items():
        if owner not in teams:
            path = ("policies", "owners_by_symptom", str(symptom))
            yield places.of_policy(mappings, path, f"no team is named {owner}", remedy(owner))


def _catch_all(mappings: Mappings, places: _Places) -> Found:
    name = mappings.catalog.catch_all
    path = ("policies", "catch_all")
    if not name:
        yield places.of_policy(mappings, path, "no team gets what nobody owns", "name one: catch_all: platform")
    elif name not in mappings.catalog.teams:
        remedy = did_you_mean(name, mappings.catalog.teams)
        yield places.of_policy(mappings, path, f"no team is named {name}", remedy)


def _orphans(mappings: Mappings, places: _Places) -> Found:
    for subject, entry in mappings.catalog.entries.items():
        if mappings.catalog.owner(subject) is not None:
            continue
        critical = entry.criticality is Criticality.CRITICAL
        message = "is critical and nobody owns it" if critical else "nobody owns it: its alerts go to the catch-all"
        level = Level.ERROR if critical else Level.WARNING
        remedy = "add owner: <team>, or a pattern to a team's owns"
        yield places.finding(entry.origin, _place_of(subject), message, remedy, level)


def _runbooks(mappings: Mappings, places: _Places) -> Found:
    for subject, entry in mappings.catalog.entries.items():
        path = (*_place_of(subject), "runbook")
        if entry.criticality is Criticality.CRITICAL and not entry.runbook:
            message, remedy = "is critical and has no runbook of its own", "add runbook: https://… or runbooks/x.md"
            yield places.finding(entry.origin, path[:-1], message, remedy, Level.WARNING)
        elif _is_gone(entry.runbook, mappings):
            yield places.finding(entry.origin, path, f"there is no file {entry.runbook}", "write it, or link to one")
    for symptom, runbook in mappings.policy.runbooks.items():
        if _is_gone(runbook, mappings):
            at = ("policies", "runbooks", str(symptom))
            yield places.of_policy(mappings, at, f"there is no file {runbook}", "write it, or link to one")


def _is_gone(runbook: str, mappings: Mappings) -> bool:
    return bool(runbook) and "://" not in runbook and runbook not in mappings.files


# --- what rests on what ---


def _dangling(mappings: Mappings, places: _Places) -> Found:
    entries = mappings.catalog.entries
    for subject, entry in entries.items():
        for at, upstream in enumerate(entry.depends_on):
            if upstream not in entries:
                path = (*_place_of(subject), *_step_of(entry, upstream, at))
                remedy = did_you_mean(upstream, _same_kind(upstream, entries)) or f"add it under {_section(upstream)}"
                yield places.finding(entry.origin, path, f"the catalogue has no {upstream}", remedy)
    for index, outage in enumerate(mappings.policy.outages):
        if mappings.catalog.resolve(outage.subject) not in entries:
            field = f"policies.outages[{index}].subject"
            message = f"the catalogue has no {outage.subject}"
            remedy = did_you_mean(outage.subject, _same_kind(outage.subject, entries))
            yield Finding(where=outage.origin, field=field, message=message, remedy=remedy)


def _step_of(entry: Entry, upstream: Subject, at: int) -> Path:
    """Where this dependency was written: in depends_on, or for a model among its features."""
    features = [s for s in entry.depends_on if s.kind == "feature"]
    if entry.model is not None and upstream in features:
        return ("features", features.index(upstream))
    return ("depends_on", at)


def _same_kind(subject: Subject, entries: Mapping[Subject, Entry]) -> list[str]:
    near = [other for other in entries if other.kind == subject.kind]
    return [str(other) for other in near] if did_you_mean(subject, near).startswith("did") else []


def _section(subject: Subject) -> str:
    return _SECTIONS.get(subject.kind, "services")


def _cycles(mappings: Mappings, places: _Places) -> Found:
    """Each cycle once, told at its first entry. A warning: services do call each other in circles."""
    entries = mappings.catalog.entries
    told: set[frozenset[Subject]] = set()
    for subject in sorted(_in_circles(entries)):
        way = _way_back(subject, entries)
        if way and frozenset(way) not in told:
            told.add(frozenset(way))
            message = f"depends on itself: {' → '.join([*way, subject])}"
            remedy = "remove the dependency that data does not follow"
            path = (*_place_of(subject), "depends_on")
            yield places.finding(entries[subject].origin, path, message, remedy, Level.WARNING)


def _in_circles(entries: Mapping[Subject, Entry]) -> set[Subject]:
    """What is left when everything that rests on nothing is taken away again and again: cycles, and what rests on
    them."""
    waits = {subject: {up for up in entry.depends_on if up in entries} for subject, entry in entries.items()}
    dependants: dict[Subject, list[Subject]] = {}
    for subject, upstream in waits.items():
        for up in upstream:
            dependants.setdefault(up, []).append(subject)
    free = [subject for subject, upstream in waits.items() if not upstream]
    for subject in free:
        for dependant in dependants.get(subject, ()):
            waits[dependant].discard(subject)
            if not waits[dependant]:
                free.append(dependant)
    return set(entries) - set(free)


def _way_back(start: Subject, entries: Mapping[Subject, Entry]) -> list[Subject]:
    """A shortest way from `start` upstream to itself, without its end; empty when there is none."""
    came_from: dict[Subject, Subject] = {}
    queue = [start]
    for at in queue:
        for upstream in entries[at].depends_on:
            if upstream == start:
                way = [at]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if upstream in entries and upstream not in came_from:
                came_from[upstream] = at
                queue.append(upstream)
    return []


def _aliases(mappings: Mappings, places: _Places) -> Found:
    claimed: dict[str, Subject] = {}
    for subject, entry in sorted(mappings.catalog.entries.items()):
        for at, alias in enumerate(entry.aliases):
            if alias in claimed:
                path = (*_place_of(subject), "aliases", at)
                message = f"{alias} is an alias of {claimed[alias]} already"
                yield places.finding(entry.origin, path, message, "keep one, or write it with its kind, kind:name")
            claimed.setdefault(alias, subject)


# --- routes, windows ---


def _routes(mappings: Mappings, places: _Places) -> Found:
    for rule, earlier in unreachable(mappings.policy.rules):
        message = f"is never reached: {earlier.name} ({earlier.origin}) takes all of it"
        remedy = f"move it before {earlier.name}, or delete it"
        yield Finding(where=rule.origin, field=f"policies.routes.{rule.name}", message=message, remedy=remedy)


def _ways_out(mappings: Mappings, places: _Places) -> Found:
    for rule in mappings.policy.rules:
        for name in rule.destinations:
            if name not in mappings.destinations:
                field = f"policies.routes.{rule.name}.destinations"
                yield Finding(where=rule.origin, field=field, message=_no_way(name), remedy=_ways(name, mappings))
    for want, names in mappings.policy.defaults.items():
        for at, name in enumerate(names):
            if name not in mappings.destinations:
                path = ("policies", "defaults", str(want), at)
                yield places.of_policy(mappings, path, _no_way(name), _ways(name, mappings))
    for team in mappings.catalog.teams.values():
        for name in team.destinations:
            if name not in mappings.destinations:
                at_team = ("teams", team.name, "destinations", name)
                yield places.finding(team.origin, at_team, _no_way(name), _ways(name, mappings))


def _no_way(name: str) -> str:
    return f"no destination is named {name}"


def _ways(name: str, mappings: Mappings) -> str:
    return did_you_mean(name, mappings.destinations) or "add it under connectors"


def _windows(mappings: Mappings, places: _Places) -> Found:
    for window in mappings.policy.windows:
        for at, pattern in enumerate(window.subjects):
            if not any(fnmatchcase(subject, pattern) for subject in mappings.catalog.entries):
                path = ("maintenance", window.name, "subjects", at)
                message = f"{pattern} covers nothing in the catalogue"
                yield places.finding(window.origin, path, message, "mend the pattern", Level.WARNING)


# --- senders and ways out ---


def _sources(mappings: Mappings, places: _Places) -> Found:
    from tocsin import sources  # noqa: PLC0415 the producers' modules take time to import

    for name, hook in mappings.hooks.items():
        try:
            sources.find(hook.source)
        except BadMapping:
            message, remedy = f"no source is named {hook.source}", did_you_mean(hook.source, sources.names())
            yield places.finding(hook.origin, ("hooks", name, "source"), message, remedy)
        if hook.unverified:
            message = "takes messages from anybody who knows the address"
            remedy = "give it a secret: {env: NAME} or {file: path}"
            yield places.finding(hook.origin, ("hooks", name, "unverified"), message, remedy, Level.WARNING)


def _samples(mappings: Mappings, places: _Places) -> Found:
    if not any(hook.samples for hook in mappings.hooks.values()):
        return
    from tocsin.config.samples import tried  # noqa: PLC0415 as above

    for hook, at, message, remedy in tried(mappings):
        yield places.finding(hook.origin, ("hooks", hook.name, "samples", at), message, remedy)


def _source_names(mappings: Mappings, places: _Places) -> Found:
    from tocsin import sources  # noqa: PLC0415 as above

    own = [hook.name for hook in mappings.hooks.values() if hook.reads]  # what they read goes by the hook's name
    known = (*sources.names(), *own, "tocsin")  # our own alerts have routes too
    for rule in mappings.policy.rules:
        for name in sorted(rule.when.sources - set(known)):
            field = f"policies.routes.{rule.name}.when.sources"
            remedy = did_you_mean(name, known)
            yield Finding(where=rule.origin, field=field, message=f"no source is named {name}", remedy=remedy)
    for name in mappings.policy.severities:
        if name != "*" and name not in known:
            path = ("policies", "severities", name)
            yield places.of_policy(mappings, path, f"no source is named {name}", did_you_mean(name, known))


def _desk_policies(mappings: Mappings, places: _Places) -> Found:
    kinds = {destination.kind for destination in mappings.destinations.values()}
    known = {"defaults", *mappings.destinations, *kinds}
    for policy in ("inbound", "closed_records"):
        for name in getattr(mappings.policy, policy):
            if name not in known:
                message = f"{name} is neither a destination nor its kind"
                yield places.of_policy(mappings, ("policies", policy, name), message, did_you_mean(name, known))


def _destinations(mappings: Mappings, places: _Places) -> Found:
    from tocsin import connectors  # noqa: PLC0415 each takes time to import

    for name, destination in mappings.destinations.items():
        try:
            config = connectors.find(destination.kind).Config
        except BadMapping:
            message = f"no connector is of kind {destination.kind}"
            remedy = did_you_mean(destination.kind, connectors.names())
            yield places.finding(destination.origin, ("connectors", name, "kind"), message, remedy)
            continue
        for finding in _options(destination, config, places):
            if not _for_want_of_a_secret(finding, name, mappings.missing_secrets):
                yield finding


def _for_want_of_a_secret(finding: Finding, name: str, missing: tuple[Finding, ...]) -> bool:
    """What is said of the whole destination, or of the very field, while a secret of it is not there."""
    fields = {m.field for m in missing if m.field.startswith(f"connectors.{name}.")}
    return bool(fields) and finding.field in fields | {f"connectors.{name}"}


def _options(destination: Destination, config: type[BaseModel], places: _Places) -> Found:
    path = ("connectors", destination.name)
    document = places.document(destination.origin)
    built, wrong = fit(
        config, dict(destination.options), document, path, offers=("kind", "mode", "max_new_per_hour", "poll_every")
    )
    yield from wrong
    if built is not None:
        for at in _bare_secrets(built, destination.options):
            message, remedy = "is a secret written in clear", "write {env: NAME} or {file: path}, and change the secret"
            yield places.finding(destination.origin, (*path, *at), message, remedy)


def _bare_secrets(built: object, written: object, at: Path = ()) -> Iterator[Path]:
    """Where the connector expects a secret and the file holds text."""
    if isinstance(built, SecretStr):
        if isinstance(written, str):
            yield at
    elif isinstance(built, BaseModel) and isinstance(written, Mapping):
        for name in built.model_fields_set:
            yield from _bare_secrets(getattr(built, name), written.get(name), (*at, name))
    elif isinstance(built, Mapping) and isinstance(written, Mapping):
        for name, value in built.items():
            yield from _bare_secrets(value, written.get(name), (*at, name))
    elif isinstance(built, (list, tuple)) and isinstance(written, list):
        for index, (value, text) in enumerate(zip(built, written, strict=False)):
            yield from _bare_secrets(value, text, (*at, index))


_LOOKS: tuple[Callable[[Mappings, _Places], Found], ...] = (
    _unknown_teams,
    _catch_all,
    _orphans,
    _runbooks,
    _dangling,
    _cycles,
    _aliases,
    _routes,
    _ways_out,
    _windows,
    _sources,
    _samples,
    _source_names,
    _desk_policies,
    _destinations,
)
