"""The order of the play: history, then each story, then the recovery; and what must hold after each act."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import requests

from tocsin.cli._demo import expected
from tocsin.cli._demo.courier import Courier, wait_for
from tocsin.cli._demo.desks import Ticket, tickets
from tocsin.cli._demo.expected import Check
from tocsin.cli._demo.insight import NOT_JUDGED, Insight, insights
from tocsin.cli._demo.producers import Clock, Post
from tocsin.cli._demo.scenario import Scenario
from tocsin.cli._demo.show import Screen
from tocsin.cli._demo.stage import Stage
from tocsin.decide.wording import counted

RECORDS_WITHIN_S = 30.0
NOTE_WITHIN_S = 75.0
"""Notes about new members are gathered for a minute before they are told (decide/plan.py)."""
LOST = {"match": {"method": "POST", "path": "/incident$"}, "fault": "commit_then_drop", "times": 1}
SETTLE_S = 2.0
"""After the recovery: long enough for a second resolve to show, if there were one."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What the play came to."""

    scenarios: list[Scenario]
    tickets: list[Ticket] = field(default_factory=list)
    """As they stood while the trouble lasted, for those that are shown."""
    last: list[Ticket] = field(default_factory=list)
    insights: list[Insight] = field(default_factory=list)
    checks: dict[str, list[Check]] = field(default_factory=dict)
    posted: int = 0
    took_s: float = 0.0

    @property
    def failed(self) -> list[str]:
        return [f"{key}: {c.words}" for key, checks in self.checks.items() for c in checks if not c.holds]

    def insight_of(self, scenario: Scenario) -> Insight | None:
        """The incident behind the scenario's records: the one whose number a record names."""
        own = [f"{ticket.title} {ticket.body}" for ticket in expected.mine(scenario, self.last)]
        return next((i for i in self.insights if any(_names(text, i.display) for text in own)), None)


class Play:
    """One performance on one stage."""

    def __init__(self, stage: Stage, screen: Screen, scenarios: list[Scenario], clock: Clock) -> None:
        self._stage, self._screen, self._clock = stage, screen, clock
        self._courier = Courier(stage)
        self.outcome = Outcome(scenarios=scenarios)

    def run(self) -> Outcome:
        """All acts."""
        started = time.monotonic()
        self._history()
        for scenario in self.outcome.scenarios:
            self._act(scenario)
        self._later()
        self._recovery()
        self._noise()
        self.outcome.posted = self._courier.tally.posted
        self.outcome.took_s = time.monotonic() - started
        return self.outcome

    def _history(self) -> None:
        changes = [post for scenario in self.outcome.scenarios for post in scenario.changes]
        self._screen.say(
            f"posting {len(changes)} webhooks of changes: deploys, runs, promotions, a flag; most innocent"
        )
        self._courier.send(changes)
        self._courier.settled()

    def _act(self, scenario: Scenario) -> None:
        self._screen.heading(scenario.title, scenario.story)
        if scenario.lost_answers:
            self._lose_answers(scenario.lost_answers)
        self._post(scenario.alerts)
        wanted = len(scenario.records)
        wait_for(lambda: len(self._own(scenario)) >= wanted, within_s=RECORDS_WITHIN_S)
        self._courier.settled()
        wait_for(self._judged, within_s=RECORDS_WITHIN_S)
        if scenario.later:
            self._post(scenario.later)
            self._courier.settled()
        now = tickets(self._stage.desks)
        self.outcome.insights = insights(self._stage.settings["TOCSIN_DATABASE_URL"], now=self._clock.now)
        self.outcome.last = now
        own = expected.mine(scenario, now)
        self.outcome.tickets += own
        for ticket in own:
            self._screen.ticket(ticket)
        checks = [*expected.standing(scenario, now), *self._causes(scenario)]
        self._note(scenario.key, checks)

    def _post(self, posts: Sequence[Post]) -> None:
        with self._screen.counting("webhooks", len(posts)) as bar:
            self._courier.send(posts, sent=lambda: bar.advance(bar.task_ids[0]))
        self._screen.say(f"  {counted(len(posts), 'webhook')} of alerts posted")

    def _lose_answers(self, times: int) -> None:
        url = self._stage.desks["servicenow"].url
        requests.post(f"{url}/__faults", json={**LOST, "times": times}, timeout=10).raise_for_status()
        self._screen.say("  ServiceNow will keep the next incident and drop the connection before it answers")

    def _causes(self, scenario: Scenario) -> list[Check]:
        """The cause that the ticket names against what the nearest change would have been."""
        found = self.outcome.insight_of(scenario)
        if found is None or not scenario.nearest:
            return []
        self._screen.comparison(found)
        return [
            Check(found.cause == scenario.blames, f"blames {scenario.blames or 'no known change'}", found.blamed),
            Check(found.nearest == scenario.nearest, f"the latest change was {scenario.nearest}", found.nearest),
        ]

    def _later(self) -> None:
        """Work notes about what joined late."""
        self._screen.heading("Later: an incident grows, and its ticket is told once")
        for scenario in (each for each in self.outcome.scenarios if each.grows):
            self._screen.say("  notes are gathered for 20 s here, so that a storm is one note; waiting for it")
            wait_for(partial(self._has_notes, scenario), within_s=NOTE_WITHIN_S)

    def _has_notes(self, scenario: Scenario) -> bool:
        return any(note.startswith("+") for ticket in self._own(scenario) for note in ticket.notes)

    def _recovery(self) -> None:
        self._screen.heading("Recovery: everything ends, and every record is resolved once")
        posts = [post for scenario in self.outcome.scenarios for post in scenario.recovery]
        self._post(posts)
        wait_for(lambda: all(t.resolved for t in tickets(self._stage.desks)), within_s=RECORDS_WITHIN_S)
        self._courier.send(posts[-1:])  # a producer repeats itself
        time.sleep(SETTLE_S)
        self._courier.settled()
        self.outcome.last = now = tickets(self._stage.desks)
        self.outcome.insights = insights(self._stage.settings["TOCSIN_DATABASE_URL"], now=self._clock.now)
        for scenario in self.outcome.scenarios:
            for ticket in expected.mine(scenario, now):
                state, said = ticket.fields["State"], ticket.notes[-1].splitlines()[0] if ticket.notes else ""
                self._screen.say(f"  {ticket.desk} {ticket.number} {state}  {said}")
            self._note(scenario.key, list(expected.over(scenario, now)))
        self._note("all", [expected.no_strangers(self.outcome.scenarios, now)])

    def _noise(self) -> None:
        """What must stay silent is known to Tocsin, with its reason, and to no service desk."""
        listed = self._courier.ask("/api/v1/incidents?limit=200")["incidents"]
        silent = {str(row["head"]): row for row in listed if not row["records"]}
        for scenario in (each for each in self.outcome.scenarios if each.heads):
            checks = [
                Check(head in silent, f"{head} is known and muted", ", ".join(sorted(silent)))
                for head in scenario.heads
            ]
            self._note(scenario.key, checks)
        heads = [head for scenario in self.outcome.scenarios for head in scenario.heads]
        strange = sorted(set(silent) - set(heads))
        self._note("all", [Check(not strange, "nothing else was muted", ", ".join(strange))])

    def _note(self, key: str, checks: list[Check]) -> None:
        self.outcome.checks.setdefault(key, []).extend(checks)
        self._screen.checks(checks)

    def _judged(self) -> bool:
        """Every incident has been attributed: the first time this waits until that worker is warm."""
        found = insights(self._stage.settings["TOCSIN_DATABASE_URL"], now=self._clock.now)
        return all(insight.blamed != NOT_JUDGED for insight in found)

    def _own(self, scenario: Scenario) -> list[Ticket]:
        return expected.mine(scenario, tickets(self._stage.desks))


def _names(text: str, display: str) -> bool:
    return any(word.strip(".,:;()/") == display or word.endswith(f"/{display}") for word in text.split())
