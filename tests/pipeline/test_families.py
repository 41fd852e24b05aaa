"""Incidents that turn out to be one: one ticket goes on, and a page is still made."""

from tests.pipeline.world import World
from tocsin.store import confirmations


def _confirm(world: World, display: str, *, send: bool = True) -> None:
    [change] = world.sql("SELECT id FROM changes")
    assert confirmations.confirm(world.app.database, int(display[4:]), change["id"], actor="kim") is not None
    world.settle(send=send)


def _two(world: World, *, send: bool = True) -> tuple[str, str]:
    """Two incidents that nothing in the catalogue ties together, and a deploy before both."""
    world.deploy("payments", minutes=0)
    world.alert("HighLatency", minutes=5, service="payments", severity="warning")
    world.alert("DiskFull", minutes=6, service="search", severity="warning")
    world.settle(send=send)
    first, second = (i["number"] for i in world.incidents())
    return f"TOC-{first}", f"TOC-{second}"


def test_two_of_one_confirmed_cause_become_a_family_and_both_tickets_say_so(world: World) -> None:
    first, second = _two(world)
    _confirm(world, first)
    _confirm(world, second)
    assert world.audit("incident.merged") == ["same_cause"]
    [parent] = world.sql("SELECT parent_id FROM incidents WHERE parent_id IS NOT NULL")
    [oldest] = world.sql("SELECT id FROM incidents ORDER BY number LIMIT 1")
    assert parent["parent_id"] == oldest["id"]
    world.do("UPDATE records SET told = jsonb_set(told, '{at}', to_jsonb(clock_timestamp() - interval '61 s'))")
    world.do("UPDATE incidents SET decide_again_at = clock_timestamp()")
    world.settle()
    told = " ".join(world.out.read_text().split())
    assert f"Has the same cause as {first}" in told
    assert f"+ {second} of the same cause: search saturated" in told


def test_what_joins_before_its_ticket_went_out_opens_none(world: World) -> None:
    for number in _two(world, send=False):
        _confirm(world, number, send=False)
    world.settle()
    assert len(world.sql("SELECT FROM records WHERE external_id <> ''")) == 1


def test_a_child_that_outlives_its_parent_is_parted_from_it(world: World) -> None:
    first, second = _two(world)
    _confirm(world, first)
    _confirm(world, second)
    world.alert("HighLatency", minutes=20, resolved=True, service="payments", severity="warning")
    world.settle()
    assert world.audit("incident.split") == ["causes_differ"]
    assert world.sql("SELECT FROM incidents WHERE parent_id IS NOT NULL") == []
