"""A CSV export or Backstage files become the same mapping file every time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.config.imports import CSV_COLUMNS, from_backstage, from_csv
from tocsin.config.mappings import loads
from tocsin.domain.catalog import Criticality
from tocsin.domain.errors import BadMapping
from tocsin.domain.subject import Subject

CSV = """kind,name,owner,depends_on,criticality,description,aliases
service,billing,finance,"service:shop; dataset:refunds",High,"Bills, monthly",billing-api;bills

dataset,refunds,data,job:ingest-refunds,,,
team,data,,,,Data people,
job,ingest-refunds,data,,,yes,
"""

BACKSTAGE = """
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: wagon-tracker, title: Wagon Tracker, description: Where is each wagon?}
spec:
  type: service
  owner: group:default/rail-ops
  system: freight
  dependsOn: [resource:wagon-db, component:default/telemetry-loader, resource:elsewhere]
  consumesApis: [timetable]
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: telemetry-loader}
spec: {type: data-pipeline, owner: rail-ops}
---
kind: Resource
metadata: {name: wagon-db}
spec: {type: database, owner: user:ada}
---
kind: API
metadata: {name: timetable}
spec: {type: openapi, owner: rail-ops}
---
kind: System
metadata: {name: freight, title: Freight by Rail}
---
kind: Group
metadata: {name: rail-ops, title: Rail Operations}
---
kind: Location
metadata: {name: all}
"""


def test_a_csv_row_becomes_an_entry_with_its_origin() -> None:
    text = from_csv(CSV, "cmdb.csv").text("cmdb.csv")
    assert text.splitlines()[2:] == [
        "datasets:",
        "  refunds: # cmdb.csv:4",
        "    depends_on: [job:ingest-refunds]",
        "    owner: data",
        "jobs:",
        "  ingest-refunds: # cmdb.csv:6",
        '    description: "yes"',
        "    owner: data",
        "services:",
        "  billing: # cmdb.csv:2",
        "    aliases: [billing-api, bills]",
        "    criticality: high",
        "    depends_on: [service:shop, dataset:refunds]",
        '    description: "Bills, monthly"',
        "    owner: finance",
        "teams:",
        "  data: # cmdb.csv:5",
        '    title: "Data people"',
    ]


def test_an_import_reads_back_as_mappings_and_is_the_same_every_time() -> None:
    text = from_csv(CSV, "cmdb.csv").text("cmdb.csv")
    shuffled = "\n".join([CSV.splitlines()[0], *reversed(CSV.splitlines()[1:])])
    entries = loads({"imported/cmdb.yaml": text}, env={}, root=Path("/nowhere")).catalog.entries
    assert entries[Subject("service:billing")].criticality is Criticality.HIGH
    assert [line.partition(" #")[0] for line in from_csv(shuffled, "cmdb.csv").text("cmdb.csv").splitlines()] == [
        line.partition(" #")[0] for line in text.splitlines()
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind,nme\n", f"x.csv:1: nme: unknown column; there are {', '.join(CSV_COLUMNS)}"),
        ("name\n", "x.csv:1: kind: the column is missing; add it"),
        ("kind,name\nship,x\n", "x.csv:2: kind: ship 'x' is not one of dataset, feature, host, job, model, provider"),
        ("kind,name\njob,x,y\n", "x.csv:2: the row has more fields than the header; quote fields that hold commas"),
        ("kind,name\njob,x\njob,x\n", "x.csv:3: jobs.x stands already at x.csv:2; keep one"),
    ],
)
def test_a_mistake_in_a_csv_names_its_line(text: str, said: str) -> None:
    with pytest.raises(BadMapping) as refused:
        from_csv(text, "x.csv")
    assert refused.value.findings[0].startswith(said)


def test_backstage_entities_become_services_resources_and_teams() -> None:
    found = from_backstage({"catalog-info.yaml": BACKSTAGE})
    assert found.sections["services"]["wagon-tracker"] == {
        "aliases": ["Wagon Tracker"],
        "business_service": "Freight by Rail",
        "depends_on": ["host:wagon-db", "job:telemetry-loader", "service:timetable"],
        "description": "Where is each wagon?",
        "owner": "rail-ops",
    }
    assert sorted(found.sections) == ["hosts", "jobs", "services", "teams"]
    assert found.owners == {"rail-ops", "ada"}
    assert found.skipped == [
        "catalog-info.yaml:2: wagon-tracker depends on resource:elsewhere, which is not in these files",
        "catalog-info.yaml:31: location all is no entry of a catalogue",
    ]
    text = found.text("catalog-info.yaml")
    entries = loads({"imported/b.yaml": text}, env={}, root=Path("/nowhere")).catalog.entries
    assert entries[Subject("service:wagon-tracker")].owner == "rail-ops"


def test_what_is_no_entity_is_told() -> None:
    with pytest.raises(BadMapping, match=r"^x.yaml:1: is not a Backstage entity; it needs kind and metadata.name$"):
        from_backstage({"x.yaml": "a: 1\n"})


def test_a_name_that_yaml_would_misread_is_quoted() -> None:
    text = from_csv('kind,name,description\njob,"a: b #c",null\n', "x.csv").text("x.csv")
    entries = loads({"imported/x.yaml": text}, env={}, root=Path("/nowhere")).catalog.entries
    assert entries[Subject("job:a: b #c")].description == "null"
