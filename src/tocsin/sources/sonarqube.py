"""Did the code pass SonarQube's quality gate? Its project analysis webhooks, as builds of the project.

https://docs.sonarsource.com/sonarqube-server/project-administration/webhooks/
"""

from __future__ import annotations

from typing import Any

from tocsin.domain.alert import Resolves
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._delivery import Body, Words, change_of, first_time, subject_of_run
from tocsin.sources._json import parsed_object, shaped
from tocsin.sources._shape import Name
from tocsin.sources._verify import any_of, hmac_hex, shared_secret

NAME = "sonarqube"

GATES = {
    "OK": ChangeOutcome.SUCCESS,
    "WARN": ChangeOutcome.SUCCESS,
    "ERROR": ChangeOutcome.FAILURE,
    "NONE": ChangeOutcome.UNKNOWN,
}
"""Status of the quality gate → outcome."""


class _Project(Body):
    key: Name
    name: Words = ""
    url: Words = ""


class _Branch(Body):
    name: Words = ""
    type: Words = ""
    url: Words = ""


class _Condition(Body):
    metric: Words = ""
    status: Words = ""
    value: Words = ""
    errorThreshold: Words = ""  # noqa: N815


class _Gate(Body):
    name: Words = ""
    status: Words = ""
    conditions: list[_Condition] | None = None


class _Analysis(Body):
    taskId: Words = ""  # noqa: N815
    status: Name
    analysedAt: Any = None  # noqa: N815
    changedAt: Any = None  # noqa: N815
    revision: Words = ""
    project: _Project
    branch: _Branch | None = None
    qualityGate: _Gate | None = None  # noqa: N815


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change, or why the analysis is none. Raises BadPayload without a status or project."""
    said = shaped(_Analysis, parsed_object(message.body))
    branch, gate = said.branch or _Branch(), said.qualityGate or _Gate()
    if branch.type == "PULL_REQUEST":
        return Normalized(ignored="analysis of a pull request: it changes nothing that runs")
    if said.status == "CANCELLED":
        return Normalized(ignored="analysis cancelled: it says nothing")
    outcome = GATES.get(gate.status, ChangeOutcome.UNKNOWN)
    if said.status == "FAILED":
        outcome = ChangeOutcome.FAILURE
    at = first_time(said.analysedAt, said.changedAt)
    missed = [
        f"{each.metric} {each.value} (limit {each.errorThreshold})"
        for each in gate.conditions or ()
        if each.status == "ERROR"
    ]
    name = said.project.name or said.project.key
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"sonarqube:{said.project.key}:{said.taskId or at}",
        kind=ChangeKind.BUILD_FINISHED,
        subject=subject_of_run(said.project.key.rpartition(":")[2], ChangeKind.BUILD_FINISHED, hook),
        outcome=outcome,
        began=at,
        ended=at,
        version=said.revision[:12],
        url=branch.url or said.project.url,
        summary=f"{name} {branch.name}: quality gate {gate.status or said.status}: {', '.join(missed[:5])}",
        labels={"project": said.project.key, "branch": branch.name, "gate": gate.name, "commit": said.revision},
    )
    return Normalized(changes=(change,))


SETUP = """Project Settings → Webhooks → Create: URL `{url}`, secret `{secret}`.

- An analysis counts as a build of the project: its commit joins it to the deployment of the same commit. Those of pull
  requests are ignored.
"""

SOURCE = Source(
    name=NAME,
    title="SonarQube",
    verify=any_of(hmac_hex(header="X-Sonar-Webhook-HMAC-SHA256"), shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=("analyses of pull requests", "cancelled analyses"),
)
