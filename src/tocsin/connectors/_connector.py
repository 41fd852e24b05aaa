"""What is a connector? A kind, its config, how a record is rendered, and how one is brought to its wanted state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from tocsin.connectors._http import LOOPBACK, Failure, Http, unchanged
from tocsin.domain.record import Confirmation, Note, Outcome, Reason, Task, Wanted
from tocsin.domain.seen import Finding, Inspection, MirroredChange, Polled, Seen

PRODUCT = "Tocsin"
HumanPolicy = Literal["note_only", "resolve_unless_state_changed"]


class Options(BaseModel):
    """What every connector's config obeys: unknown fields are refused, values do not change. What the mappings refer to
    (`{env: NAME}`) comes wrapped as a secret; in a field that is none it is plain text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _open_what_is_no_secret(cls, given: Any) -> Any:  # noqa: ANN401 anything may be written
        if not isinstance(given, Mapping):
            return given
        plain = {name for name, field in cls.model_fields.items() if "SecretStr" not in str(field.annotation)}
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) and name in plain else value
            for name, value in given.items()
        }


class Connection(Options):
    """How a vendor is reached over HTTP."""

    url: str = Field(description="Address of the vendor's API, without a trailing slash.")
    allow_http: bool = Field(
        default=False, description="Allow an http:// address that is not this machine (a simulator beside us)."
    )
    connect_timeout_s: float = Field(default=5, gt=0, le=30, description="Seconds to wait for a connection.")
    read_timeout_s: float = Field(default=10, gt=0, le=60, description="Seconds to wait for an answer.")
    deadline_s: float = Field(default=20, gt=0, le=120, description="Seconds that all calls of one attempt may take.")
    ca_bundle: Path | None = Field(default=None, description="File of private CA certificates (PEM).")
    client_cert: Path | None = Field(default=None, description="File of our client certificate (PEM), for mutual TLS.")
    client_key: Path | None = Field(default=None, description="File of its key (PEM), unless client_cert holds it.")
    proxy: SecretStr | None = Field(
        default=None,
        description="Address of an HTTP proxy; it may hold credentials. Left out: HTTPS_PROXY and NO_PROXY hold.",
    )
    calls_per_minute: float | None = Field(
        default=None, gt=0, description="Calls a minute that all workers together may make; left out: no limit of ours."
    )
    calls_per_hour: float | None = Field(
        default=None, gt=0, description="Calls an hour that all workers together may make; left out: no limit of ours."
    )
    when_human_touched: HumanPolicy = Field(
        default="resolve_unless_state_changed",
        description="What may still be written once a person works on the record: notes only, or also its end.",
    )
    mirror_changes: bool = Field(
        default=False, description="Show the owning team's deploys and other changes beside its incidents there."
    )

    @model_validator(mode="after")
    def _url_is_usable(self) -> Connection:
        check_address("url", self.url, allow_http=self.allow_http)
        return self

    @property
    def root(self) -> str:
        """The address without trailing slashes."""
        return self.url.rstrip("/")


def check_address(name: str, url: str, *, allow_http: bool) -> None:
    """Refuse an address that is none, holds credentials, or would send them in clear. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{name}: not an https:// address; write it like https://desk.example.com")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(f"{name}: holds credentials or a query; give credentials in their own fields")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK and not allow_http:
        raise ValueError(f"{name}: http:// would send credentials in clear; use https:// or set allow_http")


def secrets_of(config: BaseModel) -> Iterator[str]:
    """Every secret text that a config holds, also inside nested models, mappings and lists."""
    for name in type(config).model_fields:
        yield from _secrets_in(getattr(config, name))


def _secrets_in(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        yield from secrets_of(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _secrets_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _secrets_in(item)


def open_http(config: BaseModel, *, redact: Callable[[str], str] = unchanged, blip_wait_s: float = 0.5) -> Http:
    """The HTTP client for one destination. Make one per destination and process, and keep it: it remembers tokens,
    looked-up ids and open connections. `redact` cleans the vendor's words before anybody keeps them."""
    if not isinstance(config, Connection):
        return Http(redact=redact)
    return Http(
        timeout_s=(config.connect_timeout_s, config.read_timeout_s),
        redact=redact,
        secrets=tuple(secrets_of(config)),
        deadline_s=config.deadline_s,
        ca_bundle=str(config.ca_bundle or ""),
        client_cert=_client_cert(config),
        proxy=config.proxy.get_secret_value() if config.proxy else "",
        blip_wait_s=blip_wait_s,
    )


def _client_cert(config: Connection) -> tuple[str, str] | str:
    if config.client_cert is None:
        return ""
    return (str(config.client_cert), str(config.client_key)) if config.client_key else str(config.client_cert)


C = TypeVar("C", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector(Generic[C]):
    """One kind of destination. `render` answers what a create would carry (pure, golden files); `bring` moves one
    record to its wanted state; `expects` names the address fields that a team may give here."""

    kind: str
    title: str
    Config: type[C]
    render: Callable[[C, Wanted], Mapping[str, object]]
    bring: Callable[[C, Task, Http], Outcome]
    expects: tuple[str, ...] = ()
    reopens: bool = True
    """Can a resolved record be opened again? Otherwise a re-fired incident gets the next generation."""
    attaches: bool = False
    """Does `bring` send `Task.attachments`? Otherwise none are kept for its records."""
    holds_ticket: bool = True
    """Is a record here the incident's ticket? A pager's or a screen's is none."""
    poll: Callable[[C, str, datetime, Http], Polled | Failure] | None = None
    """(config, watermark or empty, now, http) → what people did since."""
    survey: Callable[[C, Sequence[str], datetime, Http], tuple[Seen, ...] | Failure] | None = None
    """(config, our record keys, since, http) → the records that stand at the vendor under these keys, doubles
    included, and, with no keys, all that carry our mark and were created since: for reconciliation. Read-only."""
    inspect: Callable[[C, Inspection, Http], Iterator[Finding]] | None = None
    """What doctor finds out, read-only unless the inspection allows a probe; yields as it goes."""
    mirror: Callable[[C, MirroredChange, Http], Outcome] | None = None
    """Shows a change beside the vendor's incidents."""

    def send(self, config: C, task: Task, http: Http, *, within_s: float | None = None) -> Outcome:
        """Bring the record to its wanted state, as one attempt with its own deadline, at most `within_s` seconds from
        now: nothing is sent later than that. Never raises."""
        attempt = http.attempt(task.now, within_s=within_s)
        outcome = self.bring(config, task, attempt)
        still_unsure = task.ambiguous_since is not None and outcome.confirmation is None
        if outcome.result == "retry" and still_unsure:
            outcome = replace(outcome, result="ambiguous")  # this try came to nothing; the earlier one may have not
        return replace(outcome, calls=attempt.calls)


def cut(text: str, limit: int) -> str:
    """At most `limit` code points; what was cut away is shown by an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def one_line(text: str, limit: int) -> str:
    """The text in one line of at most `limit` code points."""
    return cut(" ".join(text.split()), limit)


def marker(note: Note) -> str:
    """The line that proves that a note arrived: `[toc:1a2b3c4d]`, from the note's stable id."""
    return f"[toc:{sha256(note.id.bytes).hexdigest()[:8]}]"


def marked(note: Note, limit: int) -> str:
    """The note's text with its marker as the last line, at most `limit` code points in all."""
    sign = marker(note)
    return f"{cut(note.text, limit - len(sign) - 1)}\n{sign}"


Kind = Literal["done", "duplicate"]


def done(confirmation: Confirmation, *, result: Kind = "done", detail: str = "") -> Outcome:
    """The record stands as wanted."""
    return Outcome(result=result, reason=Reason.OK, detail=detail, confirmation=confirmation)


def rejected(reason: Reason, detail: str, confirmation: Confirmation | None = None) -> Outcome:
    """Trying again will not help."""
    return Outcome(result="rejected", reason=reason, detail=detail, confirmation=confirmation)
