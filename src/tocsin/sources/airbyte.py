"""Which syncs of Airbyte failed or were switched off, and which source schemas changed? Its webhook notifications.

Airbyte signs nothing. Newer versions send `data` beside a sentence for a chat, older ones the sentence alone. A failed
sync is a change (what it loads is incomplete) and an alert, which the connection's next success ends; so does a
connection that Airbyte switched off or that waits for somebody to accept a breaking schema.
https://docs.airbyte.com/platform/cloud/managing-airbyte-cloud/manage-airbyte-cloud-notifications
"""

from __future__ import annotations

import html
import re
from typing import Any

from pydantic import AliasChoices, BaseModel, Field

from tocsin.domain.alert import Alert, Resolves, Severity, Symptom
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._json import number, parsed_object, shaped, text
from tocsin.sources._pipeline import Id, Report, Text, first_line, time_at
from tocsin.sources._verify import shared_secret

NAME = "airbyte"

_TEST = re.compile(r"hello world|this is a test from airbyte", re.I)
_FROM_TO = re.compile(
    r"your connection (?:(?P<name>.{1,300}?) )?from (?P<a>.{1,300}?) to (?P<b>.{1,300}?) (?P<what>.+)", re.I
)
_FAILED = re.compile(r"just failed|\bfailed\b(?! \d+ times)", re.I)
_SUCCEEDED = re.compile(r"\bsucceeded\b", re.I)
_DISABLED = re.compile(r"was automatically disabled", re.I)
_DISABLE_SOON = re.compile(r"scheduled to be automatically disabled|will be (automatically )?disabled", re.I)
_SCHEMA = re.compile(
    r"schema of '(?P<a>.{1,500}?)' has changed|schema changes for '(?P<b>.{1,500}?)'"
    r"|schema has changed for connection(?: id)?:? (?P<c>\S{1,100})",
    re.I,
)
_SLACK_LINK = re.compile(r"<(?P<url>https?://[^|>\s]{1,2000})\|(?P<name>[^>]{1,300})>")
_JOB_ID = re.compile(r"job id:\s*(\d{1,20})", re.I)
_CONNECTION_ID = re.compile(r"connection id:\s*([\w-]{1,60})", re.I)
_LOGS = re.compile(r"logs here:\s*(https?://\S{1,2000})", re.I)
_HAPPENED = re.compile(r"this (?:happened with|was for) (.{1,1000})", re.I)
_UPGRADE = re.compile(r"upgrade|new version|breaking change in the connector|deprecat", re.I)


class _Place(BaseModel):
    id: Id = ""
    name: Text = ""
    url: Text = ""


class _Sync(BaseModel):
    workspace: _Place | None = None
    connection: _Place
    origin: _Place | None = Field(default=None, alias="source")
    destination: _Place | None = None
    job_id: Id = Field(default="", alias="jobId")
    success: bool
    started_at: Any = Field(default=None, alias="startedAt")
    finished_at: Any = Field(default=None, alias="finishedAt")
    records_emitted: Any = Field(default=None, alias="recordsEmitted")
    records: Any = Field(default=None, alias="recordsCommitted")
    size: Any = Field(default=None, alias="bytesCommitted")
    error: Text = Field(default="", alias="errorMessage")
    error_type: Text = Field(default="", alias="errorType")
    error_origin: Text = Field(default="", alias="errorOrigin")


def _objects(listed: object) -> list[dict[str, Any]]:
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


class _SchemaUpdate(BaseModel):
    workspace: _Place | None = None
    connection: _Place | None = Field(default=None, alias="connectionInfo")
    origin: _Place | None = Field(default=None, alias="sourceInfo")
    breaking: bool = Field(default=False, validation_alias=AliasChoices("isBreakingChange", "breakingChange"))
    diff: dict[str, Any] | None = Field(default=None, alias="catalogDiff")

    @property
    def streams(self) -> tuple[str, ...]:
        """The tables that changed: `namespace.name`."""
        listed = (self.diff or {}).get("transforms")
        told = (
            [each.get("streamDescriptor") for each in listed if isinstance(each, dict)]
            if isinstance(listed, list)
            else []
        )
        parts = (
            (text(each.get("namespace"), 200), text(each.get("name"), 200)) for each in told if isinstance(each, dict)
        )
        return tuple(".".join(filter(None, named)) for named in parts if named[1])


def normalize(message: Message, hook: Hook) -> Normalized:
    """A sync's end, a connection switched off, a changed schema. Raises BadPayload for a body that tells none."""
    body = parsed_object(message.body)
    data, said = body.get("data"), text(body.get("text"), 4000)
    if isinstance(data, dict) and "success" in data:
        return _sync(data, said, message, hook)
    if isinstance(data, dict) and {"isBreakingChange", "breakingChange", "catalogDiff"} & data.keys():
        return _updated(data, message, hook)
    if not said:
        raise BadPayload("neither a sync's data nor a notice's text", path="data")
    return _notice(said, message, hook)


def _sync(data: dict[str, Any], said: str, message: Message, hook: Hook) -> Normalized:
    try:
        sync = shaped(_Sync, data)
    except BadPayload as error:
        raise BadPayload(error.reason, path=f"data.{error.path}") from None
    connection, workspace = sync.connection, sync.workspace or _Place()
    if not (connection.name or connection.id).strip():
        raise BadPayload("the connection has neither name nor id", path="data.connection")
    origin, destination = sync.origin or _Place(), sync.destination or _Place()
    job = Subject.of("job", connection.name or connection.id)
    labels = {
        "workspace": workspace.name,
        "connection_id": connection.id,
        "origin": origin.name,
        "destination": destination.name,
        "job_id": sync.job_id,
        "records_committed": sync.records if number(sync.records) is not None else None,
        "bytes_committed": sync.size if number(sync.size) is not None else None,
        "error_type": sync.error_type,
        "error_origin": sync.error_origin,
    }
    report = Report(source=NAME, message=message, hook=hook, labels=labels)
    began = time_at(sync.started_at, "data.startedAt")
    ended = time_at(sync.finished_at, "data.finishedAt")
    if _DISABLE_SOON.search(said) or _DISABLED.search(said):
        return Normalized(alerts=(_switched_off(report, job, soon=bool(_DISABLE_SOON.search(said))),))
    why = first_line(sync.error)
    alert = report.job_alert(
        job,
        failed=not sync.success,
        at=ended or began,
        why=why,
        what=f"sync {job.name}",
        links={"connection": connection.url},
    )
    route = f" from {origin.name} to {destination.name}" if origin.name and destination.name else ""
    change = report.change(
        id=f"airbyte:{connection.id or connection.name}:{sync.job_id or (ended or message.received_at).isoformat()}",
        subject=job,
        summary=f"sync {job.name}{route}: {'success' if sync.success else 'failure'}" + (f", {why}" if why else ""),
        outcome=ChangeOutcome.SUCCESS if sync.success else ChangeOutcome.FAILURE,
        began=began,
        ended=ended,
        url=connection.url,
    )
    return Normalized(alerts=(alert,), changes=(change,))


def _updated(data: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    """A schema update as data: newer versions name the parts `connectionInfo`, older ones `connection`."""
    renamed = {"connectionInfo": data.get("connection"), "sourceInfo": data.get("source")} | data
    try:
        update = shaped(_SchemaUpdate, renamed)
    except BadPayload as error:
        raise BadPayload(error.reason, path=f"data.{error.path}") from None
    connection = update.connection or _Place()
    if not (connection.name or connection.id).strip():
        raise BadPayload("the connection has neither name nor id", path="data.connection")
    report = Report(source=NAME, message=message, hook=hook, labels={"connection_id": connection.id})
    job = Subject.of("job", connection.name or connection.id)
    return _schema_change(report, job, breaking=update.breaking, url=connection.url, streams=update.streams)


def _notice(said: str, message: Message, hook: Hook) -> Normalized:
    """A sentence for a chat, in the words of Airbyte's own templates."""
    if _TEST.search(said[:300]):
        return Normalized(ignored="test notification: Hello World from Airbyte")
    key = _CONNECTION_ID.search(said)
    report = Report(source=NAME, message=message, hook=hook, labels={"connection_id": key[1] if key else ""})
    if schema := _SCHEMA.search(said[:2000]):
        named = schema["a"] or schema["b"] or schema["c"]
        link = _SLACK_LINK.search(named)
        job = Subject.of("job", html.unescape(link["name"] if link else named))
        return _schema_change(report, job, breaking="breaking" in said.lower(), url=link["url"] if link else "")
    if told := _FROM_TO.search(said[:3000]):
        return _connection(told, said, report)
    if _UPGRADE.search(said):
        return Normalized(ignored="notice of a connector's upgrade: nothing failed")
    raise BadPayload("a notice in words that we do not know", path="text")


def _connection(told: re.Match[str], said: str, report: Report) -> Normalized:
    name = html.unescape(told["name"] or f"{told['a']} → {told['b']}").strip()
    job, line = Subject.of("job", name), told["what"].partition("\n")[0]
    if _DISABLE_SOON.search(line):
        return Normalized(alerts=(_switched_off(report, job, soon=True),))
    if _DISABLED.search(line):
        return Normalized(alerts=(_switched_off(report, job, soon=False),))
    failed, passed = bool(_FAILED.search(line)), bool(_SUCCEEDED.search(line))
    if failed == passed:
        raise BadPayload("tells neither that the sync failed nor that it succeeded", path="text")
    happened, logs, number_of_job = _HAPPENED.search(said), _LOGS.search(said), _JOB_ID.search(said)
    why = first_line(happened[1]) if happened and failed else ""
    link = logs[1] if logs else ""
    at = report.message.received_at
    alert = report.job_alert(job, failed=failed, at=None, why=why, what=f"sync {name}", links={"connection": link})
    change = report.change(
        id=f"airbyte:{name}:{number_of_job[1] if number_of_job else at.isoformat()}",
        subject=job,
        summary=f"sync {name}: {'failure' if failed else 'success'}",
        outcome=ChangeOutcome.FAILURE if failed else ChangeOutcome.SUCCESS,
        ended=at,
        url=link,
    )
    return Normalized(alerts=(alert,), changes=(change,))


def _switched_off(report: Report, job: Subject, *, soon: bool) -> Alert:
    """No data arrives any more, or soon. It carries the identity of the failed sync, so that the success after the
    repair ends it."""
    what = "will be switched off" if soon else "was switched off"
    return report.alert(
        name="JobFailed",
        subject=job,
        symptom=Symptom.FRESHNESS,
        severity=Severity.WARNING if soon else Severity.ERROR,
        firing=True,
        summary=f"sync {job.name} {what} by Airbyte after repeated failures",
        at=None,
    )


def _schema_change(
    report: Report, job: Subject, *, breaking: bool, url: str, streams: tuple[str, ...] = ()
) -> Normalized:
    """The schema that a connection reads has changed; a breaking one stops the sync until somebody acts."""
    at = report.message.received_at
    change: Change = report.change(
        id=f"airbyte:schema:{job.name}:{report.message.id}",
        kind=ChangeKind.DATASET_SCHEMA_CHANGED,
        subject=job,
        summary=f"the source schema of {job.name} changed"
        + (" in a breaking way" if breaking else "")
        + (f": {', '.join(streams[:5])}" if streams else ""),
        touches=(Subject.of("dataset", name) for name in streams),
        outcome=ChangeOutcome.SUCCESS,
        ended=at,
        url=url,
    )
    if not breaking:
        return Normalized(changes=(change,))
    alert = report.alert(
        name="JobFailed",
        subject=job,
        symptom=Symptom.SCHEMA,
        severity=Severity.WARNING,
        firing=True,
        summary=f"sync {job.name} waits: its source's schema changed in a breaking way",
        at=None,
        links={"connection": url},
    )
    return Normalized(changes=(change,), alerts=(alert,))


SETUP = """Settings → Notifications: the webhook address, with the secret in it, as Airbyte sends no headers. One hook
for each workspace, as a connection is known by its name.

    {url}?token={secret}

- Turn on **failed and successful** syncs: the next success of a connection ends its alert.
- Turn on connection updates (schema changes become changes) and both notices of repeated failures.
- The button Test sends "Hello World", which is ignored.
"""

SOURCE = Source(
    name=NAME,
    title="Airbyte",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.NEXT_PASS,
    setup=SETUP,
    ignores=("the test notification (Hello World)", "notices of connector upgrades"),
)
