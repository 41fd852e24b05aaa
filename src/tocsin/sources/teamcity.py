"""Which TeamCity build ran, and how did it end? TeamCity's own webhooks and those of the tcWebHooks plugin.

The plugin's body has no time, and may say that a finished build still runs: what its event says stands.
https://www.jetbrains.com/help/teamcity/teamcity-webhooks.html · https://github.com/tcplugins/tcWebHooks
"""

from __future__ import annotations

from typing import Any

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
)
from tocsin.sources._json import parsed_object, shaped, text
from tocsin.sources._shape import Name
from tocsin.sources._verify import shared_secret

NAME = "teamcity"

RESULTS = {
    "success": ChangeOutcome.SUCCESS,
    "failure": ChangeOutcome.FAILURE,
    "error": ChangeOutcome.FAILURE,
    "unknown": ChangeOutcome.CANCELED,
    "running": ChangeOutcome.RUNNING,
}
"""Build status → outcome; TeamCity calls a cancelled build's status unknown."""

EVENTS = {
    "buildstarted": ChangeOutcome.RUNNING,
    "changesloaded": ChangeOutcome.RUNNING,
    "beforebuildfinish": ChangeOutcome.RUNNING,
    "buildsuccessful": ChangeOutcome.SUCCESS,
    "buildfixed": ChangeOutcome.SUCCESS,
    "buildfailed": ChangeOutcome.FAILURE,
    "buildbroken": ChangeOutcome.FAILURE,
    "buildinterrupted": ChangeOutcome.CANCELED,
    "buildproblemschanged": ChangeOutcome.RUNNING,
    "buildfinished": None,
}
"""Event, without underscores in lower case → what it says outright; None leaves it to the result."""


class _PluginBuild(Body):
    """The plugin's `build`."""

    buildId: Name  # noqa: N815
    notifyType: Name  # noqa: N815
    buildName: Words = ""  # noqa: N815
    buildFullName: Words = ""  # noqa: N815
    buildNumber: Words = ""  # noqa: N815
    buildResult: Words = ""  # noqa: N815
    buildStatus: Words = ""  # noqa: N815
    buildStatusUrl: Words = ""  # noqa: N815
    buildTypeId: Words = ""  # noqa: N815
    projectName: Words = ""  # noqa: N815
    triggeredBy: Words = ""  # noqa: N815
    branchDisplayName: Words = ""  # noqa: N815
    branchName: Words = ""  # noqa: N815


class _Type(Body):
    id: Words = ""
    name: Words = ""
    projectName: Words = ""  # noqa: N815


class _User(Body):
    username: Words = ""
    name: Words = ""


class _Triggered(Body):
    user: _User | None = None


class _OwnBuild(Body):
    """TeamCity's own `payload`."""

    id: Name
    number: Words = ""
    status: Words = ""
    statusText: Words = ""  # noqa: N815
    state: Words = ""
    branchName: Words = ""  # noqa: N815
    webUrl: Words = ""  # noqa: N815
    startDate: Any = None  # noqa: N815
    finishDate: Any = None  # noqa: N815
    canceledInfo: Any = None  # noqa: N815
    buildTypeId: Words = ""  # noqa: N815
    buildType: _Type | None = None  # noqa: N815
    triggered: _Triggered | None = None


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change, or why the event is none. Raises BadPayload for a body that is neither's."""
    body = parsed_object(message.body)
    if "eventType" in body:
        event = text(body["eventType"], 60)
        if _plain(event) not in EVENTS:
            return Normalized(ignored=f"event {event or 'without a name'} is not a change")
        return _own(shaped(_OwnBuild, body.get("payload")), event, message, hook)
    if isinstance(body.get("build"), dict):
        event = text(body["build"].get("notifyType"), 60)
        if event and _plain(event) not in EVENTS:
            return Normalized(ignored=f"event {event} is not a change")
        return _plugin(shaped(_PluginBuild, body["build"]), message, hook)
    raise BadPayload("neither an eventType (TeamCity) nor a build (tcWebHooks)", path="build")


def _plain(event: str) -> str:
    return event.replace("_", "").lower()


def _own(build: _OwnBuild, event: str, message: Message, hook: Hook) -> Normalized:
    if _plain(event) not in EVENTS:
        return Normalized(ignored=f"event {event[:60]} is not a change")
    of = build.buildType or _Type()
    name, project = of.name or of.id or build.buildTypeId or "build", of.projectName
    outcome = EVENTS[_plain(event)] or RESULTS.get(build.status.lower(), ChangeOutcome.UNKNOWN)
    if build.canceledInfo:
        outcome = ChangeOutcome.CANCELED
    elif outcome is ChangeOutcome.RUNNING and _plain(event) == "buildfinished":
        outcome = ChangeOutcome.UNKNOWN
    user = (build.triggered.user if build.triggered else None) or _User()
    labels = {"project": project, "configuration": of.id or build.buildTypeId, "branch": build.branchName}
    kind = kind_of_run(name, otherwise=ChangeKind.BUILD_FINISHED)
    environment = environment_of_job(name) if kind in PUTS_INTO_SERVICE else ""
    if why := elsewhere(environment, hook, listed="teamcity_environment"):
        return Normalized(ignored=why)
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"teamcity:{build.id}",
        kind=kind,
        subject=subject_of_run(_about(project, name, kind), kind, hook),
        outcome=outcome,
        began=first_time(build.startDate),
        ended=first_time(build.finishDate) if outcome is not ChangeOutcome.RUNNING else None,
        environment=environment,
        version=build.number,
        author=user.username or user.name,
        url=build.webUrl,
        summary=f"{project} {name} {build.number} {build.statusText or build.status}",
        labels=labels,
    )
    return Normalized(changes=(change,))


def _plugin(build: _PluginBuild, message: Message, hook: Hook) -> Normalized:
    as_own = _OwnBuild(
        id=build.buildId,
        number=build.buildNumber,
        status=build.buildResult,
        statusText=build.buildStatus,
        branchName=build.branchDisplayName or build.branchName,
        webUrl=build.buildStatusUrl,
        buildTypeId=build.buildTypeId,
        buildType=_Type(
            id=build.buildTypeId, name=build.buildName or build.buildFullName, projectName=build.projectName
        ),
        triggered=_Triggered(user=_User(name=build.triggeredBy)),
    )
    return _own(as_own, build.notifyType, message, hook)


def _about(project: str, name: str, kind: ChangeKind) -> str:
    """A build is about its project; a deploying configuration about what its name says, else its project."""
    plain = project.rpartition(" / ")[2].rpartition(" :: ")[2] or name
    if kind not in PUTS_INTO_SERVICE:
        return plain
    return plain if name.lower() in ("deploy", "rollout", "rollback", "deployment") else name


SETUP = """TeamCity's own webhooks: parameters of the project:

- `teamcity.internal.webhooks.enable` = `true`, `teamcity.internal.webhooks.url` = `{url}?token={secret}`
- `teamcity.internal.webhooks.events` = `BUILD_STARTED;BUILD_FINISHED;BUILD_INTERRUPTED`

With the plugin tcWebHooks: project → WebHooks → add, URL `{url}?token={secret}`, format JSON, events build started and
build finished.

- A configuration whose name contains "deploy" or "rollout" deploys the service that the rest of its name (or else its
  project) says, any other builds its project; the hook's `defaults` name another.
"""

SOURCE = Source(
    name=NAME,
    title="TeamCity",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=("every other event, by its name", "deployments to other environments than the hook's"),
)
