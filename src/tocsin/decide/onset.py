"""When did trouble begin? Where a course shows it, then; else with the first alert, or, where a check that looks at
hours raised that, somewhere in these hours (correlation.md §2: for drift jobs the start of the window; we know no more
than that it lies between that start and the alert)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tocsin.decide.candidates import SKEW
from tocsin.decide.pattern import Pattern
from tocsin.decide.seen import looked_since
from tocsin.decide.series import Courses, Onset
from tocsin.domain.alert import AlertState

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Trouble began somewhere in what a check looked at, every minute alike."""

    before: float
    """Minutes from the window's start to the first alert."""


Beginning = Onset | Window


def beginning(members: Sequence[AlertState], courses: Courses, pattern: Pattern) -> Beginning | None:
    """What is known of the time when trouble began; None: the first alert tells it."""
    return courses.onset or (None if courses.stepped else _window(members, pattern.onset_at))


def began(pattern: Pattern, onset: Beginning | None) -> datetime:
    """When trouble began, or had begun at the latest."""
    return pattern.onset_at - onset.before * MINUTE if isinstance(onset, Onset) else pattern.onset_at


def began_after(pattern: Pattern, onset: Beginning | None) -> datetime | None:
    """Since when it may have begun, where that is not known exactly."""
    return pattern.onset_at - onset.before * MINUTE if isinstance(onset, Window) else None


def _window(members: Sequence[AlertState], first_at: datetime) -> Window | None:
    """The tightest window among the first alerts, which are those within what clocks disagree by. One of them that
    looked all the time tells the beginning better; what alerts later tells nothing of it."""
    since = [looked_since(member) for member in members if member.starts_at <= first_at + SKEW]
    known = [at for at in since if at is not None]
    if len(known) < len(since) or not known or max(known) >= first_at:
        return None
    return Window(before=(first_at - max(known)) / MINUTE)
