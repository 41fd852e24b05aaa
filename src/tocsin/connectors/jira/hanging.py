"""What hangs on an issue: web links, links to other issues, comments, attachments. Each goes once."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from uuid import uuid5

from tocsin.connectors._connector import PRODUCT, cut, marked, marker
from tocsin.connectors._http import Failure
from tocsin.connectors.jira.multipart import file_name
from tocsin.connectors.jira.site import ended
from tocsin.connectors.jira.work import Work
from tocsin.domain.record import Note, Outcome

MAX_NOTE = 20_000
MAX_COALESCED = 6_000
"""Notes that wait together go as one comment up to this many characters: an issue takes few writes a second."""
GIVES_UP_AFTER = 5
"""Attempts after which a file that the site does not take now is left out: the record matters more."""


def write_links(work: Work) -> Outcome | None:
    """Put our web links on the issue; Jira keeps one per globalId, so that a repeat changes nothing."""
    key, before = work.task.wanted.key, work.sent.get("links")
    stand = [str(one) for one in before] if isinstance(before, list) else []
    for title, url in work.task.wanted.links[: work.config.remote_links]:
        digest = sha256(url.encode("utf-8", "replace")).hexdigest()[:16]
        if digest in stand:
            continue
        body = {
            "globalId": f"tocsin:{key}:{digest}",
            "application": {"type": "dev.tocsin", "name": PRODUCT},
            "object": {"url": url, "title": cut(title, 255) or PRODUCT},
        }
        failure = work.site.link(work.known.id, body)
        if failure is not None and failure.result != "rejected":
            return ended(failure)
        if failure is not None:
            work.warnings.append(f"web link not taken: {failure.detail}")
        stand.append(digest)
        work.sent["links"] = stand
    return None


def write_issue_links(work: Work) -> Outcome | None:
    """Join it with the previous generation's issue and with its parent, where both are issues of this site."""
    for name, other in (("previous", work.task.wanted.previous), ("parent", work.task.wanted.parent)):
        if not other or other == work.sent.get(name) or not _is_issue(other):
            continue
        if not work.known.links_to(other):
            failure = work.site.join(work.config.relates_link, work.known.key, other)
            if failure is not None and failure.result != "rejected":
                return ended(failure)
            if failure is not None:
                work.warnings.append(f"not linked to {other}: {failure.detail}")
        work.sent[name] = other
    return None


def _is_issue(text: str) -> bool:
    project, _, number = text.rpartition("-")
    return bool(project) and number.isdigit()


def write_notes(work: Work) -> Outcome | None:
    """Add the comments that are not there yet, oldest first; where an earlier one may have arrived, look first."""
    asked = [*work.task.notes, *_closing(work)]
    there: str | Failure = ""
    if asked and not work.created and work.unsure:
        there = work.site.comments(work.known.id)
    if isinstance(there, Failure):
        return there.outcome()
    missing = [note for note in asked if marker(note) not in there and str(note.id) not in there]
    work.notes += [note.id for note in asked if note not in missing]
    for together in _coalesced(missing):
        words = "\n\n".join(marked(note, MAX_NOTE) for note in together)
        failure = work.site.comment(work.known.id, work.comment(words, [str(note.id) for note in together]))
        if failure is not None and failure.status == 413:
            work.warnings.append("the issue takes no more comments; follow it in the console")
        elif failure is not None:
            if failure.result == "ambiguous":
                work.sent["unsure"] = True
            return ended(failure)
        work.notes += [note.id for note in together]
    work.sent.pop("unsure", None)
    return None


def _coalesced(notes: list[Note]) -> Iterator[list[Note]]:
    together: list[Note] = []
    for note in notes:
        if together and sum(len(one.text) for one in (*together, note)) > MAX_COALESCED:
            yield together
            together = []
        together.append(note)
    if together:
        yield together


def _closing(work: Work) -> tuple[Note, ...]:
    """The closing notes as a last comment: Jira has no field for them."""
    wanted, before = work.task.wanted, work.task.sent_wanted
    if wanted.status != "resolved" or not wanted.close_notes or (before and before.status == "resolved"):
        return ()
    if any(note.text.startswith(wanted.close_notes) for note in work.task.notes):
        return ()  # the last work note says it already
    return (Note(id=uuid5(wanted.incident_id, f"{wanted.key} {wanted.resolved_at}"), text=wanted.close_notes),)


def write_attachments(work: Work) -> Outcome | None:
    """Attach the files that are not there yet, by name. What is refused is left out and said; never a failure."""
    files = work.task.attachments
    if not files:
        return None
    held = work.known.fields.get("attachment")
    there = {str(one.get("filename")) for one in held or [] if isinstance(one, dict)}
    for file in files:
        failure = None if file_name(file) in there else work.site.attach(work.known.id, file)
        if failure is not None and failure.result != "rejected" and work.task.attempts < GIVES_UP_AFTER:
            return ended(failure)
        if failure is not None:
            work.warnings.append(f"{file.name} was not attached: {failure.detail}")
        work.attachments.append(file.id)
    return None
