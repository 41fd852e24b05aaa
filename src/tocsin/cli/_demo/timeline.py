"""When did what happen? One incident as a small SVG: changes above the line, its alerts below."""

from __future__ import annotations

from datetime import datetime, timedelta

from markupsafe import Markup, escape

from tocsin.cli._demo.insight import Insight

WIDTH, LEFT, RIGHT = 860, 20, 90
ROW, TOP = 18, 14
MOST_CHANGES = 6
MARGIN = timedelta(minutes=5)
BOTH_LABELS = 200
"""A span wide enough for both clock times inside it."""


def timeline(insight: Insight) -> Markup:
    """The incident's svg element; colours come from the page's custom properties."""
    changes = _nearest_first(insight)
    first = min([insight.began_at, *(at for at, _, _ in changes)]) - MARGIN
    last = max(insight.ended_at or insight.starts[-1], insight.starts[-1]) + MARGIN

    def x(at: datetime) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((at - first) / (last - first))

    line_y = TOP + ROW * len(changes) + 8
    parts = [
        _bar(x(insight.began_at), x(insight.ended_at or last - MARGIN), line_y),
        *(_change(x(at), TOP + ROW * row, line_y, words, cause) for row, (at, words, cause) in enumerate(changes)),
        *(Markup('<circle class="alert" cx="{}" cy="{}" r="2.5"/>').format(round(at, 1), line_y + 9)
          for at in sorted({round(x(start), 1) for start in insight.starts})),
    ]  # fmt: skip
    over_x = x(insight.ended_at) if insight.ended_at else WIDTH
    narrow = over_x - x(insight.began_at) < BOTH_LABELS
    first_words = f"first alert {insight.began_at:%H:%M} UTC"
    parts.append(_clock(x(insight.began_at), line_y + 27, first_words, anchor="end" if narrow else "start"))
    if insight.ended_at is not None:
        parts.append(
            _clock(over_x, line_y + 27, f"over {insight.ended_at:%H:%M} UTC", anchor="start" if narrow else "end")
        )
    label = escape(f"Timeline of {insight.display}")
    opened = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, line_y + 34, label)
    return opened + Markup("").join(parts) + Markup("</svg>")


def _nearest_first(insight: Insight) -> list[tuple[datetime, str, bool]]:
    """The cause and the latest others, by time."""
    ranked = sorted(insight.changes, key=lambda change: (not change[2], -change[0].timestamp()))
    return sorted(ranked[:MOST_CHANGES])


def _bar(begin: float, end: float, y: float) -> Markup:
    rail = Markup('<line class="rail" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(LEFT, WIDTH - RIGHT, y, y)
    width = max(round(end - begin, 1), 3)
    return rail + Markup('<rect class="lasts" x="{}" y="{}" width="{}" height="6" rx="3"/>').format(
        round(begin, 1), y - 3, width
    )


def _change(at: float, y: float, line_y: float, words: str, is_cause: bool) -> Markup:
    kind = "cause" if is_cause else "innocent"
    late = at > WIDTH * 0.6
    stem = Markup('<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
        kind, round(at, 1), round(at, 1), y, line_y - 4
    )
    text = Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        kind, round(at - 6 if late else at + 6, 1), y + 4, "end" if late else "start", words
    )
    return stem + Markup('<circle class="{}" cx="{}" cy="{}" r="3.5"/>').format(kind, round(at, 1), y) + text


def _clock(at: float, y: float, words: str, *, anchor: str = "start") -> Markup:
    return Markup('<text class="clock" x="{}" y="{}" text-anchor="{}">{}</text>').format(round(at, 1), y, anchor, words)
