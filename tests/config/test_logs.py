"""Whatever is logged, secrets stay out."""

import logging

import pytest

from tocsin.config import logs


def test_secrets_in_messages_arguments_and_tracebacks_are_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        logs.start("INFO")
        logging.getLogger("x").info("calling with %s", "Authorization: Bearer abcdef0123456789")
        try:
            raise ValueError("password=hunter2hunter2")
        except ValueError:
            logging.getLogger("x").exception("it failed for kim@example.com")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    said = capsys.readouterr().err
    assert "level=INFO" in said
    assert "abcdef0123456789" not in said
    assert "hunter2" not in said
    assert "kim@example.com" not in said
