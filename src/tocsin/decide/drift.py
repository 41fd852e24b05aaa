"""Did these numbers really move, and enough to matter? Each drift alert of an incident tested as far as it can be.

Significance and effect size are both asked, because either alone misleads (correlation.md §6): with few rows chance
breaks every limit, with many rows the least shift is significant. p-values are only given for what was tested; the
alerts of an incident fired because they were the worst of all that was watched, so Benjamini–Hochberg counts the
silent ones too. The finding annotates; what follows from it is the policy's (`policies.drift`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from itertools import accumulate

from tocsin.decide.checks import beyond_usual, failed_in_a_row, repeated
from tocsin.decide.drift_words import sentence_of
from tocsin.decide.spread import (
    Bounds,
    bounds_of,
    deviation,
    jensen_shannon,
    kolmogorov_smirnov,
    kullback_leibler,
    mean,
    psi,
    shares_of,
    wasserstein,
)
from tocsin.decide.wording import share_of
from tocsin.domain.alert import Alert, AlertState, Distribution, Symptom
from tocsin.domain.catalog import Catalog
from tocsin.domain.drift import DRIFTS, Drift, Finding, Shift
from tocsin.domain.incident import Incident
from tocsin.domain.policy import DriftPolicy

FEWEST_ROWS = 20
"""On either side; with fewer the tests' distributions do not hold."""
EXPECTED = 5.0
"""Rows that chi-square wants in a category on either side (Cochran's rule); rarer ones are judged together."""
MOVE, SHAPE, SWING = "mean, sd", "shape, sd", "mean usual at this hour, sd"
"""Names of measures."""
PSI_ALPHA = 0.01
"""The level of the stability index's calibrated limit (correlation.md §6: measured .7 to 1.6 %)."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """One distribution or number: `p` and `test` when it was tested, else `test` says why not. `strength` is the
    effect over the effect that matters."""

    test: str
    p: float | None = None
    rows: int | None = None
    reference_rows: int | None = None
    strength: float | None = None
    measures: tuple[tuple[str, float], ...] = ()
    as_usual: bool = False
    """It would matter, were it not as usual at this hour."""


def drift_of(incident: Incident, catalog: Catalog, policy: DriftPolicy, *, now: datetime) -> Drift | None:
    """What is to be thought of the incident's drift alerts (the firing ones; all when none fires) and of shares that
    broke a limit; None when it has none. The order of the members does not matter."""
    members = [m for m in incident.firing or incident.members if _is_measured(m.alert)]
    if not members:
        return None
    found = [(member, _seasoned(member, measured(member.alert, policy), policy)) for member in members]
    of = max(_watched(members, catalog), len({(m.alert.subject, m.alert.segment) for m in members}))
    family = max(of, len(members))
    tested = [(place, one.p) for place, (_, one) in enumerate(found) if one.p is not None]
    adjusted = dict(
        zip([place for place, _ in tested], benjamini_hochberg([p for _, p in tested], family), strict=True)
    )
    shifts = [_shift(member, one, adjusted.get(place), policy, now) for place, (member, one) in enumerate(found)]
    shifts.sort(key=lambda s: (-(s.strength or 0.0), s.subject, s.fingerprint))
    drift = Drift(shifts=tuple(shifts), of=of)
    return replace(drift, words=sentence_of(drift))


def benjamini_hochberg(p: Sequence[float], of: int) -> list[float]:
    """Each p's q: the share of false finds among those at least as good. `of` ≥ len(p) tests were made; those that
    are not told had nothing to show and count as p = 1."""
    order = sorted(range(len(p)), key=p.__getitem__, reverse=True)
    found, least = [1.0] * len(p), 1.0
    for place, at in enumerate(order):
        least = min(least, p[at] * (of / (len(p) - place)))
        found[at] = least
    return found


def _is_measured(alert: Alert) -> bool:
    return alert.symptom in DRIFTS or alert.distribution is not None or _share_above(alert) is not None


def _watched(members: Sequence[AlertState], catalog: Catalog) -> int:
    """How many watched features the models that rest on these features have between them."""
    features = {catalog.resolve(m.alert.subject) for m in members if m.alert.subject.kind == "feature"}
    models = {at for feature in features for at, hops in catalog.downstream(feature).items() if hops == 1}
    ups = {up for model in models for up, hops in catalog.upstream(model).items() if hops == 1 and up.kind == "feature"}
    return len(features | {up for up in ups if (entry := catalog.entry(up)) is None or entry.monitored})


def _seasoned(member: AlertState, one: _Measured, policy: DriftPolicy) -> _Measured:
    """The effect beyond what this hour of every day (or week) brings anyhow, where that is known. p speaks of the
    sender's reference and stays."""
    told = dict(one.measures)
    if MOVE not in told or one.strength is None or (found := beyond_usual(member, told[MOVE], told[SHAPE])) is None:
        return one
    move, shape = found
    strength = max(abs(move) / policy.mean_shift, shape / policy.shape)
    measures = (*one.measures, (SWING, told[MOVE] - move))
    return replace(one, strength=strength, measures=measures, as_usual=strength < 1 <= one.strength)


def _shift(member: AlertState, one: _Measured, q: float | None, policy: DriftPolicy, now: datetime) -> Shift:
    alert = member.alert
    return Shift(
        fingerprint=member.fingerprint,
        subject=alert.subject,
        symptom=alert.symptom,
        finding=_finding(one, q, policy),
        segment=alert.segment,
        test=one.test,
        p=one.p,
        q=q,
        rows=one.rows,
        reference_rows=one.reference_rows,
        strength=one.strength,
        measures={**dict(one.measures), **_told(alert)},
        in_a_row=failed_in_a_row(member),
        repeated=policy.checks is None or repeated(member, policy.checks, now=now, with_effect=True),
        as_usual=one.as_usual,
    )


def _finding(one: _Measured, q: float | None, policy: DriftPolicy) -> Finding:
    """A p-value whose effect was not measured finds a shift: what it is worth, the sender's own limit has said."""
    if q is None:
        return Finding.UNTESTED
    if q > policy.significance:
        return Finding.CHANCE
    return Finding.SMALL if one.strength is not None and one.strength < 1 else Finding.SHIFTED


def _told(alert: Alert) -> Mapping[str, float]:
    """The sender's own numbers."""
    told = {"observed": alert.observed, "limit": alert.threshold, "baseline": alert.baseline}
    return {name: value for name, value in told.items() if value is not None and math.isfinite(value)}


# --- one alert ---


def measured(alert: Alert, policy: DriftPolicy) -> _Measured:
    """The alert's distribution, else the sender's own test, else its share against its limit; what is not there is
    not made up."""
    told = _sender_p(alert)
    if alert.distribution is not None:
        found = _spread(alert.distribution, alert.sample_size, policy)
        return found if found.p is not None or told is None else replace(found, p=told, test=_sender_test(alert))
    if told is not None:
        return _Measured(test=_sender_test(alert), p=told, rows=alert.sample_size)
    if (share := _share_above(alert)) is not None:
        return _above_limit(alert, share)
    return _Measured(test="vendor threshold, not tested: no distribution was sent", rows=alert.sample_size)


def _sender_p(alert: Alert) -> float | None:
    """The sender's p-value, where it says that its score is one."""
    said = f"{alert.metric} {alert.labels.get('method', '')}".lower().replace("_", "-").replace(" ", "-")
    is_p = "p-value" in said or "pvalue" in said
    return alert.observed if is_p and alert.observed is not None and 0 <= alert.observed <= 1 else None


def _sender_test(alert: Alert) -> str:
    return f"the sender's {alert.labels.get('method') or alert.metric}"


def _share_above(alert: Alert) -> float | None:
    """The broken limit, where a share of counted rows (nulls, invalid values) was measured against it."""
    observed, limit, rows = alert.observed, alert.threshold, alert.sample_size
    if alert.symptom is not Symptom.DATA_QUALITY or observed is None or limit is None or not rows:
        return None
    scale = share_of(alert)
    inside = scale and 0 < limit * scale < 1 and limit < observed and observed * scale <= 1
    return limit * scale if inside else None


def _above_limit(alert: Alert, limit: float) -> _Measured:
    """May a share that is exactly at the limit show so many rows by chance? The limit has no sampling error, so that
    no reference is needed; what is above it matters, because somebody set it there."""
    from tocsin.decide.statistics import share_tail  # noqa: PLC0415 scipy is for workers, not for every import

    rows, observed = alert.sample_size or 0, (alert.observed or 0.0) * share_of(alert)
    p = share_tail(round(observed * rows), rows, limit)
    return _Measured(test="binomial, against the limit", p=p, rows=rows)


# --- one distribution ---


@lru_cache(maxsize=4096)
def _spread(told: Distribution, sample_size: int | None, policy: DriftPolicy) -> _Measured:
    sides = _sides(told)
    if sides is None:
        return _Measured(test="vendor threshold, not tested: the bins cannot be read", rows=sample_size)
    reference, current = sides
    rows, before = told.current_size or sample_size, told.reference_size
    bounds = bounds_of(told.labels)
    effect = _effect(reference, current, bounds, policy, _chance(rows, before))
    measures, strength = effect.measures, max(effect.moved, effect.changed)
    if rows is None or before is None:
        lacks = " and ".join(name for name, n in (("rows", rows), ("rows of the reference", before)) if n is None)
        test, p = f"vendor threshold, not tested: {lacks} not told", None
    elif min(rows, before) < FEWEST_ROWS:
        test, p = f"not tested: fewer than {FEWEST_ROWS} rows", None
    else:
        measures["PSI limit"] = psi_limit(len(current), rows, before)
        test, p = _tested(reference, current, rows, before, ordered=bool(bounds))
    return _Measured(
        test=test, p=p, rows=rows, reference_rows=before, strength=strength, measures=tuple(measures.items())
    )


def effect_of(alert: Alert, policy: DriftPolicy) -> tuple[float, float] | bool | None:
    """What the alert's distribution shows: how far mean and shape moved, in standard deviations of the reference; of
    categories whether their shares changed by what matters. None when there is none that can be read."""
    told = alert.distribution
    sides = _sides(told) if told is not None else None
    if told is None or sides is None:
        return None
    chance = _chance(told.current_size or alert.sample_size, told.reference_size)
    found = _effect(*sides, bounds_of(told.labels), policy, chance)
    return (found.measures[MOVE], found.measures[SHAPE]) if MOVE in found.measures else found.changed >= 1


def _sides(told: Distribution) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    reference, current = shares_of(told.reference), shares_of(told.current)
    readable = reference and len(reference) == len(current) == len(told.labels) >= 2
    return (reference, current) if readable else None


def psi_limit(bins: int, rows: int, reference_rows: int) -> float:
    """What the stability index exceeds by chance in PSI_ALPHA of checks when nothing has changed."""
    from tocsin.decide.statistics import chi_square_limit  # noqa: PLC0415 as above

    return chi_square_limit(PSI_ALPHA, bins - 1) * (1 / rows + 1 / reference_rows)


@dataclass(frozen=True, slots=True)
class _Effect:
    """The distances; the move of the mean and the change of shape (or shares), each over what matters of its kind."""

    measures: dict[str, float]
    moved: float
    changed: float


def _effect(
    reference: tuple[float, ...], current: tuple[float, ...], bounds: Bounds, policy: DriftPolicy, chance: float
) -> _Effect:
    """The move of the mean and, after taking that away, the shape's, both in standard deviations of the reference; for
    categories the Jensen-Shannon distance without what `chance` (1/rows + 1/rows of the reference, 0 when not told)
    adds to it: a distance is never negative, so that few rows always show one."""
    divergence = jensen_shannon(reference, current)
    measures = {
        "PSI": psi(reference, current),
        "KL": kullback_leibler(reference, current),
        "Jensen-Shannon distance": math.sqrt(divergence),
        "KS": kolmogorov_smirnov(reference, current),
    }
    sd = deviation(reference, bounds) if bounds else 0.0
    if not 0 < sd < math.inf:
        del measures["KS"]
        # For small distances the divergence is an eighth of chi-square over the rows, whose mean is its freedom.
        beyond = max(divergence - (len(current) - 1) * chance / 8, 0.0)
        return _Effect(measures, 0.0, math.sqrt(beyond) / policy.distance)
    move = mean(current, bounds) - mean(reference, bounds)
    shape = wasserstein(reference, current, bounds, shifted=-move) / sd
    measures["Wasserstein, sd"] = wasserstein(reference, current, bounds) / sd
    measures[MOVE] = move / sd
    measures[SHAPE] = shape
    return _Effect(measures, abs(move) / sd / policy.mean_shift, shape / policy.shape)


def _chance(rows: int | None, before: int | None) -> float:
    return 1 / rows + 1 / before if rows and before else 0.0


def _tested(
    reference: tuple[float, ...], current: tuple[float, ...], rows: int, before: int, *, ordered: bool
) -> tuple[str, float]:
    """Ordered bins by Kolmogorov–Smirnov, which sees a shift best; categories by chi-square."""
    from tocsin.decide.statistics import bridge_tail, chi_square_tail  # noqa: PLC0415 as above

    if ordered:
        weight = rows / (rows + before)
        pooled = [weight * c + (1 - weight) * r for r, c in zip(reference, current, strict=True)]
        height = kolmogorov_smirnov(reference, current) * math.sqrt(rows * before / (rows + before))
        return "Kolmogorov-Smirnov on the bins", bridge_tail(height, list(accumulate(pooled))[:-1])
    found, freedom = chi_square(reference, current, rows, before)
    return "chi-square", chi_square_tail(found, freedom) if freedom else 1.0


def chi_square(reference: Sequence[float], current: Sequence[float], rows: int, before: int) -> tuple[float, int]:
    """The statistic of homogeneity and its degrees of freedom; categories with fewer than EXPECTED rows expected on
    the smaller side are taken together."""
    fewer = min(rows, before)
    cells: list[tuple[float, float]] = []
    rare = (0.0, 0.0)
    for r, c in zip(reference, current, strict=True):
        counts = (r * before, c * rows)
        if sum(counts) * fewer / (rows + before) < EXPECTED:
            rare = (rare[0] + counts[0], rare[1] + counts[1])
        else:
            cells.append(counts)
    cells += [rare] if sum(rare) > 0 else []
    total = rows + before
    found = 0.0
    for was, now in cells:
        for count, size in ((was, before), (now, rows)):
            expected = (was + now) * size / total
            found += (count - expected) ** 2 / expected
    return found, len(cells) - 1
