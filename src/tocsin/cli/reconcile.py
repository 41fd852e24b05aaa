"""Do our records still stand at the service desks as we left them? Look now, and mend what can be mended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from tocsin.cli._terminal import echo_json, screen

if TYPE_CHECKING:
    from tocsin.domain.seen import Discrepancy
    from tocsin.reconciling import Surveyed

SECTION = "operate"


@click.command()
@click.option("--destination", default="", help="Only this one; otherwise all that are live.")
@click.option("--repair", is_flag=True, help="Bring drifted records right and have vanished ones followed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def reconcile(ctx: click.Context, *, destination: str, repair: bool, as_json: bool) -> None:
    """Compare the records at the service desks with what the database says of them.

    Without --repair nothing is written. A running installation looks and repairs by itself every hour. Ends with 1 when
    something stays as it should not be, or a desk could not be asked.
    """
    from tocsin import reconciling
    from tocsin.cli._connected import connected, known_destination
    from tocsin.couriers import Couriers

    with connected() as app:
        if destination:
            known_destination(app, destination)
        done = reconciling.reconcile(app, Couriers(app=app), destination, repair=repair)
    if as_json:
        echo_json({"destinations": [_shown(one) for one in done]})
    else:
        _print(done)
    left = [one for survey in done for one in survey.found if one not in survey.mended]
    if left or any(survey.failed for survey in done):
        ctx.exit(1)


def _shown(survey: Surveyed) -> dict[str, object]:
    return {
        "destination": survey.destination,
        "records": survey.records,
        "failed": survey.failed,
        "found": [_row(one, repaired=one in survey.mended) for one in survey.found],
    }


def _row(one: Discrepancy, *, repaired: bool) -> dict[str, object]:
    return {
        "finding": one.finding,
        "record": one.number or one.external_id,
        "url": one.url,
        "says": one.says,
        "remedy": one.remedy,
        "repaired": repaired,
    }


def _print(done: list[Surveyed]) -> None:
    table = Table("destination", "finding", "record", "says", "remedy", box=None)
    for survey in done:
        for one in survey.found:
            remedy = "under way" if one in survey.mended else one.remedy
            cells = (survey.destination, str(one.finding), one.number or one.external_id, one.says, remedy)
            table.add_row(*(Text(cell) for cell in cells))
    if table.row_count:
        screen().print(table)
    for survey in done:
        if survey.failed:
            screen().print(f"{survey.destination}: not asked: {survey.failed}", style="yellow")
        elif not survey.found:
            screen().print(f"{survey.destination}: {survey.records} records stand as we left them", style="green")
