"""The mappings that we ship: one company, without a finding, with what the demo needs."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from tocsin.config.findings import check
from tocsin.config.jsonschema import schemas, stale
from tocsin.config.mappings import Mappings, env_names, load, texts
from tocsin.domain.alert import Symptom
from tocsin.domain.subject import Subject

SHIPPED = Path(__file__).parents[2] / "mappings"


@pytest.fixture(scope="module")
def company() -> Mappings:
    names = env_names(texts(SHIPPED))
    return load(SHIPPED, env={name: "http://127.0.0.1:1" if name.endswith("URL") else f"{name}-x" for name in names})


def test_the_shipped_mappings_have_no_finding(company: Mappings) -> None:
    assert [str(finding) for finding in check(company)] == []


def test_a_fresh_clone_without_secrets_has_no_error() -> None:
    found = check(load(SHIPPED, env={}, secrets_optional=True))
    assert {finding.level for finding in found} == {"warning"}
    assert all("is not set" in finding.message for finding in found)


def test_every_symptom_has_a_runbook_that_is_there(company: Mappings) -> None:
    assert set(company.policy.runbooks) == set(Symptom)
    for symptom, path in company.policy.runbooks.items():
        text = company.files[path]
        assert "## First looks" in text, symptom
        assert "## When to escalate" in text, symptom


def test_symptoms_go_to_those_who_can_mend_them(company: Mappings) -> None:
    assert company.policy.owners_by_symptom == {
        "freshness": "data-engineering",
        "latency": "platform",
        "calibration": "ml",
        "business_kpi": "product-operations",
    }


def test_a_missing_feature_reaches_models_services_and_the_business(company: Mappings) -> None:
    hit = company.catalog.downstream(Subject("dataset:warehouse.orders"))
    assert {"model:churn", "model:demand", "service:churn-api"} <= set(hit)
    assert company.catalog.entries[Subject("service:churn-api")].business_service == "Customer Retention"
    assert company.catalog.entries[Subject("model:demand")].kpi == ""


def test_every_team_is_addressed_at_every_desk(company: Mappings) -> None:
    for team in company.catalog.teams.values():
        assert set(team.destinations) == {"servicenow", "pagerduty", "jira"}, team.name


class AsEditorsRead(yaml.SafeLoader):
    """YAML 1.2's scalars: numbers and booleans, but no dates."""


AsEditorsRead.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def test_every_yaml_file_names_its_schema_and_fits_it() -> None:
    fits = jsonschema.Draft202012Validator(schemas()["tocsin"])
    for path in SHIPPED.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        first = text.splitlines()[0]
        assert first.startswith("# yaml-language-server: $schema="), path
        assert (path.parent / first.partition("$schema=")[2]).resolve() == SHIPPED / "schema/tocsin.schema.json"
        assert list(fits.iter_errors(yaml.load(text, Loader=AsEditorsRead))) == [], path


def test_the_schemas_are_fresh() -> None:
    assert stale(SHIPPED / "schema") == []


def test_the_schemas_are_schemas_and_describe_every_field_of_a_mapping_file() -> None:
    for schema in schemas().values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for name, definition in schemas()["tocsin"]["$defs"].items():
        for field, said in definition.get("properties", {}).items():
            assert said.get("description") or "$ref" in said, f"{name}.{field}"


def test_the_schema_refuses_a_secret_in_clear_and_an_unknown_kind() -> None:
    fits = jsonschema.Draft202012Validator(schemas()["tocsin"])
    desk = {"kind": "pagerduty", "api_token": {"env": "X"}}
    assert fits.is_valid({"connectors": {"x": desk}})
    assert not fits.is_valid({"connectors": {"x": {**desk, "api_token": "hunter2"}}})
    assert not fits.is_valid({"connectors": {"x": {**desk, "kind": "fax"}}})
