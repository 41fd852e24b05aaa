"""One change in our own words: the body of native_change, and what the expressions of a generic hook make of others."""

from __future__ import annotations

import hashlib
from datetime import datetime

from pydantic import Field

from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message
from tocsin.domain.subject import Subject
from tocsin.sources._identity import environment_of
from tocsin.sources._native import Labels, Link, Moment, Strict, Word, Words, text_labels


class ChangeBody(Strict):
    """One change, such as a deployment, a pipeline run or a promoted model."""

    kind: ChangeKind = Field(description="What was done to what, in CDEvents' words.")
    subject: Subject = Field(
        description="What was changed, as `kind:name`, such as `service:checkout`.", max_length=255
    )
    id: Word = Field(
        default="",
        description="The same for every event of one change (start and end). Left out, it is made from kind, subject, "
        "version and occurred_at (the minute of receipt without one, so that a quick retry is the same change).",
    )
    environment: Word = Field(default="", description="Counts only on a hook whose environment is `*`.")
    occurred_at: Moment = Field(default=None, description="When it took effect or began. Left out: now.")
    finished_at: Moment = Field(default=None, description="When it was done.")
    outcome: ChangeOutcome = Field(default=ChangeOutcome.UNKNOWN, description="How it went.")
    version: Word = Field(default="", description="What runs now: a version, tag or commit.")
    previous_version: Word = Field(default="", description="What ran before: where a rollback goes.")
    author: Word = Field(default="", description="Who did it.")
    url: Link = Field(default="", description="Where to read more.")
    ticket: Word = Field(default="", description="Number of the change request, such as CHG0030001.")
    summary: Words = Field(default="", description="One sentence for people.")
    touches: list[Subject] = Field(
        default=[],
        max_length=100,
        description="What it wrote besides its subject: datasets of a run, models of a deploy.",
    )
    reads: list[Subject] = Field(
        default=[],
        max_length=100,
        description="What it read: datasets of a run. What a job's pipelinerun.finished read and touched is lineage.",
    )
    labels: Labels = Field(default={}, description="Anything else worth knowing.")


def change_of(body: ChangeBody, message: Message, hook: Hook, *, source: str) -> Change:
    """The change that a body in our own words says."""
    labels = text_labels(body.labels, hook.defaults)
    place = {**labels, "environment": body.environment} if body.environment else labels
    environment = environment_of(place, hook)
    return Change(
        id=body.id
        or _id(body, environment, hook, body.occurred_at or message.received_at.replace(second=0, microsecond=0)),
        hook=hook.name,
        source=source,
        environment=environment,
        kind=body.kind,
        subject=body.subject,
        occurred_at=body.occurred_at or body.finished_at or message.received_at,
        finished_at=body.finished_at,
        received_at=message.received_at,
        outcome=body.outcome,
        version=body.version,
        previous_version=body.previous_version,
        author=body.author,
        url=body.url,
        ticket=body.ticket,
        summary=body.summary,
        touches=tuple(body.touches),
        reads=tuple(body.reads),
        labels=labels,
    )


def _id(body: ChangeBody, environment: str, hook: Hook, at: datetime) -> str:
    parts = (environment, hook.name, body.kind, body.subject, body.version, at.isoformat())
    return hashlib.blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
