"""What do delivery tools share? Environments by name, runs that deploy, and the change that one run is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message
from tocsin.domain.subject import Subject
from tocsin.sources._identity import ANY_ENVIRONMENT, environment_of, labels_of, link_of, subject_of
from tocsin.sources._times import moment

PRODUCTION = re.compile(
    r"(?<!pre)(?<!pre[-_ ])(?<!non)(?<!non[-_ ])(?:\b|(?<=_))(prod|prd|production|live)(?:\b|(?=[_\d]))", re.I
)
NOT_PRODUCTION = re.compile(
    r"(?:\b|(?<=_))(dev|devel|development|stag(e|ing)|stg|testing|test|qa|uat|preview|review|sandbox|pre[-_ ]?prod\w*"
    r"|non[-_ ]?prod\w*|demo|integration|local|nightly|branch-deploy|deploy-preview|acceptance)(?:\b|(?=_))",
    re.I,
)
"""Names that say outright which sort an environment is; any other (`eu-west-1`, `cluster-a`) is the hook's."""

DEPLOYS = re.compile(r"(?<!un)(?<!pre-)(?<!pre)deploy(?!er)|rollout|roll[-_ ]out|go[-_ ]?live", re.IGNORECASE)
ROLLS_BACK = re.compile(r"(?<![a-z])roll(ed|ing)?[-_ ]?back|\brevert(ed|s)?\b", re.IGNORECASE)
_RELEASE_NAME = re.compile(r"v?\d+(\.\d+)+[\w.+-]*")
_SEPARATOR = r"[-_ /:]+"
_VERB = re.compile(
    rf"(?:^|{_SEPARATOR})(deploy(ment|ments|s|ing)?|rollout|roll[-_ ]out|rollback)(?={_SEPARATOR}|$)", re.I
)
_PLACE = r"(prod|prd|production|live|staging|stage|stg|dev|development|test|testing|qa|uat|sandbox|pre-?prod)"
_REGION = r"(eu|us|uk|ap|de|apac|emea|[a-z]{2}-(north|south|east|west|central)[a-z]*-?\d?)"
_AT_END = re.compile(
    rf"{_SEPARATOR}({_PLACE}({_SEPARATOR}{_REGION})?|ci|cd|job|pipeline|run|release|to|in|on|the)$", re.I
)
_AT_START = re.compile(rf"^(prod|production|staging|ci|cd|job|pipeline|run|release|to|the){_SEPARATOR}", re.I)
_JOB_PLACE = re.compile(
    r"(?:\b|(?<=_))(staging|stg|uat|qa|sandbox|development|pre[-_ ]?prod\w*|non[-_ ]?prod\w*)(?:\b|(?=_))"
    rf"|(?:(?:to|in|on){_SEPARATOR}|[-_ /:])(dev|test|testing|stage|review|preview|demo|integration|local|acceptance)$"
    rf"|(?:to|in|on){_SEPARATOR}(dev|test|testing|stage|review|preview|demo|integration)(?:\b|(?=_))",
    re.I,
)
"""Words in a job's name that say where it deploys: `deploy-runner-test` does, `deploy-test-runner` does not."""


def _as_words(value: object) -> object:
    if isinstance(value, str):
        return value.strip()[:1024]
    return str(value)[:1024] if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


Words = Annotated[str, BeforeValidator(_as_words)]
"""A text that only describes: a number is its text, and anything else is none."""


PUTS_INTO_SERVICE = frozenset({ChangeKind.SERVICE_DEPLOYED, ChangeKind.SERVICE_ROLLEDBACK, ChangeKind.SERVICE_REMOVED})
"""Kinds that happen in one environment."""


class Body(BaseModel):
    """A part of a delivery tool's body: unknown fields are left alone, numbers may stand for texts."""

    model_config = ConfigDict(coerce_numbers_to_str=True, populate_by_name=True)


def is_production(name: str) -> bool:
    """Does the environment's name say that it is production?"""
    return bool(PRODUCTION.search(name))


def elsewhere(name: str, hook: Hook, *, listed: str, production: bool | None = None) -> str:
    """Why a hook that stands for one environment leaves a deployment to `name` alone; empty when it takes it.

    The hook's default `listed` (`prod-eu, prod-us`) names all that it takes. Without it a production hook leaves out
    what is not production by name and any other hook leaves out production; a name that says neither is taken.
    `production` is what the sender says outright (a tier), before the name."""
    if hook.environment == ANY_ENVIRONMENT or not name:
        return ""
    if names := [each.strip().lower() for each in hook.defaults.get(listed, "").split(",") if each.strip()]:
        taken = name.lower() in names
    elif is_production(hook.environment):
        taken = production if production is not None else is_production(name) or not NOT_PRODUCTION.search(name)
    else:
        taken = not (production or is_production(name))
    return "" if taken else f"deployment to {name[:60]}, and this hook stands for {hook.environment}"


def environment_in(*names: str) -> str:
    """What the first of these names that says anything says of the environment: `production`, the word for another
    sort (`staging`), or nothing."""
    for name in names:
        if other := NOT_PRODUCTION.search(name):
            return other[1].lower()
        if is_production(name):
            return "production"
    return ""


def environment_of_job(name: str) -> str:
    """The same from the name of a job, stage or application, which may hold such a word for other reasons."""
    if other := _JOB_PLACE.search(name):
        return next(word for word in other.groups() if word).lower()
    return "production" if is_production(name) else ""


def kind_of_run(*names: str, otherwise: ChangeKind) -> ChangeKind:
    """A run whose name says so rolls back or deploys; any other is `otherwise` (a build, a pipeline run)."""
    said = " ".join(names)
    if ROLLS_BACK.search(said):
        return ChangeKind.SERVICE_ROLLEDBACK
    return ChangeKind.SERVICE_DEPLOYED if DEPLOYS.search(said) else otherwise


def what_it_deploys(name: str) -> str:
    """`deploy-checkout-prod` → `checkout`: a job's name without the words for deploying and environments; the name
    itself when nothing else is left."""
    left, before = _VERB.sub("", name).strip("-_ /:"), ""
    while left != before:
        before = left
        left = _AT_START.sub("", _AT_END.sub("", left)).strip("-_ /:")
    return left or name


def subject_of_run(name: str, kind: ChangeKind, hook: Hook, claims: Mapping[str, str] | None = None) -> Subject:
    """What a run is about: `claims` or the hook's defaults, else its name: a service for a build or deployment, a
    job for anything else."""
    if kind in PUTS_INTO_SERVICE:
        fallback = Subject.of("service", what_it_deploys(name.rpartition("/")[2] or name))
    elif kind in (ChangeKind.BUILD_FINISHED, ChangeKind.ARTIFACT_PUBLISHED):
        fallback = Subject.of("service", name.rpartition("/")[2] or name)
    else:
        fallback = Subject.of("job", name)
    return subject_of(claims or hook.defaults, fallback=fallback)


def version_of(ref: str, commit: str) -> str:
    """A ref that reads like a release (`v1.4.2`), else the commit's first 12 digits, else the ref."""
    plain = ref.removeprefix("refs/tags/").removeprefix("refs/heads/")
    return plain if _RELEASE_NAME.fullmatch(plain) else commit[:12] or plain


def first_time(*values: object) -> datetime | None:
    """The first of these times that says something. Raises BadPayload for one that is no time."""
    return next((at for value in values if (at := moment(value))), None)


def change_of(
    message: Message,
    hook: Hook,
    *,
    source: str,
    id: str,
    kind: ChangeKind,
    subject: Subject,
    outcome: ChangeOutcome,
    summary: str,
    began: datetime | None = None,
    ended: datetime | None = None,
    environment: str = "",
    version: str = "",
    previous_version: str = "",
    author: str = "",
    url: object = "",
    ticket: str = "",
    labels: Mapping[str, Any] | None = None,
) -> Change:
    """The change, with what every delivery tool's one has alike: the hook, the times (that of receipt when the sender
    names none), the environment (the sender's own only on a hook `*`), bounded texts."""
    at = began or ended or message.received_at
    done = outcome is not ChangeOutcome.RUNNING
    named = {"environment": "production" if is_production(environment) else environment} if environment else {}
    return Change(
        id=id[:512],
        hook=hook.name,
        source=source,
        environment=environment_of({**hook.defaults, **named}, hook),
        kind=kind,
        subject=subject,
        occurred_at=min(at, ended) if ended else at,
        received_at=message.received_at,
        finished_at=(ended or at) if done else None,
        outcome=outcome,
        version=version[:255],
        previous_version=previous_version[:255],
        author=author[:255],
        url=link_of(url),
        ticket=ticket[:64],
        summary=" ".join(summary.split()).removesuffix(":")[:1024],
        labels={key: value for key, value in labels_of(labels or {}).items() if value},
    )
