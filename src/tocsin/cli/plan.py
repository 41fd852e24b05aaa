"""What would change if these mappings became active: catalogue, owners, routes, hooks, destinations, open incidents?"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from tocsin.cli._terminal import echo_json, screen

if TYPE_CHECKING:
    from rich.console import Console

    from tocsin.bootstrap import App
    from tocsin.config.mappings import Mappings
    from tocsin.config.marks import Finding
    from tocsin.domain.catalog import Catalog
    from tocsin.domain.incident import Incident
    from tocsin.domain.policy import Policy

SECTION = "operate"
UNTOLD = ("origin", "secrets", "options")
"""Fields whose values are not shown: lines move, and secrets stay in."""
SHOWN = 40
"""Lines a section that people get to see; --json has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What differs between the active mappings and a candidate. Each section holds the names added and removed, and
    the names changed with their fields."""

    active_version: int
    digest: str
    same: bool
    findings: list[Finding]
    refused: list[str]
    """Why it cannot be applied, besides findings of level error."""
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    owners: list[dict[str, str]] = field(default_factory=list)
    incidents: list[dict[str, Any]] = field(default_factory=list)

    @property
    def errors(self) -> int:
        """How much stands in the way."""
        return len(self.refused) + sum(finding.level == "error" for finding in self.findings)


@click.command()
@click.argument(
    "directory", type=click.Path(path_type=Path), envvar="TOCSIN_MAPPINGS_DIR", default=Path("mappings"), required=False
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def plan(directory: Path, as_json: bool) -> None:
    """Show what applying DIRECTORY (default: $TOCSIN_MAPPINGS_DIR or ./mappings) would change; changes nothing.

    Exit status: 0 it can be applied, 1 it cannot, 2 it cannot be looked at.
    """
    from tocsin.cli._connected import connected

    with connected() as app:
        found = drawn_up(app, directory, now=app.database.now())
    if as_json:
        echo_json({**{f.name: getattr(found, f.name) for f in fields(found)}, "errors": found.errors})
    else:
        console = screen()
        show(found, console)
        if not (found.errors or found.same):
            old = f"version {found.active_version}" if found.active_version else "no version"
            console.print(f"\nNow {old} is active; `tocsin apply {directory}` makes this the active one.")
    raise SystemExit(1 if found.errors else 0)


def drawn_up(app: App, directory: Path, *, now: datetime) -> Plan:
    """The plan for a directory of mappings. Raises BadMapping when it cannot be read at all."""
    from tocsin.config.findings import check
    from tocsin.config.mappings import examined, texts
    from tocsin.store import mappings as versions
    from tocsin.store.mending import open_incidents

    candidate, findings = examined(texts(directory), env=os.environ, root=directory, secrets_optional=True)
    findings = findings or check(candidate)
    version = versions.active_version(app.database)
    if any(finding.level == "error" for finding in findings):
        return Plan(active_version=version, digest=candidate.digest, same=False, findings=findings, refused=[])
    active = app.active().mappings if version else _nothing()
    return Plan(
        active_version=version,
        digest=candidate.digest,
        same=active.digest == candidate.digest,
        findings=findings,
        refused=_orphaned(active, candidate, versions.open_record_destinations(app.database)),
        sections={name: diff for name, look in _SECTIONS.items() if (diff := _diff(look(active), look(candidate)))},
        owners=_owners(active, candidate),
        incidents=[
            moved
            for one in open_incidents(app.database)
            if (moved := _rerouted(one, app.lineage.seen_by(one, candidate.catalog), candidate.policy, now))
        ],
    )


def _nothing() -> Mappings:
    """Before the first version."""
    from tocsin.config.mappings import Mappings
    from tocsin.domain.catalog import Catalog
    from tocsin.domain.policy import Policy

    return Mappings(catalog=Catalog(), policy=Policy(), hooks={}, destinations={}, files={}, digest="")


# ---------------------------------------------------------------------------------------------------- what differs

_POLICY_SECTIONS = ("rules", "windows", "outages")
_SECTIONS: dict[str, Callable[[Mappings], Mapping[str, Any]]] = {
    "catalogue": lambda m: {str(subject): entry for subject, entry in m.catalog.entries.items()},
    "teams": lambda m: m.catalog.teams,
    "claims": lambda m: {f"{o.team}: {o.pattern} {' '.join(sorted(o.symptoms))}".strip(): o for o in m.catalog.owns},
    "hooks": lambda m: m.hooks,
    "destinations": lambda m: m.destinations,
    "routes": lambda m: {rule.name: (place, rule) for place, rule in enumerate(m.policy.rules, 1)},
    "maintenance": lambda m: {window.name: window for window in m.policy.windows},
    "outages": lambda m: {f"{o.subject} {o.starts_at:%Y-%m-%dT%H:%MZ}": o for o in m.policy.outages},
    "policies": lambda m: (
        {f.name: getattr(m.policy, f.name) for f in fields(m.policy) if f.name not in _POLICY_SECTIONS}
        | {"catch_all": m.catalog.catch_all}
    ),
}


def _diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Names added, removed, and changed with what changed; empty when nothing did."""
    changed = {
        name: moved for name in sorted(before) if name in after and (moved := _changed(before[name], after[name]))
    }
    found: dict[str, Any] = {
        "added": sorted(set(after) - set(before)),
        "removed": sorted(set(before) - set(after)),
        "changed": changed,
    }
    return found if any(found.values()) else {}


def _changed(before: Any, after: Any) -> dict[str, list[str]]:  # noqa: ANN401
    """Field → [before, after] in words; what must not be shown is told without its values."""
    if isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after) == 2:
        place = {"place": [str(before[0]), str(after[0])]} if before[0] != after[0] else {}
        return place | _changed(before[1], after[1])
    if not hasattr(before, "__dataclass_fields__"):
        return {"value": [_said(before), _said(after)]} if before != after else {}
    found = {}
    for each in fields(before):
        one, other = getattr(before, each.name), getattr(after, each.name)
        if one != other and each.name != "origin":
            found[each.name] = ["…", "changed"] if each.name in UNTOLD else [_said(one), _said(other)]
    return found


def _said(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_said(each)}" for name, each in value.items()) or "nothing"
    if isinstance(value, frozenset | set):
        return ", ".join(sorted(map(str, value))) or "nothing"
    if isinstance(value, tuple | list):
        return ", ".join(map(_said, value)) or "nothing"
    if hasattr(value, "__dataclass_fields__"):
        return _said({name: v for name, v in asdict(value).items() if v and name != "origin"})  # type: ignore[call-overload]
    return str(value) if value not in ("", None) else "nothing"


def _orphaned(active: Mappings, candidate: Mappings, open_records: Mapping[str, int]) -> list[str]:
    """Destinations that still hold open records and would be dropped or become another kind (design.md §2)."""
    found = []
    for name, count in sorted(open_records.items()):
        here, there = active.destinations.get(name), candidate.destinations.get(name)
        if there is None:
            what = "is dropped"
        elif here is not None and here.kind != there.kind:
            what = f"becomes {there.kind} instead of {here.kind}"
        else:
            continue
        remedy = "keep it with mode: off until they are resolved, and add the new one under another name"
        found.append(f"connectors.{name}: {what}, but holds {count} open records; {remedy}")
    return found


def _owners(active: Mappings, candidate: Mappings) -> list[dict[str, str]]:
    """Whose subjects change hands."""
    found = []
    for subject in sorted(set(active.catalog.entries) & set(candidate.catalog.entries)):
        before, after = active.catalog.owner(subject), candidate.catalog.owner(subject)
        one = before.team if before else active.catalog.catch_all
        other = after.team if after else candidate.catalog.catch_all
        if one != other:
            why = f"{after.why} ({after.where})" if after else "nobody owns it"
            found.append({"subject": subject, "before": one, "after": other, "because": why})
    return found


def _rerouted(incident: Incident, catalog: Catalog, policy: Policy, now: datetime) -> dict[str, Any]:
    """How an open incident's route would differ at its next decision; empty when it stays."""
    from tocsin.decide.route import route

    before = incident.routing
    if before is None or not incident.members:
        return {}
    after = route(incident, catalog, policy, now=now)
    pairs = {
        "asks_for": (before.want, after.want),
        "team": (before.ownership.team, after.ownership.team),
        "destinations": (before.destinations, after.destinations),
    }
    moved = {name: list(pair) for name, pair in pairs.items() if pair[0] != pair[1]}
    return {"incident": incident.display, **moved, "because": after.because, "rule": after.rule} if moved else {}


# ------------------------------------------------------------------------------------------------------ for people


def show(found: Plan, console: Console) -> None:
    """Print it, section by section."""
    for finding in found.findings:
        console.print(Text(f"{finding.level} {finding}", style="red" if finding.level == "error" else "yellow"))
    for refused in found.refused:
        console.print(Text(f"error {refused}", style="red"))
    if found.errors:
        console.print(Text(f"{found.errors} in the way: it cannot be applied", style="bold red"))
        return
    if found.same:
        console.print(f"Version {found.active_version} is active and says the same.", style="green")
        return
    for name, diff in found.sections.items():
        _print_section(console, name, list(_diff_lines(diff)))
    owners = [f"~ {o['subject']}: {o['before']} → {o['after']} ({o['because']})" for o in found.owners]
    _print_section(console, "owners", owners)
    _print_section(console, "open incidents, at their next decision", [_incident_line(i) for i in found.incidents])


def _diff_lines(diff: dict[str, Any]) -> Iterator[str]:
    yield from (f"+ {name}" for name in diff["added"])
    yield from (f"- {name}" for name in diff["removed"])
    for name, changed in diff["changed"].items():
        told = "; ".join(f"{each}: {before} → {after}" for each, (before, after) in changed.items())
        yield f"~ {name}: {told}"


def _incident_line(moved: dict[str, Any]) -> str:
    told = [
        f"{name.replace('_', ' ')}: {_said(moved[name][0])} → {_said(moved[name][1])}"
        for name in ("asks_for", "team", "destinations")
        if name in moved
    ]
    return f"~ {moved['incident']}: {'; '.join(told)} ({moved['because']})"


def _print_section(console: Console, name: str, lines: list[str]) -> None:
    if not lines:
        return
    console.print(Text(f"\n{name}", style="bold"))
    for line in lines[:SHOWN]:
        console.print(Text(f"  {line}", style={"+": "green", "-": "red"}.get(line[0], "yellow")))
    if len(lines) > SHOWN:
        console.print(f"  … and {len(lines) - SHOWN} more (--json shows all)")
