"""Are commands found by file, explained, and their errors readable?"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tocsin.cli import SECTIONS, CommandsByFile, main
from tocsin.domain.errors import BadSetting

FILES = sorted(
    path.stem.replace("_", "-")
    for path in (Path(__file__).parents[2] / "src" / "tocsin" / "cli").glob("*.py")
    if not path.stem.startswith("_")
)


def test_every_file_is_a_command_and_nothing_else_is() -> None:
    assert isinstance(main, CommandsByFile)
    assert main.list_commands(click.Context(main)) == FILES
    assert {"up", "web", "worker", "beat", "db"} <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_every_command_has_help(name: str) -> None:
    said = CliRunner().invoke(main, [name, "--help"], catch_exceptions=False)
    assert said.exit_code == 0
    assert said.output.startswith("Usage: ")


def test_help_lists_every_command_once_under_its_section() -> None:
    said = CliRunner().invoke(main, ["--help"], catch_exceptions=False).output
    places = [said.index(f"{section.capitalize()}:") for section in SECTIONS if f"{section.capitalize()}:" in said]
    assert places == sorted(places)
    listed = [line.split()[0] for line in said[places[0] :].splitlines() if line.startswith("  ") and line[2] != " "]
    assert sorted(listed) == FILES


def test_version_is_the_package_s() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"tocsin, version {version('tocsin')}\n"


def test_a_wrong_name_is_refused() -> None:
    assert CliRunner().invoke(main, ["embedded"]).exit_code == 2


def test_an_error_of_ours_is_a_red_message_and_status_2() -> None:
    @click.command()
    def broken() -> None:
        raise BadSetting("TOCSIN_DATA_KEY is not set; make one")

    group = CommandsByFile()
    group.add_command(broken)
    group.get_command = click.Group.get_command.__get__(group)  # type: ignore[method-assign]
    said = CliRunner().invoke(group, ["broken"], color=True)
    assert said.exit_code == 2
    assert said.stderr == "\x1b[31mtocsin: TOCSIN_DATA_KEY is not set; make one\x1b[0m\n"


def test_a_reader_that_leaves_early_is_no_error_worth_a_traceback() -> None:
    command = f"{sys.executable} -m tocsin.cli up --help | true"
    said = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert said.stderr == ""


def test_a_command_starts_fast_because_it_imports_late() -> None:
    code = "import sys, tocsin.cli; print([m for m in ('scipy', 'celery', 'sqlalchemy', 'flask') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "missing"),
    [("web", "TOCSIN_DATABASE_URL"), ("worker", "TOCSIN_REDIS_URL"), ("beat", "TOCSIN_DATA_KEY")],
)
def test_a_server_without_settings_says_which_one_it_needs(
    name: str, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("TOCSIN_DATABASE_URL", "TOCSIN_REDIS_URL", "TOCSIN_DATA_KEY", "TOCSIN_DATA_DIR"):
        monkeypatch.delenv(variable, raising=False)
    said = CliRunner().invoke(main, [name])
    assert said.exit_code == 2
    assert f"{missing} (or {missing}_FILE) is not set" in said.stderr
