"""A catalogue kept elsewhere (a CSV export, Backstage) as a mapping file, the same every time it is read.

What is written by hand wins over what is imported, field by field.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tocsin.config.files import ENTRY_SECTIONS
from tocsin.config.marks import Unreadable, documents
from tocsin.domain.errors import BadMapping

CSV_COLUMNS = {
    "kind": "service, model, feature, dataset, job, host, queue, provider or team",
    "name": "its name",
    "owner": "name of the team",
    "depends_on": "kind:name, several separated by blanks, commas or semicolons",
    "criticality": "critical, high, medium or low",
    "risk": "high, medium or low",
    "business_service": "as the service desk names it",
    "ci": "name of the configuration item",
    "kpi": "the business figure that suffers",
    "contract": "the promise at stake",
    "runbook": "https address",
    "description": "a sentence",
    "aliases": "other names, separated by commas or semicolons",
}
"""The columns of a CSV file; kind and name are needed, the order is free."""

_SECTION = {kind: section for section, kind in ENTRY_SECTIONS.items()} | {"team": "teams"}
_LISTS = {"depends_on": r"[\s,;]+", "aliases": r"\s*[,;]\s*"}
_RESOURCE_KINDS = {
    "database": "host",
    "host": "host",
    "vm": "host",
    "queue": "queue",
    "topic": "queue",
    "kafka-topic": "queue",
    "dataset": "dataset",
    "table": "dataset",
    "s3-bucket": "dataset",
    "feature": "feature",
    "ml-model": "model",
    "model": "model",
}
_COMPONENT_KINDS = {"data-pipeline": "job", "pipeline": "job", "job": "job", "ml-model": "model", "model": "model"}

Fields = dict[str, object]


@dataclass(slots=True, kw_only=True)
class Imported:
    """What was read: section → name → fields, and per entry where it came from."""

    sections: dict[str, dict[str, Fields]] = field(default_factory=dict)
    origins: dict[tuple[str, str], str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    """What is not for us, with the reason."""

    def add(self, section: str, name: str, fields: Mapping[str, object], origin: str) -> None:
        """Take one entry in. Raises BadMapping when it was there already."""
        if (section, name) in self.origins:
            raise BadMapping([f"{origin}: {section}.{name} stands already at {self.origins[section, name]}; keep one"])
        kept = {key: value for key, value in sorted(fields.items()) if value not in ("", [], None)}
        self.sections.setdefault(section, {})[name] = kept
        self.origins[section, name] = origin

    @property
    def owners(self) -> set[str]:
        entries = (
            fields for section, named in self.sections.items() if section != "teams" for fields in named.values()
        )
        return {str(fields["owner"]) for fields in entries if "owner" in fields}

    def text(self, title: str) -> str:
        """The mapping file: sorted, so that the same input gives the same text, with each entry's origin."""
        lines = [
            "# yaml-language-server: $schema=../schema/tocsin.schema.json",
            f"# Generated from {title} by `tocsin catalog import`; do not edit: what stands elsewhere by hand wins.",
        ]
        for section in sorted(self.sections):
            lines.append(f"{section}:")
            for name in sorted(self.sections[section]):
                lines += _entry_lines(name, self.sections[section][name], self.origins[section, name])
        return "\n".join(lines) + "\n"


def _entry_lines(name: str, fields: Fields, origin: str) -> Iterator[str]:
    yield f"  {_quoted(name)}:{'' if fields else ' {}'} # {origin}"
    for key, value in fields.items():
        yield f"    {key}: {_flow(value)}"


def _flow(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_quoted(str(item)) for item in value)}]"
    return _quoted(str(value))


_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)?")
_NOT_TEXT = frozenset(["null", "true", "false", "yes", "no", "on", "off", "y", "n"])
"""Words that YAML 1.1 reads as something else."""


def _quoted(text: str) -> str:
    """Plain where nothing can misread it, else in JSON's quotes, which are YAML's too."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT else json.dumps(text)


# --- CSV ---


def from_csv(text: str, file: str) -> Imported:
    """The catalogue of a CSV file with a header (CSV_COLUMNS). Raises BadMapping with the line of each mistake."""
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    columns = [name.strip().lower() for name in rows.fieldnames or []]
    wrong = [f"{file}:1: {name}: unknown column; there are {', '.join(CSV_COLUMNS)}" for name in _unknown(columns)]
    wrong += [f"{file}:1: {name}: the column is missing; add it" for name in ("kind", "name") if name not in columns]
    if wrong:
        raise BadMapping(wrong)
    rows.fieldnames = columns
    found = Imported()
    try:
        for row in rows:
            wrong += _take_row(found, row, f"{file}:{rows.line_num}")
    except csv.Error as error:
        raise BadMapping([f"{file}:{rows.line_num}: is not CSV: {error}; save it with commas and quotes"]) from None
    if wrong:
        raise BadMapping(wrong)
    return found


def _unknown(columns: Iterable[str]) -> list[str]:
    return [name for name in columns if name not in CSV_COLUMNS]


def _take_row(found: Imported, row: Mapping[str, object], where: str) -> list[str]:
    if any(name is None for name in row):
        return [f"{where}: the row has more fields than the header; quote fields that hold commas"]
    cells = {name: str(value or "").strip() for name, value in row.items()}
    if not any(cells.values()):
        return []
    kind, name = cells.pop("kind").lower(), cells.pop("name")
    if kind not in _SECTION or not name:
        return [f"{where}: kind: {kind or 'nothing'} {name!r} is not one of {', '.join(sorted(_SECTION))} with a name"]
    fields: Fields = {key: _split(key, value) for key, value in cells.items()}
    if kind == "team":
        fields = {"title": cells.get("description", "")}
    try:
        found.add(_SECTION[kind], name, fields, where)
    except BadMapping as error:
        return error.findings
    return []


def _split(key: str, value: str) -> object:
    if key in _LISTS:
        return [part for part in re.split(_LISTS[key], value) if part]
    return value.lower() if key in ("criticality", "risk") else value


# --- Backstage ---


def from_backstage(files: Mapping[str, str]) -> Imported:
    """The catalogue of Backstage catalog-info files (path → text), several documents each: Component, Resource and
    API become entries, Group a team; System names the business service of its parts.

    https://backstage.io/docs/features/software-catalog/descriptor-format. Raises BadMapping."""
    found = Imported()
    entities = [entity for file, text in sorted(files.items()) for entity in _entities(file, text)]
    kinds = {(entity.kind, entity.name): _kind_of(entity) for entity in entities}
    titles = {entity.name: entity.title or entity.name for entity in entities if entity.kind == "system"}
    for entity in entities:
        if entity.kind == "group":
            found.add("teams", entity.name, {"title": entity.title}, entity.where)
        elif kinds[(entity.kind, entity.name)]:
            _take_entity(found, entity, kinds, titles)
        elif entity.kind != "system":
            found.skipped.append(f"{entity.where}: {entity.kind} {entity.name} is no entry of a catalogue")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entity:
    kind: str
    name: str
    title: str
    description: str
    spec: Mapping[str, object]
    where: str


def _entities(file: str, text: str) -> Iterator[_Entity]:
    try:
        for document in documents(text, file):
            data = document.data
            if data is None:
                continue
            if not isinstance(data, dict) or not isinstance(data.get("metadata"), dict) or not data.get("kind"):
                raise BadMapping([f"{document.where()}: is not a Backstage entity; it needs kind and metadata.name"])
            metadata, spec = data["metadata"], data.get("spec")
            yield _Entity(
                kind=str(data["kind"]).lower(),
                name=str(metadata.get("name") or ""),
                title=str(metadata.get("title") or ""),
                description=str(metadata.get("description") or ""),
                spec=spec if isinstance(spec, dict) else {},
                where=document.where(),
            )
    except Unreadable as error:
        raise BadMapping([str(error)]) from None


def _kind_of(entity: _Entity) -> str:
    type_ = str(entity.spec.get("type") or "").lower()
    if entity.kind == "component":
        return _COMPONENT_KINDS.get(type_, "service")
    if entity.kind == "resource":
        return _RESOURCE_KINDS.get(type_, "dataset")
    return "service" if entity.kind == "api" else ""


def _take_entity(
    found: Imported, entity: _Entity, kinds: Mapping[tuple[str, str], str], titles: Mapping[str, str]
) -> None:
    kind = kinds[(entity.kind, entity.name)]
    upstream = [*_texts(entity.spec.get("dependsOn")), *(f"api:{a}" for a in _texts(entity.spec.get("consumesApis")))]
    for ref in upstream:
        if not kinds.get(_split_ref(ref, "component")):
            found.skipped.append(f"{entity.where}: {entity.name} depends on {ref}, which is not in these files")
    depends_on = {f"{kinds[ref]}:{ref[1]}" for ref in (_split_ref(u, "component") for u in upstream) if kinds.get(ref)}
    system = _split_ref(str(entity.spec.get("system") or ""), "system")[1]
    fields: Fields = {
        "owner": _split_ref(str(entity.spec.get("owner") or ""), "group")[1],
        "depends_on": sorted(depends_on - {f"{kind}:{entity.name}"}),
        "description": entity.description,
        "aliases": [entity.title] if entity.title else [],
        "business_service": titles.get(system, system),
    }
    found.add(_SECTION[kind], entity.name, fields, entity.where)


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _split_ref(ref: str, kind: str) -> tuple[str, str]:
    """`[kind:][namespace/]name` → (kind, name); `kind` is the default."""
    head, colon, rest = ref.partition(":")
    return (head.lower(), rest.rpartition("/")[2]) if colon else (kind, ref.rpartition("/")[2])
