"""Which job did Ansible run, on which hosts, and how did it end? Webhook notifications of AWX and Ansible Tower.

The default body of a notification template; a job that altered hosts names them. Nothing is signed: the template's
HTTP headers carry the secret.
https://docs.ansible.com/automation-controller/latest/html/userguide/notifications.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tocsin.domain.alert import Resolves
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._delivery import (
    PUTS_INTO_SERVICE,
    Body,
    Words,
    change_of,
    elsewhere,
    environment_in,
    environment_of_job,
    first_time,
    kind_of_run,
    subject_of_run,
)
from tocsin.sources._json import parsed_object, shaped, text
from tocsin.sources._shape import Name
from tocsin.sources._verify import shared_secret

NAME = "ansibletower"
MAX_HOSTS = 100

STATUSES = {
    "successful": ChangeOutcome.SUCCESS,
    "failed": ChangeOutcome.FAILURE,
    "error": ChangeOutcome.FAILURE,
    "canceled": ChangeOutcome.CANCELED,
    "running": ChangeOutcome.RUNNING,
}
NOT_BEGUN = frozenset({"new", "pending", "waiting"})
ALTERS_NO_HOST = frozenset({"Project Update", "Inventory Update", "Inventory Sync", "System Job", "Management Job"})


class _Job(Body):
    id: Name
    name: Name
    status: Name
    friendly_name: Words = ""
    url: Words = ""
    created_by: Words = ""
    started: Any = None
    finished: Any = None
    traceback: Words = ""
    inventory: Words = ""
    project: Words = ""
    playbook: Words = ""
    limit: Words = ""
    hosts: Any = None


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change, or why the notification is none. Raises BadPayload without id, name or status."""
    body = parsed_object(message.body)
    if "status" not in body and "notification test" in text(body.get("body"), 200).lower():
        return Normalized(ignored="test notification")
    job = shaped(_Job, body)
    if job.status in NOT_BEGUN:
        return Normalized(ignored=f"job {job.status}: it has not begun")
    if job.friendly_name == "Workflow Approval" or "approv" in job.status:
        return Normalized(ignored="workflow approval: the workflow's own notification is the change")
    runs = job.friendly_name in ALTERS_NO_HOST
    otherwise = ChangeKind.PIPELINERUN_FINISHED if runs else ChangeKind.ENVIRONMENT_MODIFIED
    kind = otherwise if runs else kind_of_run(job.name, job.playbook.rpartition("/")[2], otherwise=otherwise)
    environment = environment_of_job(job.name) or environment_in(job.inventory)
    if not runs and (why := elsewhere(environment, hook, listed="ansibletower_environment")):
        return Normalized(ignored=why)
    outcome = STATUSES.get(job.status, ChangeOutcome.UNKNOWN)
    named = job.name.replace(" - ", " ")
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"ansible:{job.url or job.friendly_name}:{job.id}",
        kind=kind,
        subject=subject_of_run(named if kind in PUTS_INTO_SERVICE else job.name, kind, hook),
        outcome=outcome,
        began=first_time(job.started),
        ended=first_time(job.finished) if outcome is not ChangeOutcome.RUNNING else None,
        environment=environment,
        author="" if job.created_by == "None" else job.created_by,
        url=job.url,
        summary=f"{job.friendly_name or 'Job'} {job.name} {job.status}"
        + (f" on {job.inventory}" if job.inventory else "")
        + (f": {job.traceback[-200:]}" if job.traceback else ""),
        labels={
            "job": job.friendly_name,
            "playbook": job.playbook,
            "project": job.project,
            "inventory": job.inventory,
            "limit": job.limit,
        },
    )
    return Normalized(changes=(replace(change, touches=tuple(_altered(job.hosts))[:MAX_HOSTS]),))


def _altered(hosts: object) -> Iterator[Subject]:
    """The hosts on which a task changed something or failed half-way."""
    for host, counts in hosts.items() if isinstance(hosts, dict) else ():
        if host.strip() and isinstance(counts, dict) and (counts.get("changed") or counts.get("failures")):
            yield Subject.of("host", host[:255])


SETUP = """Access → Notification Templates → Add: type Webhook, target URL `{url}`, method POST, HTTP headers
`{{"Authorization": "Bearer {secret}"}}`, the default body. Then switch it on for start, success and failure of the job
templates that alter something.

- A job template whose name contains "deploy" or "rollout" deploys the service that the rest of its name says; any other
  modifies the environment, and the hosts that it changed belong to the change; project and inventory updates are runs.
- A production hook leaves out jobs that are staging or test by name or inventory.
"""

SOURCE = Source(
    name=NAME,
    title="Ansible Tower, AWX",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=("test notifications", "jobs that have not begun", "approvals", "jobs for other environments"),
    aliases=("awx", "ansible_tower"),
)
