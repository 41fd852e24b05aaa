"""How is a message read that no named source knows? What the mappings declare for a hook of the source `generic`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tocsin.domain.alert import Resolves


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A JMESPath expression, and what its result means: a table of the sender's words, and what stands where it gives
    nothing or a word that the table lacks."""

    text: str
    table: tuple[tuple[str, str], ...] = ()
    default: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A header that holds the body's HMAC."""

    header: str
    prefix: str = ""
    algorithm: str = "sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One alert or change of an item: field → expression, when `when` holds (empty: always)."""

    when: str = ""
    resolved: str = ""
    """Condition under which the alert has ended."""
    fields: tuple[tuple[str, Expression], ...] = ()
    subjects: tuple[tuple[str, Expression], ...] = ()
    """Kind → its name; the first that gives one."""
    labels: tuple[tuple[str, Expression], ...] = ()
    links: tuple[tuple[str, Expression], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """How a hook's messages are read. Hashable, so that what it compiles to is kept."""

    each: str = ""
    """The list of items in a body; empty: the body is the only one."""
    ignore: tuple[tuple[str, str], ...] = ()
    """Condition → why such an item carries nothing for us."""
    alerts: tuple[Reading, ...] = ()
    changes: tuple[Reading, ...] = ()
    message_id: str = ""
    time_zone: str = "UTC"
    time_format: str = ""
    resolves: Resolves = Resolves.SENDER
    expires_after: timedelta | None = None
    signature: Signature | None = None
