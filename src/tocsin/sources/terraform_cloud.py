"""What did Terraform apply? Run and workspace notifications of HCP Terraform and Terraform Enterprise as changes.

Two schemas: `payload_version` 1 (a run, with a list of notifications) and "2" (workspaces and health assessments). A
run is one change. A verification with every field null must get a 2xx, or the notification cannot be switched on. A
failed check of a workspace (continuous validation) is an alert that expires: nobody tells that it passes again.
https://developer.hashicorp.com/terraform/cloud-docs/api-docs/notification-configurations
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import Field

from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._delivery import (
    Body,
    Words,
    change_of,
    elsewhere,
    environment_in,
    first_time,
    subject_of_run,
)
from tocsin.sources._identity import environment_of
from tocsin.sources._json import parsed_object, shaped, text
from tocsin.sources._shape import Count, Name
from tocsin.sources._verify import any_of, hmac_hex, shared_secret

NAME = "terraform_cloud"

CHECKED_EVERY = timedelta(hours=26)
"""Health assessments run once a day; a check that passes again is not told, so that the alert ends by itself."""

STATUSES = {
    "applied": ChangeOutcome.SUCCESS,
    "errored": ChangeOutcome.FAILURE,
    "policy_soft_failed": ChangeOutcome.CANCELED,
    "canceled": ChangeOutcome.CANCELED,
    "force_canceled": ChangeOutcome.CANCELED,
    "discarded": ChangeOutcome.CANCELED,
    "apply_queued": ChangeOutcome.RUNNING,
    "applying": ChangeOutcome.RUNNING,
    "queuing_apply": ChangeOutcome.RUNNING,
}
"""run_status → outcome; an unheard-of one is unknown."""

NOTHING_APPLIED = {
    "run:created": "the run has not begun",
    "run:planning": "a plan changes nothing",
    "run:needs_attention": "the plan waits for a person, nothing has changed",
    "workspace:auto_destroy_reminder": "a reminder, nothing has changed",
    "assessment:failed": "the health assessment itself failed, nothing has changed",
    "team:change_request": "a request to change, nothing has changed",
    "change_request:created": "a request to change, nothing has changed",
}
"""Triggers after which nothing has been applied, and why."""


class _Notification(Body):
    trigger: Name
    message: Words = ""
    run_status: Words = ""
    run_updated_at: Any = None
    run_updated_by: Words = ""


class _Run(Body):
    run_id: Name
    run_url: Words = ""
    run_message: Words = ""
    run_created_by: Words = ""
    workspace_name: Name
    organization_name: Words = ""
    notifications: list[_Notification] = Field(min_length=1)


class _Assessment(Body):
    id: Words = ""
    url: Words = ""
    resources_drifted: Count | None = None
    checks_failed: Count | None = None
    created_at: Any = None


class _Details(Body):
    workspace_name: Words = ""
    organization_name: Words = ""
    new_assessment_result: _Assessment | None = None
    run_status: Words = ""
    run_external_id: Words = ""
    run_created_at: Any = None


class _Event(Body):
    trigger: Name
    message: Words = ""
    details: _Details


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change, or why the notification is none. Raises BadPayload for a body of neither schema."""
    body = parsed_object(message.body)
    if isinstance(body.get("trigger"), str):
        return _second_schema(body, text(body["trigger"], 80), message, hook)
    notes = body.get("notifications")
    if isinstance(notes, list) and notes and isinstance(notes[-1], dict):
        trigger = text(notes[-1].get("trigger"), 80)
        if why := _why_not(trigger):
            return Normalized(ignored=why)
        return _first_schema(shaped(_Run, body), message, hook)
    raise BadPayload("neither a list of notifications nor a trigger", path="notifications")


def _why_not(trigger: str) -> str:
    if trigger == "verification":
        return "verification"
    return f"{trigger}: {NOTHING_APPLIED[trigger]}" if trigger in NOTHING_APPLIED else ""


def _first_schema(run: _Run, message: Message, hook: Hook) -> Normalized:
    note = run.notifications[-1]
    if note.run_status in ("planned_and_finished", "planned_and_saved"):
        return Normalized(ignored=f"run {note.run_status}: the plan had nothing to apply, or was only a plan")
    if why := elsewhere(environment_in(run.workspace_name), hook, listed="terraform_cloud_environment"):
        return Normalized(ignored=why)
    outcome = STATUSES.get(note.run_status, ChangeOutcome.UNKNOWN)
    at = first_time(note.run_updated_at)
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"terraform:{run.run_id}",
        kind=ChangeKind.ENVIRONMENT_MODIFIED,
        subject=_subject(run.workspace_name, hook),
        outcome=outcome,
        began=at,
        ended=at if outcome is not ChangeOutcome.RUNNING else None,
        environment=environment_in(run.workspace_name),
        author=note.run_updated_by or run.run_created_by,
        url=run.run_url,
        summary=f"{run.workspace_name} {note.run_status or note.message}: {run.run_message}",
        labels={
            "workspace": run.workspace_name,
            "organization": run.organization_name,
            "trigger": note.trigger,
            "run": run.run_id,
        },
    )
    return Normalized(changes=(change,))


def _second_schema(body: dict[str, Any], trigger: str, message: Message, hook: Hook) -> Normalized:
    if why := _why_not(trigger):
        return Normalized(ignored=why)
    if trigger not in ("assessment:drifted", "assessment:check_failure", "workspace:auto_destroy_results"):
        return Normalized(ignored=f"event {trigger} is not a change")
    event = shaped(_Event, body)
    details, drift = event.details, event.details.new_assessment_result
    workspace = details.workspace_name
    if not workspace:
        raise BadPayload("Field required", path="details.workspace_name")
    if why := elsewhere(environment_in(workspace), hook, listed="terraform_cloud_environment"):
        return Normalized(ignored=why)
    if trigger == "assessment:check_failure":
        return Normalized(alerts=(_failed_check(details, message, hook),))
    if trigger == "assessment:drifted":
        at, id_, url = first_time(drift.created_at if drift else None), drift.id if drift else "", ""
        outcome, summary = ChangeOutcome.SUCCESS, f"{workspace}: altered outside of Terraform"
        if drift and drift.resources_drifted:
            summary += f" ({drift.resources_drifted} resources)"
    else:
        at, id_, url = first_time(details.run_created_at), details.run_external_id, ""
        outcome = STATUSES.get(details.run_status, ChangeOutcome.UNKNOWN)
        summary = f"{workspace}: destroyed by schedule, {details.run_status or 'status unknown'}"
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"terraform:{id_ or f'{workspace}:{trigger}:{at}'}",
        kind=ChangeKind.ENVIRONMENT_MODIFIED,
        subject=_subject(workspace, hook),
        outcome=outcome,
        began=at,
        ended=at,
        environment=environment_in(workspace),
        url=url,
        summary=summary,
        labels={"workspace": workspace, "organization": details.organization_name, "trigger": trigger},
    )
    return Normalized(changes=(change,))


def _failed_check(details: _Details, message: Message, hook: Hook) -> Alert:
    """Continuous validation found a check of the workspace failing; that it passes again is told by nobody."""
    found = details.new_assessment_result or _Assessment()
    return Alert(
        hook=hook.name,
        source=NAME,
        environment=environment_of({"environment": environment_in(details.workspace_name), **hook.defaults}, hook),
        name="TerraformCheckFailed",
        subject=_subject(details.workspace_name, hook),
        symptom=Symptom.ERRORS,
        severity=Severity.WARNING,
        status=Status.FIRING,
        summary=f"{details.workspace_name}: {found.checks_failed or 'some'} checks of the workspace failed",
        received_at=message.received_at,
        starts_at=first_time(found.created_at),
        resource=details.workspace_name[:255],
        metric="checks_failed",
        observed=float(found.checks_failed) if found.checks_failed is not None else None,
        threshold=0.0,
        labels={"workspace": details.workspace_name, "organization": details.organization_name},
        sender_key=f"{details.organization_name}/{details.workspace_name}:check_failure",
        resolves=Resolves.EXPIRY,
        expires_after=CHECKED_EVERY,
    )


def _subject(workspace: str, hook: Hook) -> Subject:
    """The service of the workspace's name without words for environments (`checkout-prod`: checkout)."""
    return subject_of_run(workspace, ChangeKind.SERVICE_DEPLOYED, hook)


SETUP = """In the workspace: Settings → Notifications → Create a notification → Webhook.

- Webhook URL `{url}`, token `{secret}` (it signs each body with HMAC-SHA512)
- Workspace events: **Drift detected**, **Auto destroy results**; run events: **Applying**, **Completed**, **Errored**
- A workspace is the service of its name without words for environments (`checkout-prod`: checkout); the hook's
  `defaults` name another. A production hook leaves out workspaces that are staging or test by name.
- Speculative plans and workspaces with local execution send nothing.
"""

SOURCE = Source(
    name=NAME,
    title="Terraform (HCP Terraform, Enterprise)",
    verify=any_of(hmac_hex(header="X-TFE-Notification-Signature", algorithm="sha512"), shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=(
        "verification",
        *(f"{trigger}: {why}" for trigger, why in NOTHING_APPLIED.items()),
        "runs that had nothing to apply",
        "workspaces of other environments than the hook's",
    ),
    aliases=("terraform", "tfe"),
)
