"""Which Buildbot build ran, and how did it end? Bodies of its HttpStatusPush reporter, whole or as formatters cut them.

`results` is a number: 0 success, 1 warnings, 2 failure, 3 skipped, 4 exception, 5 retry, 6 cancelled.
https://docs.buildbot.net/current/manual/configuration/reporters/http_status.html
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tocsin.domain.alert import Resolves
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
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
from tocsin.sources._json import parsed_object, shaped
from tocsin.sources._shape import Name
from tocsin.sources._verify import shared_secret

NAME = "buildbot"

RESULTS = (
    ChangeOutcome.SUCCESS,
    ChangeOutcome.SUCCESS,
    ChangeOutcome.FAILURE,
    ChangeOutcome.CANCELED,
    ChangeOutcome.FAILURE,
    ChangeOutcome.RUNNING,
    ChangeOutcome.CANCELED,
)


class _Builder(Body):
    name: Words = ""


class _Stamp(Body):
    branch: Words = ""
    revision: Words = ""
    project: Words = ""
    repository: Words = ""


class _Buildset(Body):
    sourcestamps: list[_Stamp] | None = None


class _Build(Body):
    buildid: Name
    buildername: Words = ""
    builder: _Builder | None = None
    project: Words = ""
    event: Words = ""
    number: Words = ""
    url: Words = ""
    results: int | None = Field(default=None, ge=-1, le=100)
    complete: bool | None = None
    state_string: Words = ""
    timestamp: Any = None
    started_at: Any = None
    complete_at: Any = None
    properties: Any = None
    buildset: _Buildset | None = None


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change. Raises BadPayload without `buildid` and a builder's name."""
    build = shaped(_Build, parsed_object(message.body))
    builder = build.buildername or (build.builder.name if build.builder else "") or _property(build, "buildername")
    if not builder:
        raise BadPayload("Field required", path="builder.name")
    stamps = build.buildset.sourcestamps if build.buildset else None
    stamp = stamps[0] if stamps else _Stamp()
    project = build.project or stamp.project or _property(build, "project")
    kind = kind_of_run(builder, otherwise=ChangeKind.BUILD_FINISHED)
    environment = environment_of_job(builder) if kind in PUTS_INTO_SERVICE else ""
    if why := elsewhere(environment, hook, listed="buildbot_environment"):
        return Normalized(ignored=why)
    runs = build.event in ("new", "started") or build.complete is False
    outcome = ChangeOutcome.RUNNING if runs else _outcome(build.results)
    at, done = first_time(build.timestamp), outcome is not ChangeOutcome.RUNNING
    revision = stamp.revision or _property(build, "got_revision") or _property(build, "revision")
    version = version_of(stamp.branch or _property(build, "branch"), revision)
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"buildbot:{project}:{build.buildid}",
        kind=kind,
        subject=subject_of_run(builder if kind in PUTS_INTO_SERVICE else project or builder, kind, hook),
        outcome=outcome,
        began=first_time(build.started_at) or at,
        ended=(first_time(build.complete_at) or at) if done else None,
        environment=environment,
        version=version,
        author=_property(build, "owner"),
        url=build.url,
        summary=f"{project or builder}: {builder} {build.number or build.buildid} {build.state_string or outcome}",
        labels={"project": project, "builder": builder, "repository": stamp.repository, "commit": revision},
    )
    return Normalized(changes=(change,))


def _outcome(results: int | None) -> ChangeOutcome:
    known = results is not None and 0 <= results < len(RESULTS)
    return RESULTS[results] if known and results is not None else ChangeOutcome.UNKNOWN


def _property(build: _Build, name: str) -> str:
    """A property's value: Buildbot writes `[value, where it came from]`."""
    found = build.properties.get(name) if isinstance(build.properties, dict) else None
    value = found[0] if isinstance(found, list) and found else found
    return value[:255] if isinstance(value, str) else ""


SETUP = """In `master.cfg`:

```python
from buildbot.plugins import reporters

c["services"].append(
    reporters.HttpStatusPush(
        serverUrl="{url}",
        headers={{"Authorization": "Bearer {secret}"}},
        generators=[reporters.BuildStartEndStatusGenerator(add_logs=False)],
    )
)
```

- A builder whose name contains "deploy" or "rollout" deploys the service that the rest of its name says, any other
  builds its project; the hook's `defaults` name another.
"""

SOURCE = Source(
    name=NAME,
    title="Buildbot",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=("deployments to other environments than the hook's",),
)
