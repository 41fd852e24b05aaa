"""One incident against the changes that may have come first: all that is so before anything learned is counted.

Made once for a score, whoever answers: what was learned, the cold model and the rules look at the same scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from tocsin.decide.candidates import Candidates, candidates_of
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
    """Minutes from each change to the first alert."""
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
    lags = (pattern.onset_at.timestamp() - candidates.stamps) / 60
    places = pattern.places(candidates.subjects)
    courses = Courses(series, pattern, now)
    return Scene(
        pattern=pattern,
        courses=courses,
        onset=beginning(incident.members, courses, pattern),
        candidates=candidates,
        lags=lags,
        places=places,
        groups=overlapping(candidates, lags, places.of),
        oddities=oddities_of(candidates, places, incident.members, catalog, now=now),
        now=now,
    )
