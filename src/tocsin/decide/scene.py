"""One incident against the changes that may have come first: all that is so before anything learned is counted.

Made once for a score, whoever answers: what was learned, the cold model and the rules look at the same scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from tocsin.decide.candidates import OFTEN_A_DAY, RUN, WINDOW, Candidates, candidates_of, written_at
from tocsin.decide.oddities import Oddities, oddities_of
from tocsin.decide.onset import Beginning, beginning
from tocsin.decide.overlap import Groups, overlapping
from tocsin.decide.pattern import Pattern, Places
from tocsin.decide.series import Courses
from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change
from tocsin.domain.incident import Incident
from tocsin.domain.series import Series


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What everybody who answers looks at."""

    pattern: Pattern
    """By all laws alike."""
    courses: Courses
    onset: Beginning | None
    candidates: Candidates
    lags: NDArray[np.float64]
    """Minutes from each change to the first alert; from a run's end, where that came before the alert."""
    often: NDArray[np.float64]
    """log of what each counts as its kind's risk: less than 0 for the runs of a job that runs often."""
    places: Places
    groups: Groups
    oddities: Oddities
    now: datetime


def scene_of(
    incident: Incident, changes: Sequence[Change], catalog: Catalog, *, now: datetime, series: Sequence[Series] = ()
) -> Scene:
    """The incident as it stands. Raises ValueError for one without members."""
    pattern = Pattern(incident.members, catalog)
    candidates = candidates_of(changes, pattern.onset_at, now)
    since_start = (pattern.onset_at.timestamp() - candidates.stamps) / 60
    places = pattern.places(candidates.subjects)
    courses = Courses(series, pattern, now)
    return Scene(
        pattern=pattern,
        courses=courses,
        onset=beginning(incident.members, courses, pattern),
        candidates=candidates,
        lags=_since_written(candidates, pattern, since_start),
        often=_often(candidates, places),
        places=places,
        groups=overlapping(candidates, since_start, places.of),
        oddities=oddities_of(candidates, places, incident.members, catalog, now=now),
        now=now,
    )


def _since_written(candidates: Candidates, pattern: Pattern, since_start: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a run wrote can be felt once it has written it: lags of runs that had ended count from their end."""
    lags = since_start.copy()
    for i in np.flatnonzero(candidates.kinds == RUN).tolist():
        started, written = candidates.changes[i].occurred_at, written_at(candidates.changes[i], pattern.onset_at)
        if written > started:
            lags[i] -= (written - started).total_seconds() / 60
    return lags


def _often(candidates: Candidates, places: Places) -> NDArray[np.float64]:
    """A job that runs every hour does not break a day's work 24 times as often as one that runs at night: beyond
    OFTEN_A_DAY its runs share the risk of so many."""
    runs = candidates.kinds == RUN
    of_job = np.bincount(places.of[runs], minlength=len(places.names))
    share = np.minimum(1.0, OFTEN_A_DAY * (WINDOW / timedelta(days=1)) / np.maximum(of_job, 1))
    return np.asarray(np.where(runs, np.log(share)[places.of], 0.0))
