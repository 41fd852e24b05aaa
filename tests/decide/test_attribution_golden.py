"""Faster code gives the same answers: seeded cases of every shape against those of competing-intensities-8 as it was
first written. Who changes them on purpose makes a new version of the scorer."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.decide.builders import at, catalog, change, incident, state
from tocsin.decide.attribute import attribute
from tocsin.decide.experience import COLD, Experience, KindRecord
from tocsin.decide.pattern import SPREADS
from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.incident import Attribution
from tocsin.domain.subject import Subject

ANSWERS = Path(__file__).parent / "golden" / "attribution.json"
CASES = 24
EXACT = 1e-12


def world(chance: random.Random) -> Catalog:
    """Forty subjects that rest on up to three earlier ones; some are watched by nobody."""
    names = [f"{chance.choice(['service', 'model', 'feature', 'dataset', 'job'])}:n{n}" for n in range(40)]
    needs: dict[str, Iterable[str]] = {
        name: chance.sample(names[:n], min(n, chance.randint(0, 3))) for n, name in enumerate(names)
    }
    return catalog(needs, unmonitored=chance.sample(names, 5))


def changes_of(chance: random.Random, subjects: list[str], many: int) -> list[Change]:
    """Deploys, runs, reverts and outages: some told twice, some of one commit, some stamped late, some unknown."""
    made = []
    for n in range(many):
        minutes = -(10 ** chance.uniform(-1, 3.7)) if chance.random() < 0.95 else chance.uniform(0, 7)
        seen = change(
            f"c{chance.randrange(many * 4):05d}",
            chance.choice([*subjects, "service:nobody-listed", "job:stray"]),
            minutes,
            chance.choice(list(ChangeKind)),
            touches=chance.sample(subjects, chance.choice([0, 0, 0, 1, 3])),
            outcome=chance.choice(list(ChangeOutcome)),
            summary=chance.choice(["", "", "Revert a thing", "rollback of it", "faster"]),
            labels=chance.choice([{}, {}, {"run_id": f"r{n % 7}"}, {"commit": f"c{n % 11}", "run_id": ""}]),
        )
        made.append(seen)
        if chance.random() < 0.2:
            near = chance.uniform(0.1, 4)
            made.append(change(f"near{n}", seen.subject, minutes - near, seen.kind))
    return made


def experience_of(chance: random.Random, subjects: list[str]) -> Experience:
    kinds = {
        kind: KindRecord(
            caused=chance.randint(0, 9),
            harmless=chance.randint(0, 300),
            lags=tuple(float(chance.randint(0, 4)) for _ in range(13)) if chance.random() < 0.7 else (),
        )
        for kind in chance.sample(list(ChangeKind), 6)
    }
    places = {Subject(s): (float(chance.randint(0, 3)), float(chance.randint(0, 40))) for s in subjects[::2]}
    spread = tuple(-chance.uniform(0, 9) for _ in SPREADS)
    return Experience(
        kinds=kinds, places=places, spread=spread, unexplained=9, days=60, confirmed=chance.choice([9, 90])
    )


def answers() -> Iterator[Attribution]:
    for seed in range(CASES):
        chance = random.Random(seed)
        known = world(chance)
        subjects = sorted(map(str, known.entries))
        alerting = chance.sample([*subjects, "service:new"], chance.randint(1, 6))
        members = [state(subject, started=chance.uniform(0, 9)) for subject in alerting]
        changes = changes_of(chance, subjects, chance.choice([3, 30, 200]))
        experience = experience_of(chance, subjects) if seed % 2 else COLD
        yield attribute(incident(*members), changes, known, now=at(chance.uniform(3, 15)), experience=experience)


def facts(found: Attribution) -> dict[str, Any]:
    return {
        "no_change": found.no_change,
        "other": found.other,
        "candidates": found.candidates,
        "onset": (found.onset_at - at(0)) / timedelta(minutes=1),
        "suspects": [
            {
                "id": s.change.id,
                "p": s.probability,
                "members": list(s.members),
                "terms": dict(s.terms),
                "risk": s.base_rate[1],
            }
            for s in found.suspects
        ],
    }


def test_seeded_cases_are_answered_as_ever() -> None:
    expected = orjson.loads(ANSWERS.read_bytes())
    found = [facts(answer) for answer in answers()]
    assert len(found) == len(expected) == CASES
    for one, other in zip(found, expected, strict=True):
        assert one["candidates"] == other["candidates"]
        assert one["no_change"] == pytest.approx(other["no_change"], abs=EXACT)
        assert one["other"] == pytest.approx(other["other"], abs=EXACT)
        for a, b in zip(one["suspects"], other["suspects"], strict=True):
            assert (a["id"], a["members"]) == (b["id"], b["members"])
            assert a["p"] == pytest.approx(b["p"], abs=EXACT)
            assert a["risk"] == pytest.approx(b["risk"], abs=EXACT)
            assert a["terms"] == pytest.approx(b["terms"], abs=2e-6)
