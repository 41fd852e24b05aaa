"""How does each work note arrive once? It ends in a marker; after a lost answer the journal is asked for it first.

All notes that wait go out in one entry, so that a storm of updates is one call.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tocsin.connectors._connector import marked, marker
from tocsin.connectors._http import Failure
from tocsin.connectors.servicenow.work import Work
from tocsin.domain.record import Note, Outcome, Reason

MAX_NOTE = 30_000
"""Characters of one journal entry."""
_BETWEEN = "\n\n"
_CODE = re.compile(r"\[(/?)code\]", re.IGNORECASE)
"""Between these tags the journal shows HTML: what an alert says must not become any."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal entry to be written, and the notes that it holds."""

    text: str
    notes: tuple[Note, ...]


def opening(work: Work) -> Entry | None:
    """The entry that goes out with the create; None where no note waits."""
    entries = _packed(work.task.notes)
    return entries[0] if entries else None


def waiting(work: Work) -> list[Entry] | Outcome:
    """The entries still to be written, oldest first. In doubt the journal is read; a note that is not there is held
    back for as long as an earlier call may still bring it."""
    notes = [note for note in work.task.notes if note.id not in work.notes]
    if work.untold is not None:
        notes.append(work.untold)
    if work.closed or not work.in_doubt:
        work.in_doubt = False
        return [] if work.closed else _packed(notes)
    there = work.table.notes(work.sys_id) if notes else ""
    if isinstance(there, Failure) and there.result != "rejected":
        return Outcome(result="ambiguous", reason=there.reason, detail=there.detail, after=there.after)
    if isinstance(there, Failure):
        work.remarks.append("work notes cannot be read: a note may stand twice")
        there = ""
    for note in notes:
        if marker(note) in there:
            work.arrived(note)
    missing = [note for note in notes if marker(note) not in there]
    if missing and work.late_for:
        detail = "a lost call may still bring its note; looked for again once it cannot"
        return Outcome(result="ambiguous", reason=Reason.TIMEOUT, detail=detail, after=work.late_for)
    work.in_doubt = False
    return _packed(missing)


def _packed(notes: Sequence[Note]) -> list[Entry]:
    """Notes in as few entries as their length allows, each note whole and with its marker."""
    entries: list[Entry] = []
    for note in notes:
        text = marked(replace(note, text=_CODE.sub(r"[\1 code]", note.text)), MAX_NOTE)
        last = entries[-1] if entries else None
        if last is not None and len(last.text) + len(_BETWEEN) + len(text) <= MAX_NOTE:
            entries[-1] = Entry(f"{last.text}{_BETWEEN}{text}", (*last.notes, note))
        else:
            entries.append(Entry(text, (note,)))
    return entries
