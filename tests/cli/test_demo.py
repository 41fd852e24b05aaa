"""The whole demo, with real processes: what `make demo ONCE=1` runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.rehearsal import SHIPPED

pytestmark = pytest.mark.e2e


def test_every_expectation_of_the_demo_holds(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tocsin.cli", "demo", "--once", "--mappings", str(SHIPPED)],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert "webhooks → 1 page, 5 tickets, 3 muted" in done.stdout
    assert "\x1b[" not in done.stdout
    report = (tmp_path / "demo-report.html").read_text()
    assert "run ingest-orders #8841" in report
    assert "<script" not in report
    assert [path.name for path in tmp_path.iterdir()] == ["demo-report.html"]
