"""Is the timeline drawn the same every time, whatever its texts hold, and only where drawing belongs?"""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image

from tests.decide import tickets
from tests.decide.tickets import REDACTOR
from tocsin.decide.timeline import timeline
from tocsin.domain.timeline import Timeline
from tocsin.drawing import SEVERITIES, png


def shown(name: str) -> Timeline:
    case = tickets.CASES[name]
    return timeline(case.incident(), case.changes, catalog=case.catalog, redactor=REDACTOR)


@pytest.mark.parametrize("name", sorted(tickets.CASES))
def test_the_same_timeline_gives_the_same_bytes(name: str) -> None:
    first = png(shown(name))
    assert first == png(shown(name))
    assert len(first) < 150_000
    with Image.open(BytesIO(first)) as picture:
        assert (picture.format, picture.width, set(picture.info) - {"dpi"}) == ("PNG", 1000, set())
        assert 180 <= picture.height <= 700


@pytest.mark.parametrize(
    "text", [r"$\frac{1}{0}$", "$unclosed", "注文 🚀", "a\x07b", "W" * 5_000, "", "{}%s\\", "\u202eabc"]
)
def test_any_text_is_drawn_as_it_stands(text: str) -> None:
    one = shown("orders")
    lanes = tuple(replace(lane, name=text, remark=text) for lane in one.lanes)
    causes = tuple(replace(cause, name=text) for cause in one.causes)
    assert png(replace(one, title=text, verdict=text, lanes=lanes, causes=causes)).startswith(b"\x89PNG")


def test_printed_grey_a_worse_severity_is_darker() -> None:
    def light(color: str) -> float:
        red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
        return 0.299 * red + 0.587 * green + 0.114 * blue

    lights = [light(SEVERITIES[severity]) for severity in sorted(SEVERITIES, key=lambda one: one.rank)]
    assert lights == sorted(lights)
    assert all(right - left > 20 for left, right in itertools.pairwise(lights))


def test_nobody_else_loads_the_library() -> None:
    """Web, receiver, worker and beat (one module), and the command line."""
    code = (
        "import sys, tocsin.web.site, tocsin.receive, tocsin.worker, tocsin.delivery, tocsin.cli.worker;"
        " print([m for m in ('matplotlib', 'PIL') if m in sys.modules])"
    )
    assert said_by(code) == "[]"


def test_no_state_of_the_plotting_library_is_shared() -> None:
    assert said_by("import sys, tocsin.drawing; print('matplotlib.pyplot' in sys.modules)") == "False"


def test_the_process_that_scores_and_draws_stays_small() -> None:
    code = (
        "import tocsin.decide.attribute, tocsin.decide.statistics, tocsin.worker;"
        " from tests.test_drawing import png, shown;"
        " [png(shown('storm')) for _ in range(10)];"
        " print(next(int(line.split()[1]) // 1024 for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    assert int(said_by(code)) < 300, "MB"


def said_by(code: str) -> str:
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return ran.stdout.strip()
