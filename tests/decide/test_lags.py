"""How long after a change its trouble shows, as confirmed lags tell it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.decide.lags import EDGES, bin_of, density
from tocsin.domain.change import ChangeKind

RUN = ChangeKind.PIPELINERUN_FINISHED
MINUTES = np.geomspace(0.5, 16_000, 20_001)


def counted(*lags: float) -> tuple[float, ...]:
    """Confirmed lags in minutes, as counts per bin."""
    return tuple(np.bincount(bin_of(np.array(lags)), minlength=len(EDGES) - 1).astype(float).tolist())


def at(minutes: float, *lags: float) -> float:
    return float(density(RUN, np.array([minutes]), learned=counted(*lags) if lags else ())[0])


def test_a_handful_of_like_lags_makes_one_far_away_unlikely() -> None:
    """Runs whose trouble shows after four to eight hours; one of a minute is another story."""
    lags = (250, 300, 350, 400, 450, 500)
    assert at(330, *lags) > 2 * at(330)
    assert at(3, *lags) < at(3) / 10


def test_beside_the_lags_seen_it_stays_likelier_than_the_seed_says() -> None:
    """A histogram alone would give to the next bin what it gives to all that was never seen."""
    lags = (300,) * 8
    beside, far = (at(minutes, *lags) / at(minutes) for minutes in (550, 5_000))
    assert beside > 2 * far


def test_lags_that_fit_no_lognormal_are_believed_all_the_same() -> None:
    """Half at once and half a day later: the histogram takes over."""
    lags = (3,) * 30 + (1500,) * 30
    assert at(3, *lags) > 20 * at(3)
    assert at(1500, *lags) > 3 * at(1500)
    assert at(60, *lags) < at(60) / 2


@given(st.lists(st.floats(0.5, 4_000), max_size=40))
def test_a_density_is_a_density_whatever_was_confirmed(lags: list[float]) -> None:
    dense = density(RUN, MINUTES, learned=counted(*lags) if lags else ())
    assert np.all(dense > 0)
    assert 0.8 < np.trapezoid(dense, MINUTES) <= 1.02


def test_before_anything_is_confirmed_the_narrow_laws_make_the_seed() -> None:
    nothing_yet = (0.0,) * (len(EDGES) - 2) + (1e-9,)
    middle = MINUTES[(MINUTES > 3) & (MINUTES < 5_000)]
    assert density(RUN, middle, learned=nothing_yet) == pytest.approx(density(RUN, middle), rel=0.02)
