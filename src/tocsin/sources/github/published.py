"""What did GitHub publish? Releases and packages as changes; and which event a body is when no header says so."""

from __future__ import annotations

from typing import Any

from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message, Normalized
from tocsin.sources._delivery import Body, Words, change_of, first_time, subject_of_run
from tocsin.sources._json import shaped
from tocsin.sources._shape import Name

SIGNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ping", ("zen",)),
    ("deployment_status", ("deployment_status",)),
    ("workflow_job", ("workflow_job",)),
    ("check_run", ("check_run",)),
    ("check_suite", ("check_suite",)),
    ("deployment_review", ("reviewers",)),
    ("deployment_review", ("approver",)),
    ("deployment", ("deployment",)),
    ("workflow_run", ("workflow_run", "action")),
    ("release", ("release",)),
    ("registry_package", ("registry_package",)),
    ("package", ("package",)),
    ("push", ("ref", "commits")),
    ("status", ("sha", "context", "state")),
    ("pull_request", ("pull_request",)),
)
"""Event → fields that only its body has, the more telling first: for relays that drop GitHub's headers."""


class _Repository(Body):
    name: Name
    full_name: Name


class _User(Body):
    login: Words = ""


class _ReleaseOf(Body):
    tag_name: Name
    name: Words = ""
    html_url: Words = ""
    draft: bool = False
    created_at: Words = ""
    published_at: Words = ""
    author: _User | None = None


class _Release(Body):
    action: Name
    repository: _Repository
    release: _ReleaseOf


class _Tag(Body):
    name: Words = ""


class _Metadata(Body):
    tag: _Tag | None = None


class _Version(Body):
    version: Words = ""
    html_url: Words = ""
    created_at: Words = ""
    container_metadata: _Metadata | None = None


class _PackageOf(Body):
    name: Name
    package_type: Words = ""
    html_url: Words = ""
    owner: _User | None = None
    package_version: _Version | None = None


class _Package(Body):
    action: Name
    repository: _Repository | None = None
    package: _PackageOf


def event_of(body: dict[str, Any]) -> str:
    """The event that a body without a header is; empty when its fields do not tell."""
    return next((event for event, fields in SIGNS if all(field in body for field in fields)), "")


def release(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    """`published`, `released` and `prereleased` come together: they are one change."""
    event = shaped(_Release, body)
    said = event.release
    if event.action not in ("published", "released", "prereleased") or said.draft:
        return Normalized(ignored=f"release {event.action[:40]}: nothing new is published")
    at = first_time(said.published_at, said.created_at)
    title = f": {said.name}" if said.name not in ("", said.tag_name) else ""
    change = change_of(
        message,
        hook,
        source="github",
        id=f"github:{event.repository.full_name}:release:{said.tag_name}",
        kind=ChangeKind.ARTIFACT_PUBLISHED,
        subject=subject_of_run(event.repository.name, ChangeKind.ARTIFACT_PUBLISHED, hook),
        outcome=ChangeOutcome.SUCCESS,
        began=at,
        ended=at,
        version=said.tag_name,
        author=said.author.login if said.author else "",
        url=said.html_url,
        summary=f"{event.repository.name} {said.tag_name} released{title}",
        labels={"repository": event.repository.full_name},
    )
    return Normalized(changes=(change,))


def package(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    """A published version of a package, such as an image in GitHub's registry."""
    event = shaped(_Package, {**body, "package": body.get("package", body.get("registry_package"))})
    said, version = event.package, event.package.package_version or _Version()
    if event.action not in ("published", "updated"):
        return Normalized(ignored=f"package {event.action[:40]}: nothing new is published")
    tag = version.container_metadata.tag.name if version.container_metadata and version.container_metadata.tag else ""
    repository = event.repository.full_name if event.repository else said.owner.login if said.owner else ""
    named = tag or version.version.removeprefix("sha256:")[:64]
    at = first_time(version.created_at)
    change = change_of(
        message,
        hook,
        source="github",
        id=f"github:{repository}:package:{said.name}:{version.version or tag}",
        kind=ChangeKind.ARTIFACT_PUBLISHED,
        subject=subject_of_run(said.name, ChangeKind.ARTIFACT_PUBLISHED, hook),
        outcome=ChangeOutcome.SUCCESS,
        began=at,
        ended=at,
        version=named,
        author=said.owner.login if said.owner else "",
        url=version.html_url or said.html_url,
        summary=f"{said.package_type.lower() or 'package'} {said.name} {named} published",
        labels={"repository": repository, "package": said.name, "digest": version.version},
    )
    return Normalized(changes=(change,))
