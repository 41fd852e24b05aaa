"""Do a failing test and a failing model of a real dbt become tickets, told by OpenLineage or by the run's results?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from tests.e2e.senders import (
    Watch,
    await_end,
    await_ticket,
    firing,
    lineage_transport,
    needs,
    opened_after_s,
    program,
    run,
    send,
    ticket_about,
)
from tests.e2e.stack import Stack, wait_until

pytestmark = needs("dbt", "dbt-ol")

PROJECT = {
    "dbt_project.yml": "{name: shop, version: '1.0', profile: shop, model-paths: [models]}",
    "profiles.yml": "shop: {target: dev, outputs: {dev: {type: duckdb, path: shop.duckdb, threads: 1}}}",
    "models/schema.yml": """
        models:
        - {name: orders, columns: [{name: amount, data_tests: [not_null]}]}
        - {name: refunds}
        """,
}
WHOLE = {"orders": "select 1 as id, 10.0 as amount", "refunds": "select 1 as id, 2.5 as refunded"}
BROKEN = {"orders": "select 1 as id, cast(null as double) as amount", "refunds": "select amount as refunded"}


class Shop:
    """A dbt project of two models, one of them tested."""

    def __init__(self, directory: Path, stack: Stack) -> None:
        self.directory, self.stack = directory, stack
        (directory / "models").mkdir()
        for name, text in PROJECT.items():
            (directory / name).write_text(dedent(text))

    def build(self, models: Mapping[str, str], *, status: int = 0) -> None:
        """`dbt-ol build`, which tells the hook of every node and of the run as a whole."""
        for name, query in models.items():
            (self.directory / "models" / f"{name}.sql").write_text(f"{{{{ config(materialized='table') }}}} {query}")
        run(
            [program("dbt", "dbt-ol"), "build", "--profiles-dir", "."],
            self.directory,
            status=status,
            OPENLINEAGE__TRANSPORT=lineage_transport(self.stack),
            DBT_SEND_ANONYMOUS_USAGE_STATS="false",
        )

    @property
    def results(self) -> Path:
        return self.directory / "target" / "run_results.json"


@pytest.fixture
def shop(tmp_path: Path, stack: Stack) -> Shop:
    return Shop(tmp_path, stack)


def test_a_failing_test_and_a_failing_model_are_a_ticket_until_the_next_good_run(stack: Stack, shop: Shop) -> None:
    shop.build(BROKEN, status=1)
    await_ticket(stack, "orders")
    wait_until(lambda: len(firing(stack, "lineage")) == 3, 60, "the test, the model and the run have failed")
    told = {(alert["subject"], alert["name"]): alert for alert in firing(stack, "lineage")}
    assert set(told) == {
        ("dataset:orders", "not_null_orders_amount"),
        ("job:shop.main.shop.refunds.build.run", "JobFailed"),
        ("job:dbt-run-shop", "JobFailed"),
    }
    nulls = told["dataset:orders", "not_null_orders_amount"]
    assert (nulls["resource"], nulls["symptom"], nulls["severity"]) == ("amount", "data_quality", "error")
    assert (nulls["observed"], nulls["threshold"]) == (1.0, 0.0)
    assert ("job:dbt-run-shop", "failure") in runs(stack)

    send(stack, "dbt", "--set", "job=dbt-run-shop", shop.results)
    wait_until(lambda: len(firing(stack, "dbt")) == 2, 60, "the run's results tell the test and the model as well")
    failed, test = sorted(firing(stack, "dbt"), key=lambda alert: alert["name"])
    assert (failed["subject"], failed["name"], failed["symptom"]) == ("dataset:refunds", "BuildFailed", "errors")
    assert 'Referenced column "amount" was not found' in failed["summary"]
    assert (test["subject"], test["resource"], test["observed"], test["threshold"]) == (
        "dataset:orders",
        "amount",
        1.0,
        0.0,
    )
    wait_until(stack.is_idle, 60, "all is decided")
    ticket = ticket_about(stack, "dbt-run-shop")
    assert ticket["assignment_group"] == stack.group("Data Engineering")

    shop.build(WHOLE)
    ended = Watch()
    send(stack, "dbt", "--set", "job=dbt-run-shop", shop.results)
    await_end(stack, "dbt-run-shop")
    assert not firing(stack, "lineage")
    assert not firing(stack, "dbt")
    assert ("job:dbt-run-shop", "success") in runs(stack)
    opened_s = opened_after_s(nulls, ticket)
    print(f"\ndbt: {opened_s:.1f} s from the test's failure to the ticket, {ended.seconds:.1f} s to its end")


def runs(stack: Stack) -> set[tuple[str, str]]:
    """Subject and outcome of every run that has arrived as a change."""
    return {(row["subject"], row["outcome"]) for row in stack.sql(
        "SELECT change->>'subject' AS subject, change->>'outcome' AS outcome FROM changes")}  # fmt: skip
