"""Case files: every case is answered, from its own past alone, whatever the order of things; only --learn teaches."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tocsin.cli import main

SERVICES = [f"service:s{n}" for n in range(12)]
CATALOG = {
    "entries": [
        {"subject": subject, "depends_on": [SERVICES[n // 2]] if n else [], "monitored": True}
        for n, subject in enumerate(SERVICES)
    ]
}


def case(number: int, *, cause: str | None = "bad", minute: int = 0, **more: Any) -> dict[str, Any]:
    """A deploy on s3 at minute 0 breaks it at minute 10; a decoy on s8 comes a minute before the alert."""
    start = f"2031-02-{1 + number % 27:02d}T10"
    changes = [
        {
            "id": f"bad{number}",
            "kind": "service.deployed",
            "subject": "service:s3",
            "occurred_at": f"{start}:{minute:02d}:00Z",
        },
        {
            "id": f"near{number}",
            "kind": "feature_flag.changed",
            "subject": "service:s8",
            "occurred_at": f"{start}:09:00Z",
        },
        {
            "id": f"old{number}",
            "kind": "environment.modified",
            "subject": "service:s1",
            "occurred_at": f"{start}:01:00Z",
        },
    ]
    alerts = [
        {"name": "Errors", "subject": "service:s3", "symptom": "errors", "severity": "critical",
         "starts_at": f"{start}:10:00Z", "status": "firing", "fingerprint": "f3"},
        {"name": "Errors", "subject": "service:s6", "symptom": "errors", "severity": "critical",
         "starts_at": f"{start}:12:00Z", "status": "firing", "fingerprint": "f6"},
    ]  # fmt: skip
    truth = {"change": f"{cause}{number}" if cause else None}
    said = {
        "id": f"i{number}",
        "decide_at": f"{start}:15:00Z",
        "catalog": CATALOG,
        "changes": changes,
        "alerts": alerts,
    }
    return {**said, "truth": truth, **more}


def backtest(tmp_path: Path, cases: list[dict[str, Any]], *words: str) -> list[dict[str, Any]]:
    path = tmp_path / "cases.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in cases))
    done = CliRunner().invoke(main, ["backtest", str(path), "--json", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_case_is_answered_and_the_summary_comes_last(tmp_path: Path) -> None:
    first, second, last = backtest(tmp_path, [case(1), case(2, truth=None)])
    assert first["suspects"][0]["change"] == "bad1"
    assert sum(one["probability"] for one in first["suspects"]) + first["no_change"] <= 1.000001
    assert second["id"] == "i2"
    assert last["summary"]["with_truth"] == 1
    assert last["summary"]["top1"] == 1.0


def test_the_answer_rests_on_neither_truth_nor_order_nor_other_cases(tmp_path: Path) -> None:
    alone = backtest(tmp_path, [case(1)])[0]
    shuffled = case(1, cause="near")
    chance = random.Random(3)
    for key in ("changes", "alerts"):
        chance.shuffle(shuffled[key])
    shuffled["catalog"] = {"entries": sorted(CATALOG["entries"], key=lambda _: chance.random())}
    assert backtest(tmp_path, [case(7), shuffled, case(9)])[1] == alone


def test_nothing_later_than_the_decision_is_seen(tmp_path: Path) -> None:
    plain = backtest(tmp_path, [case(1)])[0]
    future = case(1)
    later = "2031-02-02T10:16:00Z"
    future["changes"].append({"id": "x", "kind": "service.rolledback", "subject": "service:s3", "occurred_at": later})
    future["alerts"].append({**future["alerts"][0], "subject": "service:s9", "starts_at": later, "fingerprint": "f9"})
    future["series"] = [{"subject": "service:s3", "metric": "errors", "points": [[later, 9.0]]}]
    assert backtest(tmp_path, [future])[0] == plain


def test_series_tell_when_trouble_began(tmp_path: Path) -> None:
    measured = case(1)
    day = measured["decide_at"][:10]
    points = [[f"{day}T{9 + m // 60:02d}:{m % 60:02d}:00.000Z", 0.1 + m % 3 / 50 + (m >= 62)] for m in range(15, 75)]
    measured["series"] = [{"subject": "service:s3", "metric": "error_ratio", "points": points}]
    plain, informed = (backtest(tmp_path, [one])[0] for one in (case(1), measured))
    near_before, near_after = (
        next(one["probability"] for one in answer["suspects"] if one["change"] == "near1")
        for answer in (plain, informed)
    )
    assert near_after < near_before / 2
    measured["series"][0]["points"] = points[::-1]
    assert backtest(tmp_path, [measured])[0] == informed


def test_a_run_is_judged_by_the_runs_before_it_and_by_what_it_told_until_the_decision(tmp_path: Path) -> None:
    def runs(last_rows: str, ended: str) -> dict[str, Any]:
        asked = case(1)
        day = asked["decide_at"][:10]
        for hour in range(2, 9):
            at, rows = f"{day}T{hour:02d}:00:00Z", last_rows if hour == 8 else "50000"
            asked["changes"].append(
                {"id": f"run{hour}", "kind": "pipelinerun.finished", "subject": "service:s3", "occurred_at": at,
                 "finished_at": ended if hour == 8 else at, "outcome": "success", "labels": {"rowCount.orders": rows}}
            )  # fmt: skip
        return asked

    def of_last(asked: dict[str, Any]) -> float:
        [answer, _] = backtest(tmp_path, [asked])
        return next(float(one["probability"]) for one in answer["suspects"] if one["change"] == "run8")

    before, after = "2031-02-02T09:30:00Z", "2031-02-02T12:00:00Z"
    assert of_last(runs("90", before)) > 2 * of_last(runs("50000", before))
    assert of_last(runs("90", after)) == of_last(runs("50000", after))


def test_history_teaches(tmp_path: Path) -> None:
    asked = case(20, minute=3)
    cold = {one["change"]: one["probability"] for one in backtest(tmp_path, [asked])[0]["suspects"]}
    history = tmp_path / "history.jsonl"
    history.write_text("".join(json.dumps(case(n, cause="near")) + "\n" for n in range(1, 19)))
    found = backtest(tmp_path, [asked], "--learn", str(history))
    taught = {one["change"]: one["probability"] for one in found[0]["suspects"]}
    assert taught["near20"] > 2 * cold["near20"]
    assert found[-1]["summary"]["learned_from"] == 18


def test_what_is_null_is_not_known_and_numbers_are_read_as_words(tmp_path: Path) -> None:
    plain = case(1, truth=None)
    odd = case(1, truth=None, series=None)
    odd["changes"][0] |= {"version": 4.1, "summary": None, "labels": {"commit": None}, "outcome": None, "kind": None}
    odd["changes"][1] |= {"touches": None, "finished_at": None, "kind": ["flag"]}
    odd["alerts"][0] |= {"severity": 2, "model_version": None, "window_starts_at": None}
    odd["catalog"] = {"entries": [*CATALOG["entries"], {"subject": "", "depends_on": None, "monitored": None}]}
    gaps = {"subject": "service:s3", "metric": None, "points": [["2031-02-02T10:01:00Z", None]]}
    odd["series"] = [gaps, {"subject": "service:s3", "points": None}]
    answer, _ = backtest(tmp_path, [odd])
    assert {one["change"] for one in answer["suspects"]} == {
        one["change"] for one in backtest(tmp_path, [plain])[0]["suspects"]
    }


def test_what_is_listed_twice_answers_the_same_in_any_order(tmp_path: Path) -> None:
    twice = case(1)
    again = {"subject": SERVICES[6], "depends_on": [SERVICES[9]], "monitored": False}
    twice["catalog"] = {"entries": [*CATALOG["entries"], again]}
    turned = {**twice, "catalog": {"entries": twice["catalog"]["entries"][::-1]}}
    assert backtest(tmp_path, [twice])[0] == backtest(tmp_path, [turned])[0]


def test_changes_that_are_judged_as_one_are_listed_each_with_its_part(tmp_path: Path) -> None:
    alone = backtest(tmp_path, [case(1)])[0]["suspects"][0]["probability"]
    asked = case(1)
    asked["changes"].append({**asked["changes"][0], "id": "again", "occurred_at": "2031-02-02T10:00:30Z"})
    listed = backtest(tmp_path, [asked])[0]["suspects"]
    parts = {one["change"]: one["probability"] for one in listed}
    assert parts["bad1"] > 0.3 * alone
    assert parts["bad1"] < parts["again"], "the later of two is a little likelier"
    assert [one["probability"] for one in listed] == sorted(parts.values(), reverse=True)
    assert listed[0]["band"] == "suspect"


def test_a_cause_too_old_to_be_named_is_no_known_change_to_those_who_are_judged(tmp_path: Path) -> None:
    """Else percentages would be drawn to the middle for what nobody could have foreseen."""
    history = tmp_path / "history.jsonl"

    def told(cause: str | None) -> dict[str, Any]:
        history.write_text("".join(json.dumps(case(n, truth={"change": cause})) + "\n" for n in range(1, 27)))
        return backtest(tmp_path, [case(27, truth=None)], "--learn", str(history))[0]

    assert told("made-last-month") == told(None)


def test_strange_words_are_read_as_the_plainest_we_have(tmp_path: Path) -> None:
    odd = case(1)
    odd["changes"][0]["kind"] = "satellite.moved"
    odd["alerts"][0] |= {"symptom": "gloom", "severity": "purple"}
    odd["alerts"].append({"subject": "cluster:x", "starts_at": "2031-02-02T10:11:00"})
    odd["extra"] = True
    nothing_yet = case(2, decide_at="2031-01-01T00:00:00Z")
    first, second, _ = backtest(tmp_path, [odd, nothing_yet])
    assert first["suspects"]
    assert second == {"id": "i2", "suspects": [], "no_change": 1.0}


@pytest.mark.parametrize(
    ("line", "words"),
    [("{", "cases.jsonl:1: is not JSON"), ('{"id": "a"}', "cases.jsonl:1: decide_at: Field required")],
)
def test_a_line_that_does_not_fit_is_named(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(line + "\n")
    done = CliRunner().invoke(main, ["backtest", str(path)])
    assert done.exit_code == 2
    assert words in done.stderr


def shop(week: int, *, others: bool = False) -> dict[str, Any]:
    """A deploy of payments, on another weekday and hour each week, and checkout's alert 12 minutes later; nobody said
    what it was. `others`: search was deployed a minute after it, so that either is as likely."""
    at = datetime(2031, 2, 3, 8, tzinfo=UTC) + timedelta(weeks=week, days=week % 5, hours=2 * week % 9)
    services = ["payments", "search"] if others else ["payments"]
    return {
        "id": f"week{week}",
        "decide_at": (at + timedelta(minutes=17)).isoformat(),
        "catalog": {"entries": [{"subject": "service:checkout", "depends_on": ["service:payments", "service:search"]},
                                {"subject": "service:payments"}, {"subject": "service:search"}]},
        "changes": [{"id": f"{name}{week}", "kind": "service.deployed", "subject": f"service:{name}",
                     "occurred_at": (at + timedelta(minutes=n)).isoformat()} for n, name in enumerate(services)],
        "alerts": [{"name": "Errors", "subject": "service:checkout", "fingerprint": "f1",
                    "starts_at": (at + timedelta(minutes=12)).isoformat()}],
    }  # fmt: skip


def test_what_earlier_cases_saw_leads_where_two_are_as_good_as_equal(tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    history.write_text("".join(json.dumps(shop(week)) + "\n" for week in range(7)))
    now = shop(7, others=True)
    [plain, _] = backtest(tmp_path, [now])
    [taught, _] = backtest(tmp_path, [now], "--learn", str(history))
    assert [one["change"] for one in plain["suspects"]] == ["search7", "payments7"]
    assert [one["change"] for one in taught["suspects"]] == ["payments7", "search7"]
    assert plain["suspects"] == taught["suspects"][::-1], "the probabilities stand"
    [among_them, *_] = backtest(tmp_path, [now, *(shop(week) for week in range(7))])
    assert among_them == plain, "the other cases of its file teach nothing"
