"""The console shows the scorecards of the alert rules."""

from werkzeug.test import Client

from tests.pipeline.world import World

BEARER = {"Authorization": "Bearer token"}


def test_scorecards_of_all_and_of_one_team(world: World, client: Client) -> None:
    assert "No alert fired." in client.get("/rules", headers=BEARER).text
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle()
    page = client.get("/rules", headers=BEARER).text
    assert "HighLatency" in page
    assert "Too few incidents to judge it." in page
    assert "HighLatency" not in client.get("/rules?team=ml", headers=BEARER).text
