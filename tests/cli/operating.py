"""Run an operator's command in this process against a world's database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from tests.pipeline.world import World
from tocsin.cli import main

KEPT = (
    *("messages", "inbox", "quarantine", "signals", "alerts", "occurrences", "changes", "incidents", "records"),
    *("notes", "attempts", "audit", "message_ids", "mapping_versions", "jobs", "courses", "scored_courses"),
)


class Operator:
    """Somebody at the terminal of this world's installation."""

    def __init__(self, world: World, environment: pytest.MonkeyPatch) -> None:
        self.world = world
        settings = world.app.settings
        for name, value in {
            "TOCSIN_DATABASE_URL": settings.database_url,
            "TOCSIN_DATA_KEY": settings.data_key.get_secret_value(),
            "TOCSIN_MAPPINGS_DIR": str(settings.mappings_dir),
            "TOCSIN_DATA_DIR": str(settings.data_dir),
        }.items():
            environment.setenv(name, value)

    def runs(self, *words: str | Path, status: int = 0) -> Result:
        said = CliRunner().invoke(main, [str(word) for word in words])
        assert said.exit_code == status, said.output + said.stderr + repr(said.exception)
        return said

    def asks(self, *words: str | Path, status: int = 0) -> Any:
        """The one JSON value that the command answers with `--json`."""
        return orjson.loads(self.runs(*words, "--json", status=status).stdout)

    def lines(self, *words: str | Path) -> list[Any]:
        """The JSON values of its lines."""
        return [orjson.loads(line) for line in self.runs(*words, "--json").stdout.splitlines()]

    def counts(self) -> dict[str, int]:
        """Rows of every table."""
        counted = {table: self.world.sql(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in KEPT}
        return counted | self.world.sql("SELECT last_value AS numbers FROM incident_numbers")[0]
