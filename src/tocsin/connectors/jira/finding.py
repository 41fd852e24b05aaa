"""Is there an issue of ours already, and if not, how is it created without ever being created twice?

Jira knows no idempotency key and its search lags behind. A create whose answer was lost is never simply repeated: the
label that went with it is looked for after 5, 15, 30, 60, 120 and 240 s, by search and among the project's newest keys.
Only when it has stayed away for all that time may the next attempt post once more; should that attempt die, the window
starts anew (vendors.md §2.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tocsin.connectors._connector import rejected
from tocsin.connectors._http import Failure
from tocsin.connectors.jira.doubles import candidates, kept_of, sweep, sweep_again
from tocsin.connectors.jira.render import OPTIONAL, issue_type_of, priority_of, project_of, render
from tocsin.connectors.jira.screen import create_screen, fitted, forget_screen
from tocsin.connectors.jira.site import DONE, Issue
from tocsin.connectors.jira.work import Work, moment
from tocsin.domain.record import Confirmation, Outcome, Reason, Task

INDEX_CATCHES_UP_S = 240
_LOOKS_AFTER_S = (5, 15, 30, 60, 120)


def find_or_create(work: Work) -> Outcome | None:
    """Read the known issue, adopt one that a lost answer left behind, or create it."""
    if work.task.external_id:
        return _read_known(work)
    lost_at = _lost_at(work.task)
    if lost_at or work.task.attempts > 1:
        stop = _adopt(work, lost_at)
        if stop is not None or work.issue is not None:
            return stop
    return _create(work, again=lost_at is not None)


def look_again_after(age: timedelta) -> timedelta | None:
    """When to look for the label next, so long after the lost answer: 5, 15, 30, 60, 120 s, then the window's end.
    None behind it: who still cannot look waits as long as for any other outage."""
    age_s = age.total_seconds()
    if age_s >= INDEX_CATCHES_UP_S:
        return None
    wait_s = next((step for step in _LOOKS_AFTER_S if step > age_s), INDEX_CATCHES_UP_S) - age_s
    return timedelta(seconds=max(5.0, wait_s))


def _lost_at(task: Task) -> datetime | None:
    """When a create may last have been sent whose answer was lost; None where that never happened."""
    allowed = task.sent.get("may_post")
    if isinstance(allowed, int) and task.attempts > allowed:  # the attempt that might post died
        return moment(task.sent.get("asked_at"))
    return moment(task.sent.get("posted_at")) or task.ambiguous_since


def _may_post(task: Task) -> bool:
    return task.sent.get("may_post") == task.attempts


def _read_known(work: Work) -> Outcome | None:
    task = work.task
    files = ("attachment",) if task.attachments else ()
    answer = work.site.read(task.external_id, task.wanted.key, moves=_will_move(task), extra=files)
    if isinstance(answer, Failure):
        if answer.status == 404:  # gone, or hidden from us: creating it again would be blind
            return rejected(Reason.GONE, answer.detail)
        return answer.outcome()
    work.issue = answer
    work.sent = {**standing(work, answer), **task.sent}
    if work.unsure:
        work.sent["unsure"] = True
        if (answer.category == DONE) == (task.wanted.status == "resolved"):
            work.sent["status"] = answer.status  # by a transition of ours whose answer was lost
    if "sweep_until" in work.sent and answer.ours == task.wanted.key:
        sweep_again(work)
    return None


def _will_move(task: Task) -> bool:
    before = task.sent_wanted.status if task.sent_wanted else "open"
    return task.wanted.status != before


def _adopt(work: Work, lost_at: datetime | None) -> Outcome | None:
    age = work.task.now - lost_at if lost_at else timedelta.max
    found = candidates(work)
    if isinstance(found, Failure):
        if found.result == "rejected" or lost_at is None:
            return found.outcome()
        return replace(found.outcome(), result="ambiguous", after=found.after or look_again_after(age))
    if found:
        work.issue, work.adopted = kept_of(found), True
        work.sent = standing(work, work.known) | {"unsure": True}
        sweep(work, found)
        return None
    if lost_at is None or _may_post(work.task):
        return None
    waited_s = age.total_seconds()
    if waited_s < INDEX_CATCHES_UP_S:
        words = f"not found by its label {waited_s:.0f} s after the lost answer; looking again"
        return Outcome(result="ambiguous", reason=Reason.TIMEOUT, detail=words, after=look_again_after(age))
    words = f"not found in {waited_s:.0f} s after the lost answer; the next attempt creates it anew"
    return replace(
        Outcome(result="ambiguous", reason=Reason.TIMEOUT, detail=words, after=timedelta(seconds=1)),
        confirmation=_leave_to_post(work.task),
    )


def _leave_to_post(task: Task) -> Confirmation:
    """Lets the next attempt, and only that one, create the issue once more."""
    sent = {"posted_at": task.sent.get("posted_at") or (task.ambiguous_since or task.now).isoformat()}
    return Confirmation(external_id="", sent={**sent, "asked_at": task.now.isoformat(), "may_post": task.attempts + 1})


def _create(work: Work, *, again: bool) -> Outcome | None:
    config, task = work.config, work.task
    body = dict(render(config, task.wanted))
    if not project_of(config, task.wanted):
        return rejected(Reason.CLIENT_ERROR, "no project: give the team's address one, or set the config's project")
    fields = _fields_on_screen(work, body["fields"])
    if isinstance(fields, Outcome):
        return fields
    body["fields"] = fields
    answer = work.site.create(body)
    if isinstance(answer, Failure) and answer.status == 400:
        forget_screen(work.http, project_of(config, task.wanted), issue_type_of(config, task.wanted))
        answer = _create_without_refused(work, body, answer)
    if isinstance(answer, Failure):
        if answer.result == "ambiguous":
            posted = Confirmation(external_id="", sent={"posted_at": task.now.isoformat()})
            return replace(answer.outcome(posted), after=look_again_after(timedelta()))
        return answer.outcome(_leave_to_post(task) if again and answer.result == "retry" else None)
    _take_created(work, Issue(id=str(answer.get("id", "")), key=str(answer.get("key", ""))))
    if again:
        found = candidates(work, around=work.known)
        sweep(work, [work.known] if isinstance(found, Failure) else found)
    return None


def _take_created(work: Work, made: Issue) -> None:
    """What stands right after our create is the baseline: what Jira itself has assigned is no person's doing."""
    work.created = True
    shown = work.site.read(made.id, work.task.wanted.key)
    work.issue = made if isinstance(shown, Failure) else shown
    work.sent = standing(work, work.issue)
    if isinstance(shown, Failure):
        work.sent = {"priority": work.sent["priority"]}  # how it stands, the next attempt reads


def _fields_on_screen(work: Work, given: Mapping[str, Any]) -> Mapping[str, Any] | Outcome:
    """The fields as the create screen wants them; an Outcome where it is known before that Jira will refuse them."""
    config, wanted = work.config, work.task.wanted
    screen = create_screen(work.site, work.http, project_of(config, wanted), issue_type_of(config, wanted))
    if isinstance(screen, Failure):
        if screen.status == 400 or screen.reason in (Reason.UNAUTHORIZED, Reason.UNREACHABLE):
            return screen.outcome()
        return given  # the check is not allowed or not to be had now: the create itself will tell
    fit = fitted(config, screen, given)
    if fit.faults:
        forget_screen(work.http, screen.project, screen.issue_type)
        return rejected(Reason.CLIENT_ERROR, "; ".join(fit.faults)[:500])
    if fit.dropped:
        work.dropped += fit.dropped
        work.warnings.append(
            f"created without {', '.join(fit.dropped)}: {screen.project} {screen.issue_type} does not take what is "
            "configured"
        )
    return fit.fields


def _create_without_refused(work: Work, body: Mapping[str, Any], refused: Failure) -> Mapping[str, Any] | Failure:
    """Leave out the optional fields that the site names in its refusal, and try once more."""
    errors = refused.body.get("errors") if isinstance(refused.body, dict) else None
    unwanted = [name for name in OPTIONAL if isinstance(errors, dict) and name in errors and name in body["fields"]]
    if not unwanted or not isinstance(errors, dict) or set(errors) - set(unwanted):
        return refused
    fields = {name: value for name, value in body["fields"].items() if name not in unwanted}
    work.dropped += unwanted
    work.warnings.append(f"created without {', '.join(unwanted)}: {refused.detail}")
    return work.site.create({**body, "fields": fields})


def standing(work: Work, issue: Issue) -> dict[str, object]:
    """How our own write left it: from here on, what differs was changed by others."""
    priority, wanted = issue.priority, priority_of(work.config, work.task.wanted)
    ours = {priority_of(work.config, one) for one in (work.task.wanted, *work.task.tried)}
    if "priority" not in work.dropped and (work.created or priority not in ours):
        priority = wanted or issue.priority  # found again with a priority that we never wrote: somebody edited it
    return {"status": issue.status, "assignee": issue.assignee, "priority": priority}
