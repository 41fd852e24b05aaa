"""init, check, hooks, catalog import, impact and schema, as people run them."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from tocsin.cli import main

SHIPPED = Path(__file__).parents[2] / "mappings"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TOCSIN_")]:
        monkeypatch.delenv(name)


def tocsin(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What `tocsin init` writes."""
    assert tocsin("init", tmp_path / "m").exit_code == 0
    return tmp_path / "m"


def test_a_first_tree_checks_clean(tree: Path) -> None:
    answer = tocsin("check", tree, "--secrets", "--json")
    assert (answer.exit_code, orjson.loads(answer.output)) == (0, {"errors": 0, "findings": []})


def test_a_first_tree_keeps_its_secrets_to_itself(tree: Path) -> None:
    assert (tree / ".gitignore").read_text(encoding="utf-8") == "secrets/\n"
    assert {path.stat().st_mode & 0o777 for path in (tree / "secrets").iterdir()} == {0o600}


def test_init_leaves_a_directory_that_holds_something_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x", encoding="utf-8")
    refused = tocsin("init", tmp_path)
    assert refused.exit_code == 2
    assert "is not empty; choose another directory, or use --force" in refused.output
    assert tocsin("init", tmp_path, "--force").exit_code == 0
    assert (tmp_path / "mine").exists()


def test_check_tells_mistakes_and_exits_1(tree: Path) -> None:
    (tree / "more.yaml").write_text("services:\n  x:\n    ownr: first-team\n", encoding="utf-8")
    answer = tocsin("check", tree)
    assert answer.exit_code == 1
    assert 'more.yaml:3: services.x.ownr: unknown key\n      → did you mean "owner"?' in answer.output


def test_check_of_nothing_exits_2(tmp_path: Path) -> None:
    assert tocsin("check", tmp_path / "gone").exit_code == 2


def test_hooks_add_opens_an_address_and_says_what_to_paste(tree: Path) -> None:
    answer = tocsin(
        "hooks", "add", "github", "--mappings", tree, "--environment", "staging", "--json", "--url", "https://t/"
    )
    told = orjson.loads(answer.output)
    assert (told["name"], told["url"]) == ("github-staging", "https://t/hooks/github-staging")
    assert told["url"] in told["setup"]
    assert told["secret"] in told["setup"]
    kept = tree / "secrets/github-staging"
    assert kept.read_text(encoding="utf-8").strip() == told["secret"]
    assert kept.stat().st_mode & 0o777 == 0o600
    assert tocsin("check", tree, "--secrets").exit_code == 0
    rows = orjson.loads(tocsin("hooks", "list", "--mappings", tree, "--json").output)["hooks"]
    assert {"github-staging", "alerts", "changes"} == {row["name"] for row in rows}
    assert told["secret"] not in tocsin("hooks", "list", "--mappings", tree).output


def test_a_hook_that_is_there_is_never_overwritten(tree: Path) -> None:
    refused = tocsin("hooks", "add", "native_alert", "--name", "alerts", "--mappings", tree)
    assert refused.exit_code == 2
    assert "hooks.alerts: is there already; choose another name with --name" in refused.output


def test_an_unknown_source_is_refused(tree: Path) -> None:
    assert tocsin("hooks", "add", "gihtub", "--mappings", tree).exit_code == 2


@pytest.mark.parametrize("name", ["../x", "A", ""])
def test_a_hook_s_name_fits_an_address(tree: Path, name: str) -> None:
    answer = tocsin("hooks", "add", "github", "--name", name, "--mappings", tree)
    assert (answer.exit_code == 2) is bool(name)


def test_an_import_is_shown_before_it_is_written_and_written_once(tree: Path, tmp_path: Path) -> None:
    source = tmp_path / "cmdb.csv"
    source.write_text("kind,name,owner\nservice,billing,finance\n", encoding="utf-8")
    words = ("catalog", "import", "csv", source, "--mappings", tree)
    shown = tocsin(*words)
    assert "+  billing: # cmdb.csv:2" in shown.output
    assert "owners that no team matches: finance" in shown.output
    assert not (tree / "imported").exists()
    assert "1 entries written" in tocsin(*words, "--write").output
    again = orjson.loads(tocsin(*words, "--write", "--json").output)
    assert (again["changed"], again["diff"]) == (False, [])


def test_an_import_that_would_break_the_tree_is_not_written(tree: Path, tmp_path: Path) -> None:
    source = tmp_path / "cmdb.csv"
    source.write_text("kind,name,criticality\nservice,billing,huge\n", encoding="utf-8")
    refused = tocsin("catalog", "import", "csv", source, "--mappings", tree, "--write")
    assert refused.exit_code == 2
    assert "imported/cmdb.yaml:5: services.billing.criticality: should be 'critical'" in refused.output
    assert not (tree / "imported").exists()


def test_impact_names_models_services_and_business_services() -> None:
    told = orjson.loads(tocsin("impact", "feature:order_count_30d", "--mappings", SHIPPED, "--json").output)
    hit = {row["subject"]: row for row in told["hit"]}
    assert hit["model:churn"]["hops"] == 1
    assert hit["model:churn"]["owner"] == "ml"
    assert hit["model:churn"]["impact"].startswith("customers kept by a retention offer; ")
    assert hit["model:demand"]["impact"] == "impact not mapped"
    assert hit["service:churn-api"]["path"] == ["feature:order_count_30d", "model:churn", "service:churn-api"]
    assert told["business_services"] == ["Customer Retention", "Stock Planning"]


def test_impact_takes_a_sender_s_name_and_refuses_an_unknown_one() -> None:
    assert "service:churn-api" in tocsin("impact", "customer-churn", "--mappings", SHIPPED).output
    refused = tocsin("impact", "model:chrn", "--mappings", SHIPPED)
    assert refused.exit_code == 2
    assert 'the catalogue has no model:chrn; did you mean "model:churn"?' in refused.output


def test_nothing_rests_on_the_last_in_line() -> None:
    assert "Nothing in the catalogue rests on it." in tocsin("impact", "service:checkout", "--mappings", SHIPPED).output


def test_a_schema_is_printed_written_and_known_to_be_stale(tmp_path: Path) -> None:
    assert orjson.loads(tocsin("schema", "tocsin").output)["title"] == "Tocsin mapping file"
    assert tocsin("schema").output.split() == ["alert", "change", "tocsin"]
    assert tocsin("schema", "--check", "--write", tmp_path).exit_code == 1
    assert tocsin("schema", "--write", tmp_path).exit_code == 0
    assert tocsin("schema", "--check", "--write", tmp_path).exit_code == 0
    assert tocsin("schema", "nonsense").exit_code == 2
