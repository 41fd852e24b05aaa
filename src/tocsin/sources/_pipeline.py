"""What do data pipelines and the checks of their data share? The alert of a check or run, and the change that a run is.

The subject is what the report itself names; the hook's defaults only stand under the labels, because one pipeline tool
reports on many datasets and jobs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator

from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message
from tocsin.domain.subject import Subject
from tocsin.sources._delivery import is_production
from tocsin.sources._identity import VERSION_LABELS, environment_of, first_of, labels_of, link_of, links_of
from tocsin.sources._json import number
from tocsin.sources._times import moment

MAX_NAME = 255
MAX_RESULTS = 5000
"""Results of one report that are read; larger projects post in parts."""
MAX_TOUCHES = 1000

CHECKS: tuple[tuple[str, Symptom], ...] = (
    (
        r"schema|column_(exists|to_exist|type)|to_exist|of_type|data_?type|columns? (missing|added|removed)",
        Symptom.SCHEMA,
    ),
    (r"required column|table_columns|columns_match|contract", Symptom.SCHEMA),
    (r"fresh|recency|stale|not (been )?updated|late[ _]arriv", Symptom.FRESHNESS),
    (r"row_?count|row count|equal_rowcount|count same as|volume|dimension_anomal", Symptom.VOLUME),
    (r"number of rows|cardinality_equality|size_diff|\brows vs", Symptom.VOLUME),
    (r"distribution|drift|kl_divergence|jensen|wasserstein|\bpsi\b", Symptom.FEATURE_DRIFT),
)
"""Words in a check's type or definition → symptom; any other check of data is about its quality."""

_CHECKS = tuple((re.compile(words, re.I), symptom) for words, symptom in CHECKS)
_GOT = re.compile(r"\bgot (\d{1,15}) results?\b", re.I)
_BOUND = re.compile(r"configured to (?:fail|warn) if\s*(?:!=|<>|>=|<=|==?|>|<)\s*(-?\d{1,15}(?:\.\d{1,9})?)", re.I)
_CONTROL = re.compile(r"\s+")


def _as_text(value: object) -> object:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)[:64]
    return _stripped(value)


Id = Annotated[str, BeforeValidator(_as_text)]
"""An id that some versions send as a number, others as text; null means absent."""


def _stripped(value: object) -> object:
    return value.strip() if isinstance(value, str) else "" if value is None else value


Text = Annotated[str, BeforeValidator(_stripped)]
"""A text without blanks around it; null means empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The message in which something was said, by whom, and what all of it shares."""

    source: str
    message: Message
    hook: Hook
    environment: str = ""
    """What the sender says; only a hook `*` listens."""
    labels: Mapping[str, object]

    def alert(
        self,
        *,
        name: str,
        subject: Subject,
        symptom: Symptom,
        firing: bool,
        summary: str,
        at: datetime | None,
        severity: Severity = Severity.ERROR,
        resource: str = "",
        metric: str = "",
        observed: float | None = None,
        threshold: float | None = None,
        baseline: float | None = None,
        sample_size: int | None = None,
        sender_key: str = "",
        labels: Mapping[str, object] | None = None,
        links: Mapping[str, object] | None = None,
        resolves: Resolves = Resolves.NEXT_PASS,
        expires_after: timedelta | None = None,
    ) -> Alert:
        """Firing since `at`, or ended then."""
        named = self._named(labels)
        return Alert(
            hook=self.hook.name,
            source=self.source,
            environment=self._environment(),
            name=name[:MAX_NAME],
            subject=subject,
            symptom=symptom,
            severity=severity,
            status=Status.FIRING if firing else Status.RESOLVED,
            summary=one_line(summary, 1024),
            received_at=self.message.received_at,
            starts_at=at if firing else None,
            ends_at=None if firing else at,
            resource=resource[:MAX_NAME],
            metric=metric[:MAX_NAME],
            observed=observed,
            threshold=threshold,
            baseline=baseline,
            sample_size=sample_size,
            model_version=first_of(named, VERSION_LABELS),
            sender_key=sender_key[:200],
            labels=named,
            links=links_of(links or {}),
            resolves=resolves,
            expires_after=expires_after,
        )

    def change(
        self,
        *,
        id: str,
        subject: Subject,
        summary: str,
        outcome: ChangeOutcome,
        kind: ChangeKind = ChangeKind.PIPELINERUN_FINISHED,
        began: datetime | None = None,
        ended: datetime | None = None,
        version: str = "",
        previous_version: str = "",
        author: str = "",
        url: object = "",
        touches: Iterable[Subject] = (),
        labels: Mapping[str, object] | None = None,
    ) -> Change:
        """The change, from its begin (else its end, else the receipt) to its end, when it has ended."""
        at = began or ended or self.message.received_at
        done = outcome is not ChangeOutcome.RUNNING
        return Change(
            id=id[:512],
            hook=self.hook.name,
            source=self.source,
            environment=self._environment(),
            kind=kind,
            subject=subject,
            occurred_at=min(at, ended) if ended else at,
            received_at=self.message.received_at,
            finished_at=(ended or at) if done else None,
            outcome=outcome,
            version=version[:MAX_NAME],
            previous_version=previous_version[:MAX_NAME],
            author=author[:MAX_NAME],
            url=link_of(url),
            summary=one_line(summary, 1024),
            touches=tuple(dict.fromkeys(touches))[:MAX_TOUCHES],
            labels=self._named(labels),
        )

    def job_alert(
        self, job: Subject, *, failed: bool, at: datetime | None, why: str = "", what: str = "", **more: object
    ) -> Alert:
        """`JobFailed` of a job's run; the next run that passes ends it. `why` is its error, `what` how people call it;
        `more` may hold resource, sender_key and links."""
        links = more.get("links")
        what = what or job.name
        return self.alert(
            name="JobFailed",
            subject=job,
            symptom=Symptom.ERRORS,
            firing=failed,
            summary=f"{what} failed" + (f": {why}" if why else "") if failed else f"{what} passed",
            at=at,
            resource=str(more.get("resource") or ""),
            sender_key=str(more.get("sender_key") or ""),
            links=links if isinstance(links, Mapping) else None,
        )

    def _environment(self) -> str:
        told = self.environment.strip()
        claimed = {"environment": "production" if is_production(told) else told} if told else {}
        return environment_of({**self.hook.defaults, **claimed}, self.hook)

    def _named(self, more: Mapping[str, object] | None) -> dict[str, str]:
        told = {key: value for key, value in {**self.labels, **(more or {})}.items() if value not in ("", None)}
        return labels_of({**self.hook.defaults, **told})


def check_symptom(*texts: str) -> Symptom:
    """What a check of data is about, by the first of CHECKS in its type or definition; else data quality."""
    return next((found for said in texts if said and (found := _symptom_in(said[:500]))), Symptom.DATA_QUALITY)


@lru_cache(maxsize=4096)
def _symptom_in(said: str) -> Symptom | None:
    return next((meant for words, meant in _CHECKS if words.search(said)), None)


def dbt_counts(said: str) -> tuple[float | None, float | None]:
    """Failing rows and their bound in dbt's own sentence: `Got 3 results, configured to fail if > 2`."""
    got, bound = _GOT.search(said), _BOUND.search(said)
    return (float(got[1]) if got else None), (float(bound[1]) if bound else None)


def first_line(value: object, limit: int = 300) -> str:
    """The first line of an error that says something; what lies below is a stack trace or a query."""
    if not isinstance(value, str):
        return ""
    lines = (line.strip() for line in value[:5000].splitlines())
    return next((line[:limit] for line in lines if line), "")


def one_line(value: str, limit: int) -> str:
    """A text on one line, without control characters' breaks."""
    return _CONTROL.sub(" ", value).strip()[:limit]


def time_at(value: object, path: str) -> datetime | None:
    """The moment. Raises BadPayload with the path when the value is no time."""
    try:
        return moment(value)
    except BadPayload as error:
        raise BadPayload(error.reason, path=path) from None


_UNFILLED = re.compile(r"\{\{.*\}\}|\$\{[^{}]*\}", re.S)


class Told:
    """The fields of a body that a template made, by any of the names that templates give them; a variable that the
    sender left unfilled (`{{run_id}}`) says nothing."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body = body

    def text(self, *keys: str, limit: int = 1024) -> str:
        """The first of these that says something, a number as its digits; empty when none does."""
        return next((found for key in keys if (found := filled(self.body.get(key), limit))), "")

    def need(self, *keys: str) -> str:
        """The same. Raises BadPayload with the first key when none says anything."""
        if found := self.text(*keys):
            return found
        raise BadPayload("absent or empty, and it is what the event is about", path=keys[0])

    def time(self, *keys: str) -> datetime | None:
        """The first moment among these. Raises BadPayload when one that says something is no time."""
        return next((at for key in keys if (at := time_at(self._plain(key), key))), None)

    def number(self, *keys: str) -> float | None:
        """The first finite number among these."""
        return next((found for key in keys if (found := number(self.body.get(key))) is not None), None)

    def _plain(self, key: str) -> object:
        value = self.body.get(key)
        return filled(value, 64) if isinstance(value, str) else value


def filled(value: object, limit: int = 1024) -> str:
    """A value as text; empty for nothing, for anything nested and for a variable that was not filled in."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)[:limit]
    found = value.strip() if isinstance(value, str) else ""
    return "" if found.lower() in ("", "none", "null") or _UNFILLED.fullmatch(found) else found[:limit]
