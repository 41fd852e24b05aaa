"""Our own JSON for changes: for deploy scripts, feature flags, and anything else that may explain a symptom."""

from __future__ import annotations

import hashlib
from datetime import datetime

from pydantic import Field

from tocsin.domain.alert import Resolves
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._identity import environment_of
from tocsin.sources._json import parsed_object
from tocsin.sources._native import Labels, Link, Moment, Strict, Word, Words, each, text_labels
from tocsin.sources._verify import shared_secret

NAME = "native_change"


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
    labels: Labels = Field(default={}, description="Anything else worth knowing.")


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change, or `{"changes": [...]}`. Raises BadPayload for unknown keys and values, with their place."""
    bodies = each(ChangeBody, parsed_object(message.body), "changes")
    if not bodies:
        return Normalized(ignored="the list of changes is empty")
    return Normalized(changes=tuple(_change(body, message, hook) for body in bodies))


def _change(body: ChangeBody, message: Message, hook: Hook) -> Change:
    labels = text_labels(body.labels, hook.defaults)
    place = {**labels, "environment": body.environment} if body.environment else labels
    environment = environment_of(place, hook)
    return Change(
        id=body.id
        or _id(body, environment, hook, body.occurred_at or message.received_at.replace(second=0, microsecond=0)),
        hook=hook.name,
        source=NAME,
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
        labels=labels,
    )


def _id(body: ChangeBody, environment: str, hook: Hook, at: datetime) -> str:
    parts = (environment, hook.name, body.kind, body.subject, body.version, at.isoformat())
    return hashlib.blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


SOURCE = Source(
    name=NAME,
    title="Tocsin's own JSON: changes",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    aliases=("change",),
    ignores=("an empty list of changes",),
    setup="""\
```sh
curl -fsS {url} -H 'Authorization: Bearer {secret}' -H 'Content-Type: application/json' -d '
{{"kind": "service.deployed", "subject": "service:checkout", "version": "2.14.0", "previous_version": "2.13.2",
  "outcome": "success", "author": "ci", "url": "https://ci.example.com/runs/812", "ticket": "CHG0030001"}}'
```

Several at once: `{{"changes": [...]}}`. Unknown keys are refused, so that a misspelt one is seen.
""",
)
