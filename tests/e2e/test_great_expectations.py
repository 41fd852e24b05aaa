"""Do nulls that were planted in data reach a ticket through results of a real Great Expectations, 1.x and 0.x?"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tests.e2e.senders import (
    Watch,
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
from tests.e2e.stack import Stack

TABLES = dedent("""
    import json
    import pandas
    import great_expectations as gx

    def table(nulls):
        ids = [None if row < nulls else row for row in range(200)]
        return pandas.DataFrame(dict(customer_id=ids, amount=range(200)))

    TABLES = dict(whole=table(0), holes=table(30), whole_again=table(2))

    def write(name, result):
        with open(f"{name}.json", "w") as file:
            json.dump(result.to_json_dict(), file)
""")
OF_1 = TABLES + dedent("""
    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("crm").add_dataframe_asset("customers")
    rows = asset.add_batch_definition_whole_dataframe("all")
    suite = context.suites.add(gx.ExpectationSuite(name="crm", expectations=[
        gx.expectations.ExpectColumnValuesToNotBeNull(column="customer_id", mostly=0.95),
        gx.expectations.ExpectTableRowCountToBeBetween(min_value=100)]))
    validation = context.validation_definitions.add(gx.ValidationDefinition(name="crm", data=rows, suite=suite))
    checkpoint = context.checkpoints.add(gx.Checkpoint(name="crm", validation_definitions=[validation]))
    for name, frame in TABLES.items():
        write(name, validation.run(batch_parameters=dict(dataframe=frame)))
    with open("checkpoint.json", "w") as file:
        file.write(checkpoint.run(batch_parameters=dict(dataframe=TABLES["holes"])).describe())
""")
OF_0 = TABLES + dedent("""
    context = gx.get_context(mode="ephemeral")
    asset = context.sources.add_pandas("crm").add_dataframe_asset("buyers")
    for name, frame in TABLES.items():
        asked = asset.build_batch_request(dataframe=frame)
        validator = context.get_validator(batch_request=asked, create_expectation_suite_with_name=name)
        validator.expect_column_values_to_not_be_null("customer_id", mostly=0.95)
        validator.expect_table_row_count_to_be_between(min_value=100)
        write(name, validator.validate())
""")
HOOK = "great-expectations"


@pytest.mark.parametrize(
    ("sender", "script", "dataset"),
    [
        pytest.param("gx", OF_1, "customers", id="1.x", marks=needs("gx", "python")),
        pytest.param("gx0", OF_0, "buyers", id="0.x", marks=needs("gx0", "python")),
    ],
)
def test_planted_nulls_are_a_ticket_until_the_next_pass(
    stack: Stack, tmp_path: Path, sender: str, script: str, dataset: str
) -> None:
    run([program(sender), "-W", "ignore", "-c", script], tmp_path, GX_ANALYTICS_ENABLED="false")
    send(stack, "great_expectations", tmp_path / "whole.json")
    await_pass(stack, HOOK, f"dataset:{dataset}")
    assert stack.ticket_of(dataset) is None

    failed = Watch()
    send(stack, "great_expectations", tmp_path / "holes.json")
    await_ticket(stack, dataset)
    opened_s = failed.seconds
    [nulls] = firing(stack, HOOK, f"dataset:{dataset}")
    assert (nulls["subject"], nulls["resource"], nulls["symptom"]) == (
        f"dataset:{dataset}",
        "customer_id",
        "data_quality",
    )
    assert (nulls["observed"], nulls["threshold"], nulls["sample_size"]) == (15.0, 5.0, 200)
    assert "30 of 200 break it (15 %)" in nulls["summary"]
    assert ticket_about(stack, dataset)["assignment_group"] == stack.group("Data Engineering")

    passed = Watch()
    send(stack, "great_expectations", tmp_path / "whole_again.json")
    await_end(stack, dataset)
    print(f"\nGreat Expectations: {opened_s:.1f} s from the result to the ticket, {passed.seconds:.1f} s to its end")
