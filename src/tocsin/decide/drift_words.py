"""What is said of a drift: one sentence for the ticket, every number for the evidence file."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.decide.checks import REMEMBERED
from tocsin.decide.wording import counted
from tocsin.domain.drift import DRIFTS, Drift, Finding, Shift

MAX_SHIFTS = 100
"""So many get a paragraph in the file."""
_ORDINALS = ("second", "third", "fourth", "fifth", "sixth")
_FINDINGS = {
    Finding.SHIFTED: "shifted",
    Finding.SMALL: "moved, but too little to matter",
    Finding.CHANCE: "chance alone may do this",
    Finding.UNTESTED: "not tested",
}


def sentence_of(drift: Drift) -> str:
    """`12 of 50 features shifted, most: device_locale, third window in a row`. Only drift gets words, not a share that
    broke its limit; when none of it was tested it says so."""
    drifts = [s for s in drift.shifts if s.symptom in DRIFTS]
    if not drifts:
        return ""
    by = {finding: [s for s in drifts if s.finding is finding] for finding in Finding}
    said = ""
    if by[Finding.SHIFTED]:
        said = _shifted(by[Finding.SHIFTED], drift)
    elif by[Finding.SMALL]:
        how = "as much as usual at this hour" if by[Finding.SMALL][0].as_usual else "but too little to matter"
        said = f"{_name(by[Finding.SMALL][0])} did move, tested, {how}"
    elif by[Finding.CHANCE]:
        said = f"chance alone may move {_rows(by[Finding.CHANCE])} as much as {_name(by[Finding.CHANCE][0])} moved"
    untested = len(by[Finding.UNTESTED])
    if not said:
        return "vendor threshold, not tested"
    return f"{said}, {untested} not tested" if untested else said


def _shifted(shifted: Sequence[Shift], drift: Drift) -> str:
    most, about = shifted[0], {(s.subject, s.segment) for s in shifted}
    row = f", {_ordinal(most)} window in a row" if most.in_a_row > 1 else ""
    if drift.of == 1 or any(s.subject.kind != "feature" for s in shifted):
        more = f" and {len(about) - 1} more" if len(about) > 1 else ""
        return f"{_name(most)}{more} shifted by more than chance{row}"
    silent = drift.of > len({(s.subject, s.segment) for s in drift.shifts})
    count = f"{len(about)} of {drift.of} features" if silent else counted(len(about), "feature")
    return f"{count} shifted, most: {_name(most)}{row}"


def _ordinal(shift: Shift) -> str:
    return _ORDINALS[min(shift.in_a_row, REMEMBERED) - 2]


def _name(shift: Shift) -> str:
    return shift.subject.name + (f" for {shift.segment}" if shift.segment else "")


def _rows(shifts: Sequence[Shift]) -> str:
    rows = min((s.rows for s in shifts if s.rows is not None), default=None)
    return f"{rows:,} rows" if rows is not None else "so few rows"


def drift_text(drift: Drift) -> str:
    """Every number as a part of the evidence file, the strongest shift first."""
    lines = [
        "Did it really move, and enough to matter?",
        f"{len(drift.shifts)} reported of {drift.of} watched, {drift.tested} tested; q is Benjamini-Hochberg over all"
        " that were watched.",
    ]
    for shift in drift.shifts[:MAX_SHIFTS]:
        segment = f" for {shift.segment}" if shift.segment else ""
        lines += ["", f"{shift.subject}{segment}: {_found(shift)}", f"   {_how(shift)}"]
        lines += [f"   {numbers}"] if (numbers := _numbers(shift)) else []
    if (left := len(drift.shifts) - MAX_SHIFTS) > 0:
        lines += ["", f"{left} more"]
    return "\n".join(lines)


def _found(shift: Shift) -> str:
    return "moved, but as much as usual at this hour" if shift.as_usual else _FINDINGS[shift.finding]


def _how(shift: Shift) -> str:
    rows = f"{shift.rows:,} rows" if shift.rows is not None else ""
    against = f" against {shift.reference_rows:,}" if shift.reference_rows is not None else ""
    row = f"{_ordinal(shift)} failed check in a row" if shift.in_a_row > 1 else ""
    chance = f"p = {_small(shift.p)}, q = {_small(shift.q)}" if shift.p is not None and shift.q is not None else ""
    return "; ".join(part for part in (shift.test, f"{rows}{against}", chance, row) if part)


def _numbers(shift: Shift) -> str:
    """`Wasserstein 0.41 sd, PSI 0.31 (limit 0.08 at n = 400)`."""
    said = []
    for name, value in shift.measures.items():
        if name == "PSI limit":
            continue
        what, _, unit = name.partition(", ")
        limit = shift.measures.get("PSI limit") if name == "PSI" else None
        told = f" (limit {limit:.2g} at n = {shift.rows})" if limit is not None else ""
        said.append(f"{what} {value:.3g}{f' {unit}' if unit else ''}{told}")
    return ", ".join(said)


def _small(p: float) -> str:
    return f"{p:.2g}" if p >= 1e-9 else "< 1e-9"
