"""What is said of an alert's habits: a clause for the ticket, every number for the evidence file."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tocsin.decide.usual import KEPT_OPENINGS, chance_of_openings, openings
from tocsin.decide.wording import Pen, amount, label_of
from tocsin.domain.alert import AlertState
from tocsin.domain.history import Measure, Season, Usual

OFTEN = 4
"""From so many openings in 24 hours on the ticket says so: where flapping begins (correlation.md §4)."""
NO_SURPRISE = 0.05
"""An alert's own rate brings as many openings this often: then they are usual for it."""
FAR = 3.5
"""A robust z from which a value is an outlier (Iglewicz and Hoaglin 1993)."""
MAX_ALERTS = 100
"""So many get a paragraph in the file."""
USUAL = ", usual for it"
_WHEN = {
    Season.WEEK: "usual at this hour of the week",
    Season.DAY: "usual at this hour",
    Season.ALL: "usual",
    Season.FIRED: "when it fired before",
}


def usual_line(members: Sequence[AlertState], pen: Pen) -> str:
    """`nulls, usual at this hour: 0.8–1.4 %, now 31 %`, of the alert that is farthest from what is usual for it; of
    one that is not, `nulls, 3 % is usual at this hour (1–4 %)`. Empty when too little is known."""
    known = [(member, member.usual) for member in members if member.usual is not None and _is_plain(member)]
    if not known:
        return ""
    member, usual = max(known, key=lambda found: (_distance(found[1]), found[0].fingerprint))
    several = len({m.alert.subject for m in members}) > 1
    label = f"{pen.name(member.alert.subject)} {label_of(member.alert)}" if several else label_of(member.alert)
    now, span = amount(member.alert, usual.value), _range(member, usual)
    if usual.season is not Season.FIRED and usual.inside:
        return f"{pen.said(label, 100)}, {now} is {_WHEN[usual.season]} ({span})"
    return f"{pen.said(label, 100)}, {_WHEN[usual.season]}: {span}, now {now}"


def openings_words(members: Sequence[AlertState], pen: Pen) -> str:
    """`HighDiskIO on db-1 opened 9 times in 24 h, usual for it`; empty when none of them opens often."""
    often = sorted((m for m in members if openings(m)[0] >= OFTEN), key=lambda m: (-openings(m)[0], m.fingerprint))
    if not often:
        return ""
    first = often[0]
    more = f"; {len(often) - 1} more open often" if len(often) > 1 else ""
    return f"{pen.said(first.alert.name, 60)} on {pen.name(first.alert.subject)} {_opened(first)}{more}"


def as_usual_words(members: Sequence[AlertState]) -> str:
    """`31 % is usual at this hour (28–35 %)`, when the values of all these alerts are; else empty."""
    usual = [m.usual for m in members if m.usual is not None and _is_plain(m) and m.usual.season is not Season.FIRED]
    if len(usual) < len(members) or not all(one.inside for one in usual):
        return ""
    now, more = amount(members[0].alert, usual[0].value), " and the others too" if len(usual) > 1 else ""
    return f"{now} is {_WHEN[usual[0].season]} ({_range(members[0], usual[0])}){more}"


def opened_as_usual(members: Sequence[AlertState]) -> str:
    """`HighDiskIO opened 9 times in 24 h, usual for it`, when all these alerts open often and are known for it."""
    if not all(openings(m)[0] >= OFTEN and _opened(m).endswith(USUAL) for m in members):
        return ""
    most = max(members, key=lambda m: (openings(m)[0], m.fingerprint))
    return f"{most.alert.name} {_opened(most)}"


def _opened(member: AlertState) -> str:
    lately, earlier, days = openings(member)
    least = "at least " if lately >= KEPT_OPENINGS else ""
    said = f"opened {least}{lately} times in 24 h"
    if days < 1:
        return said
    if chance_of_openings(lately, earlier, days) > NO_SURPRISE:
        return f"{said}{USUAL}"
    return f"{said}, {earlier / days:.2g} a day before" if earlier else f"{said}, not once in {days:.0f} days before"


def usual_text(members: Sequence[AlertState]) -> str:
    """Every number as a part of the evidence file; empty when no alert has habits that are known."""
    told = [lines for member in sorted(members, key=lambda m: m.fingerprint) if (lines := _paragraph(member))]
    if not told:
        return ""
    lines = ["What is usual for these alerts?", "Usual is where the middle four in five of the earlier values lie."]
    for paragraph in told[:MAX_ALERTS]:
        lines += ["", *paragraph]
    if (left := len(told) - MAX_ALERTS) > 0:
        lines += ["", f"{left} more"]
    return "\n".join(lines)


def _paragraph(member: AlertState) -> list[str]:
    lines = []
    if member.usual is not None and _is_plain(member):
        lines.append(f"   {_numbers(member, member.usual)}")
    if openings(member)[0] >= OFTEN:
        lines.append(f"   {_opened(member)}")
    return [f"{member.alert.name} on {member.alert.subject}", *lines] if lines else []


def _numbers(member: AlertState, usual: Usual) -> str:
    """`nulls: now 31 %, usual at this hour 0.8–1.4 %, median 1.1 % of 42 values; far outside (robust z = 84)`."""
    alert = member.alert
    if usual.z is None:
        verdict = "as always" if usual.inside else "half of these or more were the same, so that there is no z"
    else:
        place = "within" if usual.inside else "far outside" if abs(usual.z) >= FAR else "outside"
        verdict = f"{place} (robust z = {usual.z:.3g})"
    return (
        f"{label_of(alert)}: now {amount(alert, usual.value)}, {_WHEN[usual.season]} {_range(member, usual)},"
        f" median {amount(alert, usual.middle)} of {usual.count} values; {verdict}"
    )


def _is_plain(member: AlertState) -> bool:
    """What a drift test measured has words of its own."""
    return member.history.of is Measure.OBSERVED


def _distance(usual: Usual) -> float:
    if usual.z is not None:
        return abs(usual.z)
    return 0.0 if usual.inside else math.inf


def _range(member: AlertState, usual: Usual) -> str:
    """`0.8–1.4 %`, `180 ms–2.3 s`: the unit once where it is the same."""
    low, high = amount(member.alert, usual.low), amount(member.alert, usual.high)
    if low == high:
        return low
    number, _, unit = low.rpartition(" ")
    return f"{number}–{high}" if number and " " not in number and unit == high.rpartition(" ")[2] else f"{low}–{high}"
