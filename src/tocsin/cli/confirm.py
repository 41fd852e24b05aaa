"""A person says what the cause was; only that teaches."""

from __future__ import annotations

import click

from tocsin.cli._terminal import actor, echo_json, number_of, screen
from tocsin.domain.errors import BadSetting

SECTION = "operate"


@click.command()
@click.argument("display", metavar="TOC-n")
@click.option(
    "--change", "change_id", help="Id of the change that was the cause, as `tocsin incidents TOC-n` shows it."
)
@click.option("--not-the-cause", is_flag=True, help="None of the shown changes was the cause.")
@click.option("--person", help="Who says so; default: the user at this terminal.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def confirm(*, display: str, change_id: str | None, not_the_cause: bool, person: str | None, as_json: bool) -> None:
    """Confirm the cause of TOC-n, or that no shown change was it; written to the audit trail with your name."""
    from tocsin.cli._connected import connected
    from tocsin.domain.incident import NOT_AMONG_THEM
    from tocsin.store import confirmations

    if bool(change_id) == not_the_cause:
        raise click.UsageError("say either --change ID or --not-the-cause")
    number, who = number_of(display), person or actor()
    said = change_id or NOT_AMONG_THEM
    with connected() as app:
        found = confirmations.confirm(app.database, number, said, actor=who)
    if found is None:
        known = f"there is no incident TOC-{number}, or its environment knows no change {said}"
        raise BadSetting(f"{known}; `tocsin incidents TOC-{number}` shows the likely causes with their ids")
    if as_json:
        echo_json({"incident": f"TOC-{number}", "change": said, "person": who})
    else:
        words = "none of the shown changes was the cause" if not_the_cause else f"the cause was {said}"
        screen().print(f"TOC-{number}: {who} says {words}", style="green")
