"""The ticket on the terminal and in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.connectors.builders import KEY, WANTED, after, note, task, wanted
from tocsin.connectors import find, open_http
from tocsin.domain.record import Outcome, Reason, Task

CONSOLE = find("console")


def show(one: Task, path: Path | None = None) -> Outcome:
    config = CONSOLE.Config(path=path)
    return CONSOLE.send(config, one, open_http(config))


def test_the_ticket_is_printed_plainly_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = show(task(notes=(note(1),)))
    printed = capsys.readouterr().out
    assert "\x1b[" not in printed
    for text in (WANTED.display, WANTED.title, "Likely cause: deploy of job:baskets", "rose to 31 %", "returns-ml"):
        assert text in printed
    assert outcome.confirmation is not None
    assert (outcome.result, outcome.confirmation.external_id, outcome.calls) == ("done", KEY, 0)


def test_words_of_a_sender_are_text_and_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show(task(wanted=wanted(body="array[int] [/] [bold]x[/bold]")))
    assert "array[int] [/] [bold]x[/bold]" in capsys.readouterr().out


def test_what_has_not_changed_is_not_printed_again(capsys: pytest.CaptureFixture[str]) -> None:
    first = task()
    second = after(show(first), first)
    capsys.readouterr()
    assert show(second).result == "duplicate"
    assert capsys.readouterr().out == ""


def test_a_file_never_holds_the_same_twice(tmp_path: Path) -> None:
    path = tmp_path / "tickets.txt"
    first, resolved = task(), task(wanted=wanted(status="resolved"), sent_wanted=WANTED)
    assert [show(one, path).result for one in (first, first, resolved, resolved)] == ["done", "duplicate"] * 2
    assert path.read_text(encoding="utf-8").count(WANTED.title) == 2


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    outcome = show(task(), tmp_path / "missing" / "tickets.txt")
    assert (outcome.result, outcome.reason) == ("rejected", Reason.FORBIDDEN)
    assert "tickets.txt" in outcome.detail
