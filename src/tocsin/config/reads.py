"""How may a hook say that its messages are read? The section `reads` of a hook whose source is `generic`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from tocsin.config.duration import Duration
from tocsin.config.zone import Zone
from tocsin.domain.alert import Resolves
from tocsin.domain.reading import Expression, Reading, Reads, Signature
from tocsin.domain.subject import KINDS

Text = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean"]})]


class Strict(BaseModel):
    """Unknown keys are refused: a misspelt one must not pass silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _compiles(text: str) -> str:
    from tocsin.sources._expressions import compiled  # noqa: PLC0415 only mappings with such hooks need JMESPath

    compiled(text)
    return text


Jmes = Annotated[str, AfterValidator(_compiles), Field(min_length=1, max_length=2_000)]
"""A JMESPath expression, such as `events[0].rule.name`."""


class FoundIn(Strict):
    """What an expression gives, or a constant."""

    text: Jmes | None = Field(default=None, alias="from", description="The JMESPath expression.")
    table: dict[Text, Text] = Field(default={}, description="The sender's word → ours.")
    default: Text = Field(default="", description="Where the expression gives nothing, or a word not in the table.")
    value: Text = Field(default="", description="A constant, instead of an expression.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.text is None) == (not self.value):
            raise ValueError("needs either `from`, a JMESPath expression, or `value`, a constant")
        return self

    def plain(self) -> Expression:
        if self.text is None:
            return Expression(text="", default=self.value)
        return Expression(text=self.text, table=tuple(self.table.items()), default=self.default)


def _found(value: object) -> object:
    return {"from": value} if isinstance(value, str) else value


FoundRef = Annotated[FoundIn, BeforeValidator(_found, json_schema_input_type=str | FoundIn)]
Kind = Literal["service", "model", "feature", "dataset", "job", "host", "queue", "provider", "unknown"]
assert set(Kind.__args__) == KINDS  # type: ignore[attr-defined]  # the schema needs them spelt out
SubjectIn = Annotated[
    dict[Kind, FoundRef] | FoundRef,
    Field(description="kind → expression for its name, the first that gives one; or an expression for kind:name."),
]


class IgnoreIn(Strict):
    """Items that carry nothing for us."""

    when: Jmes = Field(description="Condition: a JMESPath expression.")
    because: str = Field(min_length=1, description="The reason that the audit trail names.")


class SignatureIn(Strict):
    """A header that holds the body's HMAC in hex."""

    header: str = Field(min_length=1, description="Its name.")
    prefix: str = Field(default="", description="What stands before the digits, such as sha256=.")
    algorithm: Literal["sha1", "sha256", "sha512"] = Field(default="sha256", description="The hash.")


class _ReadingIn(Strict):
    when: Jmes | None = Field(default=None, description="Condition; left out: always. The first that holds is read.")
    subject: SubjectIn | None = Field(default=None, description="What it is about; left out, its labels say.")
    environment: FoundRef | None = Field(default=None, description="Counts only on a hook whose environment is `*`.")
    labels: dict[str, FoundRef] = Field(default={}, description="Name → expression.")
    links: dict[str, FoundRef] = Field(default={}, description="Name → expression for an address.")
    summary: FoundRef | None = Field(default=None, description="One sentence for people.")

    def plain(self) -> Reading:
        """As the source takes it."""
        own = {name: getattr(self, name) for name in type(self).model_fields if name not in _APART}
        subjects: tuple[tuple[str, Expression], ...] = ()
        fields = {name: found.plain() for name, found in own.items() if isinstance(found, FoundIn)}
        if isinstance(self.subject, FoundIn):
            fields["subject"] = self.subject.plain()
        elif self.subject:
            subjects = tuple((kind, found.plain()) for kind, found in self.subject.items())
        return Reading(
            when=self.when or "",
            resolved=str(getattr(self, "resolved", None) or ""),
            fields=tuple(fields.items()),
            subjects=subjects,
            labels=_each(self.labels),
            links=_each(self.links),
        )


_APART = frozenset({"when", "resolved", "subject", "labels", "links"})


def _each(found: Mapping[str, FoundIn]) -> tuple[tuple[str, Expression], ...]:
    return tuple((name, one.plain()) for name, one in found.items())


class AlertReadsIn(_ReadingIn):
    """An alert: each field of the native body, as an expression."""

    name: FoundRef = Field(description="Name of the rule or check; the same for every report of it.")
    symptom: FoundRef | None = Field(default=None, description="What is wrong; left out, read from the words.")
    severity: FoundRef | None = Field(default=None, description="How bad it is, in the sender's or our words.")
    status: FoundRef | None = Field(default=None, description="resolved, ok, closed … end it; any other word fires.")
    resolved: Jmes | None = Field(default=None, description="Condition under which it has ended, instead of status.")
    starts_at: FoundRef | None = Field(default=None, description="Since when.")
    ends_at: FoundRef | None = Field(default=None, description="When it ended.")
    window_starts_at: FoundRef | None = Field(default=None, description="Since when the check looked at data.")
    resource: FoundRef | None = Field(default=None, description="Which of several alike. Part of the identity.")
    segment: FoundRef | None = Field(default=None, description="Part of the data or users. Part of the identity.")
    region: FoundRef | None = Field(default=None, description="Where.")
    cohort: FoundRef | None = Field(default=None, description="Who is served: canary, shadow or A/B.")
    metric: FoundRef | None = Field(default=None, description="What was measured. Part of the identity.")
    observed: FoundRef | None = Field(default=None, description="The measured value.")
    threshold: FoundRef | None = Field(default=None, description="The limit that it broke.")
    baseline: FoundRef | None = Field(default=None, description="What is usual.")
    sample_size: FoundRef | None = Field(default=None, description="How many records were measured.")
    model_version: FoundRef | None = Field(default=None, description="Version of the model that was measured.")
    sender_key: FoundRef | None = Field(default=None, description="The sender's own id of this alert.")


class ChangeReadsIn(_ReadingIn):
    """A change: each field of the native body, as an expression."""

    kind: FoundRef = Field(description="What was done to what, in CDEvents' words, such as service.deployed.")
    id: FoundRef | None = Field(default=None, description="The same for every event of one change.")
    occurred_at: FoundRef | None = Field(default=None, description="When it took effect or began.")
    finished_at: FoundRef | None = Field(default=None, description="When it was done.")
    outcome: FoundRef | None = Field(default=None, description="success, failure, canceled, running.")
    version: FoundRef | None = Field(default=None, description="What runs now.")
    previous_version: FoundRef | None = Field(default=None, description="What ran before.")
    author: FoundRef | None = Field(default=None, description="Who did it.")
    url: FoundRef | None = Field(default=None, description="Where to read more.")
    ticket: FoundRef | None = Field(default=None, description="Number of the change request.")
    touches: FoundRef | None = Field(default=None, description="A list of kind:name that it wrote besides.")
    reads: FoundRef | None = Field(default=None, description="A list of kind:name that it read.")


class ReadsIn(Strict):
    """How messages of a sender without a source of its own are read."""

    each: Jmes | None = Field(default=None, description="The list of items; left out: the body is the only one.")
    ignore: list[IgnoreIn] = Field(default=[], description="Items that carry nothing, each with its reason.")
    alerts: list[AlertReadsIn] = Field(default=[], description="The first whose condition holds is read.")
    changes: list[ChangeReadsIn] = Field(default=[], description="The first whose condition holds is read.")
    message_id: Jmes | None = Field(default=None, description="The sender's id of a delivery, stable over retries.")
    time_zone: Zone = Field(default="UTC", description="Zone of times without one.")
    time_format: str = Field(default="", description="strptime form of times in no usual spelling.")
    resolves: Resolves = Field(default=Resolves.SENDER, description="How alerts end: sender, next_pass, expiry.")
    expires_after: Duration | None = Field(default=None, description="They end when not reported for this long.")
    signature: SignatureIn | None = Field(default=None, description="The sender signs; left out: a shared secret.")

    @model_validator(mode="after")
    def _reads_something(self) -> Self:
        if not self.alerts and not self.changes:
            raise ValueError("reads neither alerts nor changes; declare one of them")
        if self.resolves is Resolves.EXPIRY and self.expires_after is None:
            raise ValueError("needs expires_after where alerts end by expiry")
        return self

    def plain(self) -> Reads:
        """As the source takes it."""
        signature = Signature(**self.signature.model_dump()) if self.signature else None
        return Reads(
            each=self.each or "",
            ignore=tuple((one.when, one.because) for one in self.ignore),
            alerts=tuple(one.plain() for one in self.alerts),
            changes=tuple(one.plain() for one in self.changes),
            message_id=self.message_id or "",
            time_zone=self.time_zone,
            time_format=self.time_format,
            resolves=self.resolves,
            expires_after=self.expires_after,
            signature=signature,
        )


def draft(said: Mapping[str, Any]) -> ReadsIn:
    """Reads from plain values. Raises pydantic's ValidationError where they do not fit."""
    return ReadsIn.model_validate(said)
