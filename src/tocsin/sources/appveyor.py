"""Which AppVeyor build or deployment ended, and how? Its webhook notifications.

Times are American and without a zone (`9/21/2018 7:04 PM`, UTC by default); to the minute, and no custom body is read.
https://www.appveyor.com/docs/notifications/#webhook-payload-default
"""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import Field

from tocsin.domain.alert import Resolves
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._delivery import (
    Body,
    Words,
    change_of,
    elsewhere,
    first_time,
    kind_of_run,
    subject_of_run,
    version_of,
)
from tocsin.sources._json import parsed_object, shaped
from tocsin.sources._shape import Name
from tocsin.sources._verify import any_of, shared_secret, token_in

NAME = "appveyor"

OUTCOMES = {
    "success": ChangeOutcome.SUCCESS,
    "failure": ChangeOutcome.FAILURE,
    "failed": ChangeOutcome.FAILURE,
    "cancelled": ChangeOutcome.CANCELED,
    "started": ChangeOutcome.RUNNING,
    "running": ChangeOutcome.RUNNING,
}


class _Data(Body):
    projectName: Name  # noqa: N815
    buildId: Words = ""  # noqa: N815
    deploymentId: Words = ""  # noqa: N815
    environmentName: Words = ""  # noqa: N815
    status: Words = ""
    started: Words = ""
    finished: Words = ""
    buildVersion: Words = ""  # noqa: N815
    repositoryName: Words = ""  # noqa: N815
    branch: Words = ""
    commitId: Words = ""  # noqa: N815
    commitAuthor: Words = ""  # noqa: N815
    commitMessage: Words = ""  # noqa: N815
    buildUrl: Words = ""  # noqa: N815
    deploymentUrl: Words = ""  # noqa: N815
    isPullRequest: bool = False  # noqa: N815


class _Event(Body):
    eventName: Name  # noqa: N815
    eventData: _Data = Field()  # noqa: N815


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change, or why there is none. Raises BadPayload without event name, data and project."""
    event = shaped(_Event, parsed_object(message.body))
    data, deploys = event.eventData, event.eventName.lower().startswith("deployment")
    if data.isPullRequest:
        return Normalized(ignored="build of a pull request: it changes nothing that runs")
    if deploys and (why := elsewhere(data.environmentName, hook, listed="appveyor_environment")):
        return Normalized(ignored=why)
    said = (data.status or event.eventName.rpartition("_")[2]).lower()
    outcome = OUTCOMES.get(said, ChangeOutcome.UNKNOWN)
    kind = (
        ChangeKind.SERVICE_DEPLOYED if deploys else kind_of_run(data.projectName, otherwise=ChangeKind.BUILD_FINISHED)
    )
    version = version_of(data.buildVersion, data.commitId)
    place = f" to {data.environmentName}" if deploys and data.environmentName else ""
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"appveyor:{data.repositoryName or data.projectName}:"
        + (f"deployment:{data.deploymentId or data.buildId}{place}" if deploys else f"build:{data.buildId}"),
        kind=kind,
        subject=subject_of_run(data.projectName, ChangeKind.BUILD_FINISHED, hook),
        outcome=outcome,
        began=_time(data.started),
        ended=_time(data.finished) if outcome is not ChangeOutcome.RUNNING else None,
        environment=data.environmentName if deploys else "",
        version=version,
        author=data.commitAuthor,
        url=data.deploymentUrl or data.buildUrl,
        summary=f"{data.projectName} {version}{place} {said}: {data.commitMessage}",
        labels={"repository": data.repositoryName, "branch": data.branch, "commit": data.commitId},
    )
    return Normalized(changes=(change,))


def _time(words: str) -> datetime | None:
    try:
        return first_time(datetime.strptime(words, "%m/%d/%Y %I:%M %p").replace(tzinfo=UTC))
    except ValueError:
        pass
    try:
        return first_time(words)
    except BadPayload:
        return None  # a locale of its own: the time of receipt is near enough


SETUP = """In `appveyor.yml`:

```yaml
notifications:
  - provider: Webhook
    url: {url}
    method: POST
    authorization: 'Bearer {secret}'     # encrypt it
    on_build_success: true
    on_build_failure: true
    on_deployment_success: true
    on_deployment_failure: true
```

- A deployment deploys the project's service, a build builds it; the hook's `defaults` name another. A production hook
  leaves out deployment environments that are staging or test by name; `appveyor_environment: eu, us` lists names.
"""

SOURCE = Source(
    name=NAME,
    title="AppVeyor",
    verify=any_of(token_in("Authorization"), shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=("builds of pull requests", "deployments to other environments than the hook's"),
)
