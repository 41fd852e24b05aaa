"""A person's word teaches, the machine's own does not; every number can be read, reset and counted again."""

from __future__ import annotations

from tests.pipeline.world import World
from tocsin.decide.experience import COLD, Experience
from tocsin.decide.guard import CHANCE, EVERYBODY, LEARNED, NO_RECORD
from tocsin.domain.change import ChangeKind
from tocsin.domain.subject import Subject
from tocsin.store import confirmations, experience


def learned(world: World) -> Experience:
    return experience.read(world.app.database, "production", world.app.active().mappings.catalog).experience


def outage(world: World, service: str, minutes: int) -> str:
    world.deploy(service, minutes=minutes)
    world.alert("HighLatency", minutes=minutes + 5, service=service)
    world.settle()
    [row] = world.sql("SELECT id FROM changes ORDER BY received_at DESC LIMIT 1")
    return str(row["id"])


def test_only_a_person_s_word_teaches(world: World) -> None:
    change = outage(world, "checkout", 1)
    before = learned(world)
    assert before == COLD, "what nobody was asked about proves nothing"
    assert confirmations.confirm(world.app.database, 1001, change, actor="kim")
    after = learned(world)
    deploys = after.kinds[ChangeKind.SERVICE_DEPLOYED]
    assert (after.confirmed, deploys.caused, deploys.harmless) == (1, 1, 0)
    assert after.places[Subject("service:checkout")] == (1, 0)
    assert sum(deploys.lags) == 1
    assert after.spread, "how far it spread was learned too"


def test_none_of_them_teaches_how_often_no_change_is_to_blame(world: World) -> None:
    outage(world, "checkout", 1)
    confirmations.confirm(world.app.database, 1001, "none", actor="kim")
    found = learned(world)
    assert (found.unexplained, found.confirmed) == (1, 1)
    assert found.background_per_day > COLD.background_per_day


def test_what_was_learned_is_used_and_part_of_the_answer_s_digest(world: World) -> None:
    outage(world, "checkout", 1)
    scored = "SELECT attribution->>'digest' AS digest, attribution->'suspects'->0->'probability' AS p FROM incidents"
    [first] = world.sql(scored)
    world.do("UPDATE incidents SET attribute_due_at = now(), attribute_round = 0")
    kept = experience.Learned(world.app.database)
    catalog = world.app.active().mappings.catalog
    assert kept.of("production", catalog) is kept.of("production", catalog), "read once"
    change = outage(world, "search", 20)
    confirmations.confirm(world.app.database, 1002, change, actor="kim")
    assert kept.of("production", catalog).experience.confirmed == 1, "read again after a confirmation"
    world.do("UPDATE incidents SET attribute_due_at = now(), attribute_round = 0 WHERE number = 1001")
    world.settle()
    [second] = world.sql(f"{scored} WHERE number = 1001")
    assert second["digest"] != first["digest"]


def test_a_reset_forgets_and_says_who_asked(world: World) -> None:
    change = outage(world, "checkout", 1)
    confirmations.confirm(world.app.database, 1001, change, actor="kim")
    experience.reset(world.app.database, actor="kim")
    assert learned(world).confirmed == 0
    assert world.audit("learning.reset") == ["asked"]


def test_confirmed_causes_judge_everybody_and_a_reset_forgets_that_too(world: World) -> None:
    change = outage(world, "checkout", 1)
    confirmations.confirm(world.app.database, 1001, change, actor="kim")
    record = experience.read(world.app.database, "production", world.app.active().mappings.catalog).record
    assert (record.compared, record.order) == (1, LEARNED)
    assert record.first == {**dict.fromkeys(EVERYBODY, 1), CHANCE: 0}, "the only change there was"
    [first] = world.sql("SELECT attribution->'answers' AS answers FROM incidents")
    assert set(first["answers"]) == set(EVERYBODY) - {CHANCE}
    experience.reset(world.app.database, actor="kim")
    assert experience.read(world.app.database, "production", world.app.active().mappings.catalog).record == NO_RECORD


def test_once_a_person_has_named_the_cause_the_last_score_stands(world: World) -> None:
    change = outage(world, "checkout", 1)
    scored = "SELECT attribution->>'scored_at' AS at FROM incidents"
    before = world.sql(scored)
    confirmations.confirm(world.app.database, 1001, change, actor="kim")
    world.do("UPDATE incidents SET attribute_due_at = now(), attribute_round = 0")
    world.settle()
    assert world.sql(scored) == before
    assert world.sql("SELECT attribute_due_at FROM incidents") == [{"attribute_due_at": None}]


def test_what_was_learned_moves_by_people_s_words_not_with_time(world: World) -> None:
    change = outage(world, "checkout", 1)
    confirmations.confirm(world.app.database, 1001, change, actor="kim")
    before = learned(world)
    outage(world, "search", 15)
    assert learned(world) == before, "nobody has judged what came after"


def test_a_replay_hears_only_what_had_been_said_by_then(world: World) -> None:
    change = outage(world, "checkout", 1)
    earlier = world.app.database.now()
    confirmations.confirm(world.app.database, 1001, change, actor="kim")
    catalog = world.app.active().mappings.catalog
    assert experience.read(world.app.database, "production", catalog, known_at=earlier) == experience.Taught()
    later = world.app.database.now()
    assert experience.read(world.app.database, "production", catalog, known_at=later).experience.confirmed == 1
