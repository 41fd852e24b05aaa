"""Does a DAG that fails in a real Airflow become a ticket, told by its OpenLineage provider and by our callback?

`airflow dags test` runs the DAG in one process with SQLite under it; no scheduler, no server.
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

from tests.e2e.company import SECRET
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
    ticket_about,
)
from tests.e2e.stack import Stack, wait_until
from tocsin.sources.airflow import SETUP

pytestmark = needs("airflow", "airflow")

DAG = dedent("""
    import pathlib
    from datetime import datetime
    from airflow.providers.standard.operators.python import PythonOperator
    from airflow.sdk import DAG
    from tell_tocsin import tell_tocsin

    def load():
        if (pathlib.Path(__file__).parent / "broken").exists():
            raise ValueError("column order_total is missing")

    of_task = dict(on_failure_callback=tell_tocsin("failed", of_task=True),
                   on_success_callback=tell_tocsin("success", of_task=True))
    with DAG("build_features", schedule=None, start_date=datetime(2026, 1, 1), catchup=False, default_args=of_task):
        PythonOperator(task_id="load", python_callable=load)
""")
COMMANDS = dedent("""
    import sys
    from airflow.__main__ import main

    for words in sys.argv[1:]:
        sys.argv = ["airflow", *words.split()]
        main()
""")
"""Several commands of Airflow in one process: each start of it costs 10 s."""


class Airflow:
    """Its home, with one DAG that fails while the file `broken` lies beside it."""

    def __init__(self, home: Path, stack: Stack) -> None:
        self.home, self.stack = home, stack
        self.dags = home / "dags"
        self.dags.mkdir()
        [callback] = re.findall(r"```python\n(import json.*?)```", SETUP, re.DOTALL)
        (self.dags / "tell_tocsin.py").write_text(
            callback.replace("{url}", f"{stack.address.url}/hooks/airflow").replace("{secret}", SECRET)
        )
        (self.dags / "build_features.py").write_text(DAG)

    def run(self, *commands: str, status: int = 0) -> None:
        """Run Airflow's commands; the last one ends with this status."""
        run(
            [program("airflow"), "-W", "ignore", "-c", COMMANDS, *commands],
            self.home,
            status=status,
            AIRFLOW_HOME=str(self.home),
            AIRFLOW__CORE__DAGS_FOLDER=str(self.dags),
            AIRFLOW__CORE__LOAD_EXAMPLES="False",
            AIRFLOW__OPENLINEAGE__NAMESPACE="airflow-production",
            AIRFLOW__OPENLINEAGE__TRANSPORT=lineage_transport(self.stack),
        )


@pytest.fixture
def airflow(tmp_path: Path, stack: Stack) -> Airflow:
    return Airflow(tmp_path, stack)


def test_a_failing_dag_is_one_ticket_until_its_next_good_run(stack: Stack, airflow: Airflow) -> None:
    (airflow.dags / "broken").touch()
    airflow.run("db migrate", "dags test build_features", status=1)
    await_ticket(stack, "build_features")
    wait_until(lambda: len(firing(stack, "lineage")) == 2, 60, "OpenLineage tells the task and the DAG")
    task, dag = sorted(firing(stack, "lineage"), key=lambda alert: alert["subject"], reverse=True)
    assert (task["subject"], dag["subject"]) == ("job:build_features.load", "job:build_features")
    assert "column order_total is missing" in task["summary"]
    assert {alert["symptom"] for alert in (task, dag)} == {"errors"}
    wait_until(lambda: firing(stack, "airflow"), 60, "the callback tells the task")
    [told] = firing(stack, "airflow")
    assert (told["subject"], told["name"], told["resource"]) == ("job:build_features", "TaskFailed", "load")
    assert "column order_total is missing" in told["summary"]
    outcomes = "SELECT change->>'outcome' AS outcome FROM changes WHERE change->>'subject' = 'job:build_features.load'"
    assert [row["outcome"] for row in stack.sql(outcomes)] == ["failure"]
    wait_until(stack.is_idle, 60, "all is decided")
    ticket = ticket_about(stack, "build_features")
    assert ticket["assignment_group"] == stack.group("Data Engineering")

    (airflow.dags / "broken").unlink()
    airflow.run("dags test build_features")
    ended = Watch()
    await_end(stack, "build_features")
    assert not firing(stack, "airflow")
    opened_s = opened_after_s(task, ticket)
    print(f"\nAirflow: {opened_s:.1f} s from the task's failure to the ticket, {ended.seconds:.1f} s to its end")
