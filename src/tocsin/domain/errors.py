"""What can go wrong, named for what to do about it.

TocsinError
├── BadPayload     an authenticated body that cannot be understood: quarantine, still 202
├── BadMapping     a mapping that cannot be used: refuse to start or to apply; the old version stays
├── BadSetting     a TOCSIN_* setting or secret is missing or wrong: refuse to start
└── Unavailable    a part we need (database, broker) does not answer: spool, wait, try again

Sending to a vendor never raises: it answers with an Outcome (domain/record.py).
"""

from __future__ import annotations


class TocsinError(Exception):
    """Every error of ours; its text names the thing, the value and the remedy."""


class BadPayload(TocsinError):
    """The body does not fit what its producer documents; `path` says where."""

    def __init__(self, reason: str, *, path: str = "") -> None:
        self.reason = reason
        self.path = path
        super().__init__(f"{path}: {reason}" if path else reason)


class BadMapping(TocsinError):
    """One or more findings, each already worded as `file:line: field: message`."""

    def __init__(self, findings: list[str]) -> None:
        self.findings = findings
        super().__init__("\n".join(findings))


class BadSetting(TocsinError):
    """A setting or secret that we cannot run with."""


class Unavailable(TocsinError):
    """PostgreSQL or Redis does not answer."""
