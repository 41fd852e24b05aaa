"""Which Buildkite build ran, and how did it end? Its notification webhooks.

The webhook's token comes as a header, or signs `timestamp.body`; which one is chosen in Buildkite.
https://buildkite.com/docs/apis/webhooks/pipelines/build-events
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from tocsin.domain.alert import Resolves
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message, Normalized, Source, Verdict
from tocsin.sources._delivery import (
    PUTS_INTO_SERVICE,
    Body,
    Words,
    change_of,
    elsewhere,
    environment_of_job,
    first_time,
    kind_of_run,
    subject_of_run,
    version_of,
)
from tocsin.sources._json import parsed_object, shaped, text
from tocsin.sources._shape import Name
from tocsin.sources._times import moment
from tocsin.sources._verify import VERIFIED, any_of, refused, shared_secret, token_in, verdict_of_signature

NAME = "buildkite"

REPLAY_WINDOW = timedelta(hours=1)
"""How far the signed time may lie from the receipt: retries come within minutes, and clocks differ."""

STATES = {
    "passed": ChangeOutcome.SUCCESS,
    "failed": ChangeOutcome.FAILURE,
    "failing": ChangeOutcome.RUNNING,
    "blocked": ChangeOutcome.RUNNING,
    "running": ChangeOutcome.RUNNING,
    "started": ChangeOutcome.RUNNING,
    "canceling": ChangeOutcome.RUNNING,
    "canceled": ChangeOutcome.CANCELED,
}
"""State of a build → outcome; a blocked one waits for a person."""
NOT_BEGUN = frozenset({"creating", "scheduled", "skipped", "not_run"})


class _Person(Body):
    name: Words = ""


class _Build(Body):
    id: Name
    number: Words = ""
    state: Name
    branch: Words = ""
    tag: Words = ""
    commit: Words = ""
    message: Words = ""
    source: Words = ""
    web_url: Words = ""
    created_at: Words = ""
    started_at: Words = ""
    finished_at: Words = ""
    creator: _Person | None = None
    pull_request: Any = None


class _Pipeline(Body):
    slug: Name
    name: Words = ""


class _Event(Body):
    event: Name
    build: _Build
    pipeline: _Pipeline


def signed(message: Message, secrets: Sequence[str]) -> Verdict:
    """`timestamp=…,signature=…`: the hex HMAC-SHA256 of timestamp, dot and body."""
    header = message.headers.get("x-buildkite-signature", "")
    if not header:
        return refused("missing signature: header X-Buildkite-Signature is absent")
    parts = dict(each.strip().partition("=")[::2] for each in header.split(","))
    at = parts.get("timestamp", "")
    content = f"{at}.".encode("utf-8", "surrogatepass") + message.body
    verdict = verdict_of_signature("X-Buildkite-Signature", parts.get("signature", ""), content, secrets)
    signed_at = moment(int(at)) if at.isdecimal() and len(at) <= 20 else None
    if verdict == VERIFIED and (signed_at is None or abs(message.received_at - signed_at) > REPLAY_WINDOW):
        return refused("wrong signature: its timestamp is more than an hour away from the receipt")
    return verdict


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change, or why the event is none. Raises BadPayload without an event, build and pipeline."""
    body = parsed_object(message.body)
    kind_of_event = text(body.get("event"), 60)
    if kind_of_event == "ping":
        return Normalized(ignored="ping")
    if kind_of_event and not kind_of_event.startswith("build."):
        why = "part of a build" if kind_of_event.startswith("job.") else "not a change"
        return Normalized(ignored=f"event {kind_of_event}: {why}")
    event = shaped(_Event, body)
    build, name = event.build, event.pipeline.slug
    if build.state in NOT_BEGUN:
        return Normalized(ignored=f"build {build.state}: it has not begun")
    if build.pull_request:
        return Normalized(ignored="build of a pull request: it changes nothing that runs")
    by_clock = build.source == "schedule"
    otherwise = ChangeKind.PIPELINERUN_FINISHED if by_clock else ChangeKind.BUILD_FINISHED
    kind = kind_of_run(name, otherwise=otherwise)
    environment = environment_of_job(name) if kind in PUTS_INTO_SERVICE else ""
    if why := elsewhere(environment, hook, listed="buildkite_environment"):
        return Normalized(ignored=why)
    outcome = STATES.get(build.state, ChangeOutcome.UNKNOWN)
    version = version_of(build.tag or build.branch, "" if build.commit == "HEAD" else build.commit)
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"buildkite:{build.id}",
        kind=kind,
        subject=subject_of_run(name, kind if kind in PUTS_INTO_SERVICE else ChangeKind.BUILD_FINISHED, hook),
        outcome=outcome,
        began=first_time(build.started_at, build.created_at),
        ended=first_time(build.finished_at) if outcome is not ChangeOutcome.RUNNING else None,
        environment=environment,
        version=version,
        author=build.creator.name if build.creator else "",
        url=build.web_url,
        summary=f"{event.pipeline.name or name} #{build.number} {build.state} on {version}: {build.message[:200]}",
        labels={"pipeline": name, "branch": build.branch, "trigger": build.source, "commit": build.commit},
    )
    return Normalized(changes=(change,))


SETUP = """Organization settings → Notification Services → Add → Webhook.

- Webhook URL `{url}`, token `{secret}`, sent as `X-Buildkite-Token` or, better, as a signature
- Events **build.running** and **build.finished**; branches: those that deploy
- A pipeline whose name contains "deploy" or "rollout" deploys the service that the rest of its name says, any other
  builds it; the hook's `defaults` name another.
"""

SOURCE = Source(
    name=NAME,
    title="Buildkite",
    verify=any_of(signed, token_in("X-Buildkite-Token"), shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=(
        "ping",
        "jobs: parts of a build; agents",
        "builds that have not begun, builds of pull requests",
        "deployments to other environments than the hook's",
    ),
)
