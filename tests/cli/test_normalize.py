"""Does normalize tell what a source reads in a body, whatever the body is, without any database?"""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from tocsin.cli import main

KEYS = ["file", "outcome", "reason", "alerts", "changes", "record_updates"]
ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "sources"
CORPUS = Path(os.environ.get("TOCSIN_CORPUS") or ROOT / "../shared/payloads")
FOLDERS = [
    *("alertmanager", "grafana", "github", "openlineage", "airflow_callback", "mlflow", "evidently"),
    *("great_expectations", "pagerduty", "jira"),
]


def normalize(*words: str | Path, given: bytes | None = None, status: int = 0) -> Result:
    said = CliRunner().invoke(main, ["normalize", *map(str, words)], input=given)
    assert said.exit_code == status, said.output + repr(said.exception)
    return said


def lines(said: Result) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in said.stdout.splitlines()]


def test_each_file_is_one_line_of_exactly_these_keys() -> None:
    bodies = [FIXTURES / "alertmanager" / name for name in ("older_version_3.json", "watchdog_alone.json")]
    told = lines(normalize("--source", "alertmanager", "--json", *bodies))
    assert [list(line) for line in told] == [KEYS, KEYS]
    assert [line["file"] for line in told] == [str(body) for body in bodies]
    assert [line["outcome"] for line in told] == ["normalized", "ignored"]
    assert told[0]["reason"] == ""
    assert told[1]["reason"]


def test_an_alias_is_the_source_too() -> None:
    body = FIXTURES / "alertmanager" / "older_version_3.json"
    [told] = lines(normalize("--source", "prometheus", "--json", body))
    assert told["outcome"] == "normalized"


def test_headers_beside_the_file_are_taken_and_given_ones_win(tmp_path: Path) -> None:
    body = FIXTURES / "github" / "deployment_status_success.json"
    [told] = lines(normalize("--source", "github", "--json", body))
    assert (told["outcome"], len(told["changes"])) == ("normalized", 1)  # type: ignore[arg-type]
    headers = tmp_path / "h.json"
    headers.write_text('{"X-GitHub-Event": "ping"}')
    [told] = lines(normalize("--source", "github", "--json", "--headers", headers, body))
    assert (told["outcome"], told["reason"]) == ("ignored", "ping")


def test_without_the_header_it_needs_a_body_is_quarantined(tmp_path: Path) -> None:
    body = tmp_path / "lonely.json"
    body.write_bytes((FIXTURES / "github" / "star.json").read_bytes())
    [told] = lines(normalize("--source", "github", "--json", body))
    assert told["outcome"] == "quarantined"
    assert "X-GitHub-Event" in str(told["reason"])


def test_standard_input_is_a_dash() -> None:
    [told] = lines(normalize("--source", "gx", "--json", "-", given=b"{"))
    assert (told["file"], told["outcome"]) == ("-", "quarantined")


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[]", b"null", b"1e999", b'{"a":' * 5000, b'{"alerts": [1e400]}'])
def test_no_body_is_an_exception(body: bytes) -> None:
    for source in (
        "alertmanager",
        "grafana",
        "mlflow",
        "openlineage",
        "evidently",
        "pagerduty",
        "jira",
        "native-alert",
    ):
        [told] = lines(normalize("--source", source, "--json", "-", given=body))
        assert told["outcome"] in ("quarantined", "ignored")


def test_a_file_that_cannot_be_read_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    good = FIXTURES / "alertmanager" / "older_version_3.json"
    said = normalize("--source", "alertmanager", "--json", tmp_path / "nowhere.json", tmp_path, good, status=1)
    assert "nowhere.json cannot be read (No such file or directory)" in said.stderr
    assert f"{tmp_path} cannot be read (Is a directory)" in said.stderr
    assert [line["file"] for line in lines(said)] == [str(good)]


def test_an_unknown_source_names_the_nearest() -> None:
    said = normalize("--source", "nagioss", "x.json", status=2)
    assert "source 'nagioss' is not known; did you mean nagios" in said.stderr


def test_people_read_what_was_found_without_control_characters(tmp_path: Path) -> None:
    body = orjson.loads((FIXTURES / "alertmanager" / "older_version_3.json").read_bytes())
    body["alerts"][0]["labels"]["alertname"] = "Bell\x07\x1b[31m"
    file = tmp_path / "body.json"
    file.write_bytes(orjson.dumps(body))
    said = normalize("--source", "alertmanager", file).stdout
    assert said.startswith(f"{file}: normalized\n  alert ")
    assert "\x1b" not in said
    assert "\x07" not in said


@pytest.mark.skipif(not (CORPUS / "index.csv").is_file(), reason="no payload corpus (set TOCSIN_CORPUS to its folder)")
@pytest.mark.parametrize("folder", FOLDERS)
def test_real_bodies_all_have_an_outcome(folder: str) -> None:
    bodies = sorted((CORPUS / folder).glob("*.json"))
    told = lines(normalize("--source", folder, "--json", *bodies))
    assert [line["file"] for line in told] == [str(body) for body in bodies]
    assert all((line["reason"] == "") == (line["outcome"] == "normalized") for line in told)
