"""What do the cloud platforms' events share? Batches, nested facts, and one builder for what an event tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tocsin.domain.alert import Alert, Resolves, Status
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._delivery import subject_of_run
from tocsin.sources._identity import environment_of, labels_of, link_of, subject_of
from tocsin.sources._times import moment

MAX_EVENTS = 1000
"""In one message: the batches that clouds deliver hold at most a few hundred."""


OUTCOMES = {
    ChangeOutcome.SUCCESS: "success pass succeeded successful completed complete inservice active created "
    "ready approved available done finished steadystate passed deployed registered "
    "scheduled updated deleted",
    ChangeOutcome.FAILURE: "failure fail failed fault errored createfailed updatefailed deletefailed "
    "updaterollbackfailed internalerror expired rollbackfailed timedout timeout "
    "outofservice error rollbackcomplete unhealthy internalfailure",
    ChangeOutcome.CANCELED: "stop stopped stopping canceled cancelled cancelling abandoned aborted rejected "
    "superseded skipped cancelrequested",
    ChangeOutcome.RUNNING: "start started starting creating updating executing inprogress pending queued "
    "resumed working running systemupdating rollingback submitted runnable provisioning "
    "activating deleting submittedforexecution",
}
"""The clouds' own words for states, letters only and in lower case → outcome."""

_OUTCOMES = {word: outcome for outcome, words in OUTCOMES.items() for word in words.split()}


def outcome_of(state: object) -> ChangeOutcome:
    """The outcome that a state means by OUTCOMES; unknown for any other word."""
    return _OUTCOMES.get(plain(state), ChangeOutcome.UNKNOWN)


def dig(value: object, *path: str) -> Any:  # noqa: ANN401
    """What stands at `path` in nested objects; None when it is not there."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def facts(value: object) -> dict[str, Any]:
    """The value when it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def rows(value: object) -> list[dict[str, Any]]:
    """The objects in a list; none for anything else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def texts(value: object) -> list[str]:
    """The texts in a list that are not empty; none for anything else."""
    return [each for each in value if isinstance(each, str) and each] if isinstance(value, list) else []


def name_in(value: Mapping[str, Any], *keys: str) -> str:
    """The first of these fields that is a text or a whole number, as a text of at most 512 characters; else empty."""
    for key in keys:
        found = value.get(key)
        if isinstance(found, str) and (found := found.strip()):
            return found[:512]
        if isinstance(found, int) and not isinstance(found, bool) and abs(found) < 2**63:
            return str(found)
    return ""


def time_in(value: Mapping[str, Any], *keys: str, path: str = "") -> datetime | None:
    """The first of these fields that holds a sane time. Raises BadPayload with its path for one that is no time."""
    for key in keys:
        try:
            found = moment(value.get(key))
        except BadPayload as error:
            raise BadPayload(error.reason, path=f"{path}.{key}".lstrip(".")) from None
        if found:
            return found
    return None


def first_line(words: object, limit: int = 300) -> str:
    """The first line of a text, cut; empty for anything else."""
    return words.strip().partition("\n")[0][:limit] if isinstance(words, str) else ""


def last_part(path: str) -> str:
    """`projects/p/locations/l/endpoints/7` → `7`."""
    return path.rstrip("/").rpartition("/")[2]


def plain(word: object) -> str:
    """A state as it is compared: lower case, letters only (`ROLLING_BACK`, `RollingBack` → `rollingback`)."""
    return "".join(letter for letter in word.lower() if letter.isalpha()) if isinstance(word, str) else ""


def combined(parts: Iterable[Normalized]) -> Normalized:
    """What several events of one message say together; the reasons of those that say nothing only when all do so."""
    found = list(parts)
    alerts = tuple(alert for part in found for alert in part.alerts)
    changes = tuple(change for part in found for change in part.changes)
    if alerts or changes:
        return Normalized(alerts=alerts, changes=changes)
    reasons = dict.fromkeys(part.ignored for part in found if part.ignored)
    return Normalized(ignored="; ".join([*reasons][:5]) or "an empty batch")


def own_subject(labels: Mapping[str, str], hook: Hook, fallback: Subject) -> Subject:
    """What an event's own labels are about, else the hook's defaults: a platform's hook hears of many things, so that
    a default `model` stands only where the event names nothing."""
    return subject_of(labels, fallback=subject_of(hook.defaults, fallback=fallback))


def run_subject(name: str, kind: ChangeKind, hook: Hook) -> Subject:
    """What a build, deployment or pipeline of this name is about; of the hook's defaults only `subject` and `service`
    say more, as a default `model` is not what every pipeline of an account deploys."""
    claims = {key: value for key, value in hook.defaults.items() if key in ("subject", "service")}
    return subject_of_run(name, kind, replace(hook, defaults=claims))


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """The event that tells: its message and hook, and the labels that all it tells carries."""

    source: str
    message: Message
    hook: Hook
    labels: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, Any] = field(default_factory=dict)
    """What the sender's own labels or tags say: they may name the environment on a hook `*`."""

    def _all(self, more: Mapping[str, Any] | None) -> dict[str, str]:
        told = {**self.hook.defaults, **facts(self.tags), **self.labels, **(more or {})}
        return {key: value for key, value in labels_of(told).items() if value}

    @property
    def environment(self) -> str:
        return environment_of({**self.hook.defaults, **labels_of(self.tags)}, self.hook)

    def change(
        self,
        *,
        id: str,
        kind: ChangeKind,
        subject: Subject,
        outcome: ChangeOutcome,
        summary: str,
        began: datetime | None = None,
        ended: datetime | None = None,
        url: object = "",
        labels: Mapping[str, Any] | None = None,
        **more: Any,  # noqa: ANN401
    ) -> Change:
        """A change; one that is not running any more ended when it says, else when it was told."""
        at = began or ended or self.message.received_at
        running = outcome is ChangeOutcome.RUNNING
        return Change(
            id=id[:512],
            hook=self.hook.name,
            source=self.source,
            environment=self.environment,
            kind=kind,
            subject=subject,
            occurred_at=min(at, ended) if ended else at,
            received_at=self.message.received_at,
            finished_at=None if running else ended or at,
            outcome=outcome,
            url=link_of(url),
            summary=" ".join(summary.split())[:1024],
            labels=self._all(labels),
            **more,
        )

    def alert(
        self,
        *,
        name: str,
        subject: Subject,
        status: Status,
        summary: str,
        at: datetime | None,
        labels: Mapping[str, Any] | None = None,
        resolves: Resolves = Resolves.SENDER,
        **more: Any,  # noqa: ANN401
    ) -> Alert:
        """An alert that began, or ended, `at`."""
        firing = status is Status.FIRING
        return Alert(
            hook=self.hook.name,
            source=self.source,
            environment=self.environment,
            name=name[:255],
            subject=subject,
            status=status,
            summary=" ".join(summary.split())[:1024] or name[:255],
            received_at=self.message.received_at,
            starts_at=at if firing else None,
            ends_at=None if firing else at,
            labels=self._all(labels),
            resolves=resolves,
            **more,
        )
