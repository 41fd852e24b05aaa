"""Does drift that was planted in data reach a ticket through a report of a real Evidently, and does it end there?"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tests.e2e.senders import (
    Watch,
    alerts_of,
    await_end,
    await_pass,
    await_ticket,
    firing,
    needs,
    program,
    run,
    send,
    ticket_about,
)
from tests.e2e.stack import Stack, wait_until

pytestmark = needs("evidently", "evidently")

REPORTS = dedent("""
    import json
    import numpy
    import pandas
    from evidently import Report
    from evidently.presets import DataDriftPreset

    chance = numpy.random.default_rng(7)

    def people(rows, age):
        return pandas.DataFrame(dict(age_days=chance.normal(age, 20, rows), country=chance.choice(list("abc"), rows),
                                     prediction=chance.uniform(size=rows)))

    def spread(before, now):
        edges = numpy.histogram_bin_edges([*before, *now], bins=10)
        counted = (numpy.histogram(each, edges)[0].tolist() for each in (before, now))
        return dict(zip(("labels", "reference", "current"), (edges.tolist(), *counted)))

    reference = people(2000, 100)
    for name, age in ("calm", 100), ("drifted", 160), ("calm_again", 100):
        current = people(1500, age)
        snapshot = Report([DataDriftPreset(method="psi")], include_tests=True).run(current, reference)
        spreads = {each: spread(reference[each], current[each]) for each in ("age_days", "prediction")}
        with open(f"{name}.json", "w") as file:
            json.dump(dict(sample_size=len(current), distributions=spreads, report=json.loads(snapshot.json())), file)
        snapshot.save_json(f"{name}_bare.json")
""")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where three reports lie, one of them about data whose `age_days` moved by three deviations."""
    directory = tmp_path_factory.mktemp("evidently")
    run([program("evidently"), "-c", REPORTS], directory, DO_NOT_TRACK="1")
    return directory


def test_planted_drift_is_a_ticket_until_the_next_clean_report(stack: Stack, reports: Path) -> None:
    about = ("--model", "churn", "--model-version", "7")
    send(stack, "evidently", *about, reports / "calm.json")
    await_pass(stack, "evidently", "feature:age_days")
    assert stack.ticket_of("age_days") is None

    drifted = Watch()
    send(stack, "evidently", *about, reports / "drifted.json")
    await_ticket(stack, "age_days")
    opened_s = drifted.seconds
    [drift] = firing(stack, "evidently")
    assert (drift["subject"], drift["resource"], drift["symptom"]) == (
        "feature:age_days",
        "model:churn",
        "feature_drift",
    )
    assert (drift["observed"] > 1, drift["threshold"], drift["sample_size"]) == (True, 0.1, 1500)
    assert (drift["model_version"], drift["labels"]["method"]) == ("7", "PSI")
    spread = drift["distribution"]
    assert len(spread["labels"]) == len(spread["current"]) == 10
    assert sum(spread["current"][5:]) > 0.9 > 0.1 > sum(spread["reference"][5:])
    ticket = ticket_about(stack, "age_days")
    assert ticket["assignment_group"] == stack.group("Machine Learning")
    assert "churn" in ticket["description"]

    clean = Watch()
    send(stack, "evidently", *about, reports / "calm_again.json")
    await_end(stack, "age_days")
    print(f"\nEvidently: {opened_s:.1f} s from the report to the ticket, {clean.seconds:.1f} s to its end")


def test_a_bare_report_says_the_same_without_the_spread(stack: Stack, reports: Path) -> None:
    send(stack, "evidently", "--model", "attrition", reports / "drifted_bare.json")
    wait_until(lambda: len(alerts_of(stack, "evidently")) == 8, 60, "both models' four findings are understood")
    [drift] = [alert for alert in firing(stack, "evidently") if alert["resource"] == "model:attrition"]
    assert (drift["subject"], drift["symptom"], drift["distribution"]) == ("feature:age_days", "feature_drift", None)
