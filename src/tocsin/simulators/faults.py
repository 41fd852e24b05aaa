"""Which planned fault, if any, strikes this call?

A plan is what `POST /__faults` takes:

    {"match": {"method": "POST", "path": "/incident$"},  both optional; path is a regular expression (search)
     "fault": "commit_then_drop",                        see FaultKind
     "times": 1,                                         how many calls it strikes; 0 = until deleted
     "skip": 0,                                          matching calls that pass first
     "after_s": 1.0,                                     slow: seconds; rate_limit: Retry-After; index_lag: seconds
     "status": 503, "fields": ["priority"], "rule": "Validate CI",
     "edit": {"record": "INC0010001", "do": "assign"}}  person_edits: a body of POST /__person
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import orjson

from tocsin.domain.errors import BadPayload


class FaultKind(StrEnum):
    """What goes wrong. The first two break the connection, so that the caller sees no answer at all."""

    COMMIT_THEN_DROP = "commit_then_drop"
    """The work is done, then the connection closes without an answer."""
    DROP_BEFORE_COMMIT = "drop_before_commit"
    """The connection closes and nothing was done."""
    SLOW = "slow"
    """The work is done at once, the answer comes `after_s` later."""
    SLOW_COMMIT = "slow_commit"
    """Nothing happens for `after_s`; then the work is done and answered (a caller may have given up meanwhile)."""
    RATE_LIMIT = "rate_limit"
    """429 in the vendor's own words and headers; nothing was done."""
    SERVER_ERROR_BEFORE = "server_error_before"
    SERVER_ERROR_AFTER = "server_error_after"
    """5xx (`status`, 503 unless given), with the work undone or done."""
    HTML_200 = "html_200"
    """200 with a web page: hibernating instance, login page, block page. Nothing was done."""
    SILENT_FIELD_DROP = "silent_field_drop"
    """The call succeeds, but `fields` of the body are ignored."""
    BUSINESS_RULE_ABORT = "business_rule_abort"
    """A rule of the customer (`rule`) refuses the write."""
    INDEX_LAG = "index_lag"
    """Searches do not see what is younger than `after_s`."""
    PERSON_EDITS = "person_edits"
    """Somebody edits a record (`edit`, a body of `/__person`) right before the call is carried out."""
    LATE = "late"
    """Answered at once, carried out `after_s` later (PagerDuty's events)."""


BEFORE_THE_WORK = frozenset(
    {
        FaultKind.RATE_LIMIT,
        FaultKind.SERVER_ERROR_BEFORE,
        FaultKind.HTML_200,
        FaultKind.BUSINESS_RULE_ABORT,
    }
)
"""Kinds that the vendor's own refusal answers, with nothing done."""


@dataclass(slots=True, kw_only=True)
class Plan:
    """One planned fault; `left` counts the calls that it will still strike (None: until deleted)."""

    id: int
    kind: FaultKind
    method: str = ""
    path: re.Pattern[str] = re.compile("")
    left: int | None = 1
    skip: int = 0
    after_s: float = 1.0
    status: int = 503
    fields: tuple[str, ...] = ()
    rule: str = "Tocsin test rule"
    edit: Mapping[str, object] = field(default_factory=dict)

    def strikes(self, method: str, path: str) -> bool:
        """Whether this plan takes this call; counts it down when it does."""
        if self.left == 0 or (self.method and self.method != method) or not self.path.search(path):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.left is not None:
            self.left -= 1
        return True

    def shown(self) -> dict[str, object]:
        """The plan as `GET /__faults` lists it."""
        return {
            "id": self.id,
            "fault": self.kind,
            "match": {"method": self.method, "path": self.path.pattern},
            "left": self.left,
            "skip": self.skip,
            "after_s": self.after_s,
        }


@dataclass(slots=True)
class Plans:
    """All plans of one simulator, oldest first; the first that matches strikes."""

    plans: list[Plan] = field(default_factory=list)
    given: int = 0

    def add(self, body: Mapping[str, object]) -> Plan:
        """Takes the body of `POST /__faults`; BadPayload says what is wrong with it."""
        self.given += 1
        plan = plan_of(body, plan_id=self.given)
        self.plans.append(plan)
        return plan

    def clear(self) -> None:
        """Forgets every plan."""
        self.plans.clear()

    def striking(self, method: str, path: str) -> Plan | None:
        """The plan that takes this call, counted down; None when the call may pass."""
        return next((plan for plan in self.plans if plan.strikes(method, path)), None)


def plan_of(body: Mapping[str, object], *, plan_id: int) -> Plan:
    """A plan from its JSON form; BadPayload names the field."""
    known = {"match", "fault", "times", "skip", "after_s", "status", "fields", "rule", "edit"}
    if unknown := sorted(set(body) - known):
        raise BadPayload(f"unknown; known are {sorted(known)}", path=unknown[0])
    match = body.get("match") or {}
    if not isinstance(match, Mapping):
        raise BadPayload('must be an object such as {"method": "POST", "path": "/incident$"}', path="match")
    try:
        times = int(str(body.get("times", 1)))
        return Plan(
            id=plan_id,
            kind=FaultKind(str(body.get("fault"))),
            method=str(match.get("method", "")).upper(),
            path=re.compile(str(match.get("path", ""))),
            left=times if times > 0 else None,
            skip=int(str(body.get("skip", 0))),
            after_s=float(str(body.get("after_s", 1.0))),
            status=int(str(body.get("status", 503))),
            fields=tuple(map(str, _list(body.get("fields", [])))),
            rule=str(body.get("rule", "Tocsin test rule")),
            edit=_mapping(body.get("edit", {})),
        )
    except (ValueError, re.error) as wrong:
        raise BadPayload(str(wrong), path="fault") from wrong


def without(raw: bytes, fields: tuple[str, ...]) -> bytes:
    """A JSON body without `fields`, at its top or one object deeper (Jira's `fields`, PagerDuty's `payload`)."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw
    if not isinstance(body, dict):
        return raw
    kept = {key: value for key, value in body.items() if key not in fields}
    for outer in ("fields", "payload", "incident"):
        if isinstance(kept.get(outer), dict):
            kept[outer] = {key: value for key, value in kept[outer].items() if key not in fields}
    return orjson.dumps(kept)


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise BadPayload("must be an object, a body of POST /__person", path="edit")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise BadPayload("must be a list of field names", path="fields")
    return value
