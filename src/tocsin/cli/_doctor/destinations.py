"""Is each destination ready: what the mappings will ask of it, how it stands here, and what the vendor shows?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from tocsin.cli._doctor.itself import found, ok
from tocsin.domain.policy import Destination, Mode
from tocsin.domain.seen import Finding, Grade, Inspection

if TYPE_CHECKING:
    from tocsin.config.mappings import Mappings

PROBES = {
    "servicenow": (
        "create one incident in the group {place!r}, look at it, and cancel it again. The group's members may be told",
        "assignment_group",
        "default_assignment_group",
    ),
    "jira": (
        "create one issue in the project {place!r}, look at it, and delete or close it. Watchers may be told",
        "project",
        "project",
    ),
    "pagerduty": (
        "send one change event under the routing key {place!r}. Nobody is paged; it shows there for 90 days",
        "routing_key",
        "",
    ),
}
"""Kind → what a probe does, the address field that names its place, and the connector's setting that does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """One destination with all that looking at it takes."""

    destination: Destination
    inspection: Inspection
    signed: bool
    """Are all hooks for its vendor signed?"""
    used: bool
    """Does any route or default lead there?"""
    missing: tuple[str, ...] = ()
    """Secrets that are not there."""

    @property
    def name(self) -> str:
        return self.destination.name


def patients(mappings: Mappings, *, now: datetime, public_url: str) -> list[Patient]:
    """Every destination of these mappings, by name."""
    return [
        _patient(mappings, destination, now=now, public_url=public_url)
        for _, destination in sorted(mappings.destinations.items())
    ]


def _patient(mappings: Mappings, destination: Destination, *, now: datetime, public_url: str) -> Patient:
    name, kind = destination.name, destination.kind
    policy, catalog = mappings.policy, mappings.catalog
    by_default = any(name in names for names in policy.defaults.values())
    named = {rule.team for rule in policy.rules if name in rule.destinations}
    addresses = {team: catalog.address(team, name, kind) for team in catalog.teams}
    everybody = by_default or "" in named
    ours = [hook for hook in mappings.hooks.values() if hook.source == kind]
    entries = catalog.entries.values()
    return Patient(
        destination=destination,
        signed=not any(hook.unverified for hook in ours),
        used=everybody or bool(named),
        missing=tuple(
            str(finding) for finding in mappings.missing_secrets if finding.field.startswith(f"connectors.{name}.")
        ),
        inspection=Inspection(
            addresses={team: said for team, said in addresses.items() if said or everybody or team in named},
            cis=tuple(dict.fromkeys(entry.ci or entry.subject.name for entry in entries)),
            business_services=tuple(dict.fromkeys(e.business_service for e in entries if e.business_service)),
            origins={
                **{f"team:{team.name}": team.origin for team in catalog.teams.values() if team.origin},
                **{f"ci:{e.ci}": e.origin for e in entries if e.ci},
                **{f"business_service:{e.business_service}": e.origin for e in entries if e.business_service},
            },
            hooks=tuple(f"{public_url}/hooks/{hook.name}" for hook in ours),
            now=now,
        ),
    )


def allowed_to_write(patient: Patient, place: str) -> Patient:
    """The same, with a probe at this group, project or routing key."""
    return replace(patient, inspection=replace(patient.inspection, probe_group=place))


def place_of(patient: Patient) -> str:
    """Where a probe goes unless somebody says otherwise: the connector's own default, else the first team's, else what
    teams without an address of their own get."""
    _, field, setting = PROBES.get(patient.destination.kind, ("", "", ""))
    own = patient.destination.text(setting) if setting else ""
    given = [address[field] for _, address in sorted(patient.inspection.addresses.items()) if address.get(field)]
    last = "default_routing_key" if field == "routing_key" and patient.destination.text("default_routing_key") else ""
    return str(own or (given[0] if given else last))


# --- how it stands here ---


def standing(patient: Patient, row: Mapping[str, Any]) -> Iterator[Finding]:
    """What this installation knows of the destination: mode, pause, circuit, dead letters, polling. `row` is its line
    of store.destinations.overview with that of store.health.looks; empty where it has none yet."""
    yield from _mode(patient)
    yield _way_back(patient)
    if row.get("paused_at"):
        says = f"Paused by {row['paused_by']} at {row['paused_at']:%Y-%m-%d %H:%MZ}" + (
            f": {row['paused_why']}" if row.get("paused_why") else ""
        )
        waiting = f"{row['waiting']} records wait"
        yield found(Grade.WARNING, "paused", waiting, says, f"`tocsin resume {patient.name}` when it may send again")
    if row.get("open_since"):
        says = (
            f"The circuit is open since {row['open_since']:%Y-%m-%d %H:%MZ}: {row['rests_why']} {row['rests_detail']}"
        )
        yield found(Grade.ERROR, "circuit", f"{row['waiting']} records wait", says, "mend what the vendor says here")
    if row.get("dead"):
        remedy = f"`tocsin deadletters list --destination {patient.name}` says why; then `… replay`"
        yield found(Grade.ERROR, "dead_letters", row["dead"], "Records were given up and need a person", remedy)
    elif row:
        yield ok("dead_letters", "none")
    yield from _looks(row)


def _looks(row: Mapping[str, Any]) -> Iterator[Finding]:
    """What polling and reconciliation came to."""
    asked = {
        "poll_failed": ("polling", "What people do there is not learned just now"),
        "survey_failed": ("reconciliation", "Records there are not compared just now"),
    }
    for column, (check, says) in asked.items():
        if row.get(column):
            yield found(Grade.WARNING, check, row[column], says, "see the findings about credentials and reading")
    if row.get("discrepancies"):
        says = "Records that drifted, vanished, stand twice, or that this database does not know"
        remedy = "read the audit trail: `tocsin tail`; mend them at the vendor"
        yield found(Grade.WARNING, "discrepancies", row["discrepancies"], says, remedy)


def _mode(patient: Patient) -> Iterator[Finding]:
    mode = patient.destination.mode
    if not patient.used:
        remedy = "name it in a route or in policies.defaults, or remove it"
        yield found(Grade.NOTE, "routes", "none", "No route and no default leads here", remedy)
    if mode is Mode.LIVE:
        yield ok("mode", mode)
    else:
        says = "Calls are only recorded for review" if mode is Mode.SHADOW else "Nothing is sent"
        yield found(Grade.NOTE, "mode", mode, says, "set mode: live when you trust it")


def _way_back(patient: Patient) -> Finding:
    """How Tocsin learns what people do there."""
    from tocsin.connectors import find

    kind, hooks = patient.destination.kind, patient.inspection.hooks
    if hooks and not patient.signed:
        remedy = "give the hook a secret, and the vendor the same one"
        return found(Grade.WARNING, "hook", ", ".join(hooks), "Takes messages from anybody: unverified", remedy)
    if hooks:
        return ok("hook", ", ".join(hooks), "Signed")
    every = patient.destination.poll_every
    if find(kind).poll is not None and every:
        return ok("hook", "none", f"Asked every {every.total_seconds():g} s instead")
    if kind == "console":
        return ok("hook", "none")
    remedy = f"`tocsin hooks add {kind}` makes a signed one and prints what to paste there"
    return found(Grade.NOTE, "hook", "none", "What people do there is not learned", remedy)


# --- what the vendor shows ---


def inspected(patient: Patient, redact: Any) -> Iterator[Finding]:  # noqa: ANN401  a function of texts
    """What the connector finds out, as it goes. `redact` cleans the vendor's words."""
    from tocsin.connectors import find, open_http

    destination = patient.destination
    for missing in patient.missing:
        yield found(Grade.ERROR, "secret", "missing", missing, "set it where Tocsin runs, and where doctor does")
    if patient.missing:
        return
    connector = find(destination.kind)
    try:
        config = connector.Config(**destination.options)
    except ValidationError as wrong:
        for each in wrong.errors(include_input=False, include_url=False):
            place = ".".join(map(str, each["loc"])) or destination.name
            yield found(Grade.ERROR, "config", place, each["msg"], "`tocsin check` names the line")
        return
    if connector.inspect is None:
        yield found(Grade.NOTE, "inspect", "", f"Nothing can be looked at for kind {destination.kind}")
        return
    try:
        asked = replace(patient.inspection, now=datetime.now(UTC))  # others may have been looked at before
        yield from connector.inspect(config, asked, open_http(config, redact=redact))
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as odd:
        says = (
            f"The vendor answered in a form that we do not know ({type(odd).__name__}): what follows was not looked at"
        )
        yield found(Grade.ERROR, "answer", type(odd).__name__, says, "report it with the vendor's release")
