"""Which issues are ours, and what becomes of a second one? The oldest open one stays, the others are linked and closed.

Two can appear where an answer was lost, the index hid the first, and a second was created (vendors.md §2.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid5

from tocsin.connectors._http import Failure
from tocsin.connectors.jira.moving import through, way_to
from tocsin.connectors.jira.render import project_of
from tocsin.connectors.jira.site import DONE, Issue
from tocsin.connectors.jira.work import Work, moment

DOUBLES_APPEAR_FOR = timedelta(minutes=10)
"""So long after an uncertain create, every attempt looks for doubles: the index lags by minutes at worst."""
_BEFORE, _AFTER = 49, 50
"""Keys that are read around the newest that the index knows; bulkfetch takes 100."""


def candidates(work: Work, *, around: Issue | None = None) -> list[Issue] | Failure:
    """Issues of ours, oldest first: by label, and by key past the index, near the newest known key or `around`."""
    key = work.task.wanted.key
    labelled = work.site.labelled(key)
    if isinstance(labelled, Failure):
        return labelled
    near = _near(work, around) if around is not None or not labelled else []
    found = {issue.id: issue for issue in (*labelled, *near) if issue.ours == key}
    return sorted(found.values(), key=lambda issue: issue.age)


def _near(work: Work, around: Issue | None) -> Sequence[Issue]:
    """Reads the project's newest keys one by one; what fails here is left to the search by label."""
    project = project_of(work.config, work.task.wanted)
    if around is not None:
        project = around.key.rpartition("-")[0]
    if not (work.site.cloud and work.config.probe_by_key and project):
        return ()
    newest = around.number if around is not None else work.site.newest_number(project)
    if isinstance(newest, Failure):
        return ()
    numbers = range(max(1, newest - _BEFORE), newest + _AFTER + 1)
    found = work.site.by_keys([f"{project}-{number}" for number in numbers], work.task.wanted.key)
    return () if isinstance(found, Failure) else found


def kept_of(found: Sequence[Issue]) -> Issue:
    """The oldest open one; of closed ones only, the oldest."""
    return min(found, key=lambda issue: (issue.category == DONE, issue.age))


def sweep(work: Work, found: Sequence[Issue]) -> bool:
    """Let the oldest open one stand for us and close the others; always said. Whether nothing more can be done
    to them: until then, and for some minutes in any case, every attempt looks again."""
    work.sent["sweep_until"] = (work.task.now + DOUBLES_APPEAR_FOR).isoformat()
    if not found:
        return True
    kept, before = kept_of(found), work.known
    if kept.id != before.id:
        work.remarks.append(f"{kept.key} is older than {before.key} and stays in its place")
        until = work.sent["sweep_until"]
        work.issue, work.created, work.adopted = kept, False, True
        work.sent = {"status": kept.status, "assignee": kept.assignee, "priority": kept.priority}
        work.sent |= {"sweep_until": until, "unsure": True}
    all_ended = True
    for issue in found:
        if issue.id != kept.id and (issue.category != DONE or issue.id == before.id):
            ended = _close(work, issue, kept)
            all_ended = all_ended and ended is not None
            work.remarks.append(f"{issue.key} duplicates {kept.key}: {'closed' if ended else 'please close it'}")
    return all_ended


def sweep_again(work: Work) -> None:
    """A later attempt: whatever has appeared since."""
    until = moment(work.sent.get("sweep_until"))
    found = candidates(work, around=work.known)
    if isinstance(found, Failure):
        return
    if sweep(work, found) and (until is None or work.task.now >= until):
        work.sent.pop("sweep_until", None)
    elif until is not None and work.task.now < until:
        work.sent["sweep_until"] = until.isoformat()


def _close(work: Work, issue: Issue, kept: Issue) -> bool | None:
    """Link it, say why, once, and close it. Whether it is closed now, or its workflow leaves that to people; None where
    another attempt may do better."""
    if not issue.links_to(kept.key):
        failure = work.site.join(work.config.duplicate_link, issue.key, kept.key)
        if failure is not None and failure.result != "rejected":  # a site without this link type closes them unlinked
            return None
    note = str(uuid5(work.task.wanted.incident_id, f"double {issue.id}"))
    there = work.site.comments(issue.id)
    if isinstance(there, Failure):
        return None
    if note not in there:
        words = f"Duplicate of {kept.key}: the answer to a create was lost. Work goes on there."
        failure = work.site.comment(issue.id, work.comment(words, [note]))
        if failure is not None and failure.result != "rejected":
            return None
    if issue.category == DONE:
        return True
    way = way_to(work, issue, work.config.done_transition, into_done=True)
    if isinstance(way, str):
        return False
    failure = way if isinstance(way, Failure) else work.site.move(issue.id, through(work, way, double=True))
    if failure is None:
        return True
    return False if failure.result == "rejected" else None
