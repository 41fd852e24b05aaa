"""Draws a timeline as a PNG of 1000 pixels' width, with matplotlib's Agg canvas and the font that it brings along.

Importing this costs about a second and 40 MB: only the process that draws does. The same timeline gives the same bytes.
Every text is drawn as it stands, never as markup.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Affine2D

from tocsin.domain.alert import Severity
from tocsin.domain.timeline import Cause, Curve, Lane, Timeline

WIDTH, DPI = 1000, 100
ROW, TOP, BOTTOM, GAP = 26, 92, 58, 20
"""Pixels: a line's height, what title and captions take, what the axis takes, the space between changes and alerts."""
NAMES, LEFT, RIGHT, REMARKS = 16, 310, 786, 800
"""Pixels from the left: names of lines, the axis from and to, remarks."""

INK, GREY, FAINT, RULE = "#1a1a1a", "#5f5f5f", "#9a9a9a", "#dddddd"
CAUSE, UNSURE = "#0072B2", "#e8eef3"
SEVERITIES = {
    Severity.CRITICAL: "#8c2d04",
    Severity.ERROR: "#D55E00",
    Severity.WARNING: "#E69F00",
    Severity.INFO: "#b8b8b8",
}
"""Okabe and Ito's palette, which colour-blind readers tell apart; printed grey the worse is the darker."""

_FONTS = Path(mpl.get_data_path()) / "fonts" / "ttf"
_PLAIN, _BOLD = _FONTS / "DejaVuSans.ttf", _FONTS / "DejaVuSans-Bold.ttf"
_UNKNOWN = "□"


def png(shown: Timeline) -> bytes:
    """The picture's bytes."""
    rows = len(shown.causes) + 1 + len(shown.lanes) + len(shown.curves)
    height = TOP + rows * ROW + GAP * (2 if shown.curves else 1) + BOTTOM
    figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    _Sheet(figure, height).draw(shown)
    written = BytesIO()
    canvas.print_png(written, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return written.getvalue()


class _Sheet:
    """Draws in pixels, from the upper left corner. There are no axes: a ruler of 20 ticks is drawn sooner than asked
    for."""

    def __init__(self, figure: Figure, height: int) -> None:
        self.figure = figure
        self.pixels = Affine2D().scale(1, -1).translate(0, height)

    def draw(self, shown: Timeline) -> None:
        self.text(NAMES, 22, shown.title, size=11, bold=True, room=WIDTH - 2 * NAMES)
        strong = any(cause.strong for cause in shown.causes)
        self.text(NAMES, 48, shown.verdict, size=11, room=WIDTH - 2 * NAMES, color=CAUSE if strong else INK)
        alerts = TOP + (len(shown.causes) + 1) * ROW + GAP
        measured = alerts + len(shown.lanes) * ROW + GAP
        foot = measured + len(shown.curves) * ROW if shown.curves else measured - GAP
        self._axis(shown, foot)
        self.text(NAMES, TOP - 14, "CHANGES", size=7.5, color=GREY)
        for row, cause in enumerate(shown.causes):
            self._cause(cause, TOP + (row + 0.5) * ROW, x(shown.began), first=row == 0)
        self._others(shown, TOP + (len(shown.causes) + 0.5) * ROW)
        self.text(NAMES, alerts - 6, "ALERTS", size=7.5, color=GREY)
        for row, lane in enumerate(shown.lanes):
            self._lane(lane, alerts + (row + 0.5) * ROW + 4)
        if shown.curves:
            self.text(NAMES, measured - 6, "MEASURED", size=7.5, color=GREY)
        for row, curve in enumerate(shown.curves):
            self._curve(curve, measured + (row + 0.5) * ROW + 4)

    def _axis(self, shown: Timeline, foot: float) -> None:
        began, looked = x(shown.began), x(shown.looked)
        self.box(began, TOP, looked - began, foot - TOP + 12, color="#f4f1ec", zorder=0)
        if shown.began_after is not None:
            unsure = x(shown.began_after)
            self.box(unsure, TOP, began - unsure, foot - TOP + 12, color=UNSURE, zorder=0)
        for tick in shown.ticks:
            self.line(x(tick.at), x(tick.at), TOP, foot + 12, color=RULE)
            self.text(x(tick.at), foot + 22, tick.clock, size=8, align="center", color=INK)
            self.text(x(tick.at), foot + 37, tick.lag, size=7.5, align="center", color=GREY)
        self.line(LEFT, RIGHT, foot + 12, foot + 12, color=GREY)
        self.line(began, began, TOP - 6, foot + 12, color=INK, width=1.6)
        self.line(looked, looked, TOP - 6, foot + 12, color=GREY, style=(0, (3, 3)))
        self.text(
            began, TOP - 14, shown.began_words, size=8.5, bold=True, align="right" if shown.began > 0.5 else "left"
        )
        self.text(REMARKS, TOP - 14, shown.looked_words, size=8, color=GREY, room=WIDTH - REMARKS - 8)
        self.text(NAMES, foot + 22, shown.day, size=8, color=INK)
        self._legend(shown, foot + 22)
        if shown.stretched:
            self.text(NAMES, foot + 37, "axis stretched around the beginning", size=7.5, color=GREY)

    def _legend(self, shown: Timeline, y: float) -> None:
        """The severities that occur, as colours."""
        used = {bar.severity for lane in shown.lanes for bar in lane.bars}
        at = float(REMARKS)
        for severity in sorted(used, key=lambda one: one.rank):
            self.box(at, y - 5, 10, 10, color=SEVERITIES[severity], zorder=3)
            self.text(at + 14, y, severity, size=7.5, color=GREY)
            at += 22 + _width(severity, _PLAIN, 7.5)

    def _cause(self, cause: Cause, y: float, began: float, *, first: bool) -> None:
        color = CAUSE if cause.strong else GREY
        at = x(cause.at)
        self.text(NAMES, y, cause.name, size=9, bold=first and cause.strong, room=LEFT - NAMES - 8, color=INK)
        if abs(began - at) > 14:
            width = 1.6 if cause.strong else 0.8
            ends = ((at, y), (began, y))
            self.add(
                FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=10, color=color, lw=width, shrinkA=6, shrinkB=0)
            )
        self.mark(at, y, "D", 8, color, fill=color if cause.strong else "white")
        self.text(
            REMARKS, y, f"{cause.probability}, {cause.lag}", size=9, bold=first and cause.strong, color=color,
            room=WIDTH - REMARKS - 8,
        )  # fmt: skip

    def _others(self, shown: Timeline, y: float) -> None:
        self.text(NAMES, y, "other changes" if shown.causes else "changes", size=9, color=GREY)
        for place in shown.others:
            self.line(x(place), x(place), y - 6, y + 6, color=FAINT)
        self.text(REMARKS, y, shown.others_remark, size=9, color=GREY, room=WIDTH - REMARKS - 8)

    def _lane(self, lane: Lane, y: float) -> None:
        self.text(NAMES, y, lane.name, size=9, room=LEFT - NAMES - 8)
        self.text(REMARKS, y, lane.remark, size=9, color=GREY, room=WIDTH - REMARKS - 8)
        for bar in lane.bars:
            color = SEVERITIES[bar.severity]
            begin, end = x(bar.begin), max(x(bar.end), x(bar.begin) + 3)
            self.box(begin, y - 7, end - begin, 14, color=color, zorder=3)
            if bar.firing:
                self.mark(end + 4, y, ">", 6, color, fill=color)
        for place in lane.begins:
            self.line(x(place), x(place), y - 9, y + 9, color=INK, zorder=5)

    def _curve(self, curve: Curve, y: float) -> None:
        self.text(NAMES, y, curve.name, size=9, room=LEFT - NAMES - 8)
        self.text(REMARKS, y, curve.remark, size=9, color=GREY, room=WIDTH - REMARKS - 8)
        places, heights = [x(place) for place, _ in curve.points], [y + 9 - 18 * high for _, high in curve.points]
        self.add(Line2D(places, heights, color=INK, lw=1.0, zorder=3))

    def line(
        self, x0: float, x1: float, y0: float, y1: float, *, color: str, width: float = 1.0,
        style: str | tuple[int, tuple[int, int]] = "-", zorder: float = 2,
    ) -> None:  # fmt: skip
        self.add(Line2D([x0, x1], [y0, y1], color=color, lw=width, ls=style, zorder=zorder, solid_capstyle="butt"))

    def box(self, left: float, top: float, width: float, height: float, *, color: str, zorder: float) -> None:
        self.add(Rectangle((left, top), width, height, fc=color, lw=0, zorder=zorder))

    def mark(self, at: float, y: float, shape: str, size: float, color: str, *, fill: str) -> None:
        self.add(Line2D([at], [y], marker=shape, ms=size, mfc=fill, mec=color, mew=1.4, ls="", zorder=4))

    def add(self, artist: Artist) -> None:
        artist.set_transform(self.pixels)
        self.figure.add_artist(artist)

    def text(
        self, at: float, y: float, text: str, *, size: float, bold: bool = False, color: str = INK,
        align: str = "left", room: float = float("inf"),
    ) -> None:  # fmt: skip
        """One line that takes at most `room` pixels; what does not fit ends in an ellipsis."""
        font = _BOLD if bold else _PLAIN
        words = Text(
            at, y, _fitted(text, font, size, room), parse_math=False, usetex=False, color=color, ha=align,
            va="center_baseline", fontproperties=FontProperties(fname=font, size=size), zorder=6,
        )  # fmt: skip
        self.add(words)


def x(place: float) -> float:
    """Pixels from the left of a place on the axis."""
    return LEFT + place * (RIGHT - LEFT)


@cache
def _face(font: Path) -> FT2Font:
    return FT2Font(str(font))


@cache
def _advance(font: Path, sign: str) -> float:
    """Width of one character at size 1, in pixels of our resolution."""
    face = _face(font)
    face.set_size(100, DPI)
    return float(face.load_char(ord(sign)).linearHoriAdvance) / 65536 / 100


def _width(text: str, font: Path, size: float) -> float:
    return sum(_advance(font, sign) for sign in text) * size


def _fitted(text: str, font: Path, size: float, room: float) -> str:
    """The text in the font's own characters, cut to the room."""
    known = _face(font).get_charmap()
    drawn = "".join(sign if ord(sign) in known else _UNKNOWN for sign in text)
    if _width(drawn, font, size) <= room:
        return drawn
    left, kept = room - _advance(font, "…") * size, 0
    for sign in drawn:
        left -= _advance(font, sign) * size
        if left < 0:
            break
        kept += 1
    return f"{drawn[:kept].rstrip()}…"
