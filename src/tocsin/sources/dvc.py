"""Which model version was registered or promoted in a DVC (GTO) registry? Its Git tags, as Git hosts or CI post them.

DVC's model registry lives in Git: `churn@v1.2.0` registers a version, `churn#prod#3` assigns a stage, a `!` after
either takes it back. A Git host's tag webhook, or a CI job on tags, tells of them; a promotion is a tag of a stage that
serves. https://dvc.org/doc/gto/user-guide
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from tocsin.domain.alert import Resolves
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._json import parsed_object, text
from tocsin.sources._pipeline import Report, Told
from tocsin.sources._verify import any_of, hmac_hex, shared_secret, token_in

NAME = "dvc"

PROMOTION_STAGES = frozenset({"prod", "production", "live", "champion", "serving"})
"""Unless the hook's default `promotion_stage` lists others."""

_TAG = re.compile(
    r"(?P<name>[A-Za-z0-9][\w./=:-]{0,250})"
    r"(?:@(?P<version>v?\d[\w.+-]{0,60}|deprecated)|#(?P<stage>[A-Za-z][\w-]{0,60}))"
    r"(?P<undo>!)?(?:#\d{1,9})?"
)
_VERSION_IN_MESSAGE = re.compile(r"\bversion (v?\d[\w.+-]{0,60})")
_NO_COMMIT = re.compile(r"0{7,64}")


class _Act(NamedTuple):
    artifact: str
    version: str
    stage: str
    undo: bool
    deprecated: bool = False


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change of a model, or the reason why the tag is none. Raises BadPayload when the body names no tag and no
    artifact."""
    body = parsed_object(message.body)
    told = Told(body)
    if "zen" in body and "hook" in body:
        return Normalized(ignored="ping of the Git host")
    tag = _tag(told)
    act = _of_fields(told, tag)
    if act is None:
        if told.text("ref", "tag", "object_kind"):
            return Normalized(ignored=f"{_ref_of(told)} is no tag of the registry (name@version, name#stage#n)")
        raise BadPayload("expected a tag, or an artifact with its version or stage", path="ref")
    if _deleted(body):
        return Normalized(ignored=f"tag {tag[:120]} was deleted: the registry was rewritten, nothing served changed")
    return _changed(act, tag, told, message, hook)


def _ref_of(told: Told) -> str:
    return told.text("ref", "tag", "object_kind")[:120]


def _tag(told: Told) -> str:
    """The tag's name: of a push `refs/tags/…`, of GitHub's create event the bare name; empty for a branch."""
    ref = told.text("tag", "ref")
    if told.text("ref_type") == "branch" or ref.startswith("refs/heads/"):
        return ""
    return ref.removeprefix("refs/tags/")


def _of_fields(told: Told, tag: str) -> _Act | None:
    """What the tag does; fields beside it (`gto check-ref --json`) tell the version of an assignment."""
    found = _TAG.fullmatch(tag)
    version = told.text("version")
    if found:
        deprecated = found["version"] == "deprecated"
        named = "" if deprecated else found["version"] or ""
        return _Act(found["name"], named or version, found["stage"] or "", bool(found["undo"]), deprecated)
    artifact, stage = told.text("artifact", "model", "name"), told.text("stage")
    event = told.text("event", "action", "type").lower()
    if tag or not artifact or not (version or stage):
        return None
    return _Act(artifact, version, stage, event.startswith(("un", "de")), "deprecat" in event)


def _deleted(body: Mapping[str, Any]) -> bool:
    after = body.get("after")
    return body.get("deleted") is True or (isinstance(after, str) and bool(_NO_COMMIT.fullmatch(after)))


def _changed(act: _Act, tag: str, told: Told, message: Message, hook: Hook) -> Normalized:
    body = told.body
    if act.deprecated or (act.undo and not act.stage):
        return Normalized(ignored=f"{act.artifact[:120]} was withdrawn from the registry, which serves nothing")
    if act.stage and act.stage.lower() not in _promotion_stages(hook):
        return Normalized(
            ignored=f"stage {act.stage} promotes nothing (the hook's promotion_stage lists those that do)"
        )
    name = re.split(r"[:=/]", act.artifact)[-1] or act.artifact
    is_dataset = told.text("artifact_type") == "dataset" or hook.defaults.get("artifact_type") == "dataset"
    version = act.version or _version_said(told, body)
    repository = _repository(body)
    commit = told.text("commit_hexsha", "sha", "checkout_sha", "after")
    report = Report(
        source=NAME,
        message=message,
        hook=hook,
        environment=told.text("environment"),
        labels={
            "tag": tag,
            "artifact": act.artifact,
            "stage": act.stage,
            "commit": commit[:40],
            "repository": repository,
        },
    )
    kind, summary, outcome = _meaning(act, name, version)
    change = report.change(
        id=f"dvc:{repository}:{tag or f'{act.artifact}@{version}#{act.stage}{act.undo}'}",
        kind=ChangeKind.DATASET_MODIFIED if is_dataset else kind,
        subject=Subject.of("dataset" if is_dataset else "model", name),
        summary=summary,
        outcome=outcome,
        ended=told.time("timestamp", "created_at", "pushed_at"),  # a commit is older than its tag
        version=version,
        author=told.text("author", "user_name", "user_username") or _within(body, "pusher", "name"),
        url=told.text("url") or _within(body, "repository", "html_url") or _within(body, "project", "web_url"),
    )
    return Normalized(changes=(change,))


def _meaning(act: _Act, name: str, version: str) -> tuple[ChangeKind, str, ChangeOutcome]:
    if not act.stage:
        return ChangeKind.MODEL_REGISTERED, f"{name} version {version}", ChangeOutcome.SUCCESS
    if act.undo:
        lost = f"{name} lost its stage {act.stage}: which version serves now is not said"
        return ChangeKind.MODEL_PROMOTED, lost, ChangeOutcome.UNKNOWN
    said = f"{name} version {version} is now {act.stage}" if version else f"{name}: another version is now {act.stage}"
    return ChangeKind.MODEL_PROMOTED, said, ChangeOutcome.SUCCESS


def _promotion_stages(hook: Hook) -> frozenset[str]:
    listed = hook.defaults.get("promotion_stage", "")
    return frozenset(each.strip().lower() for each in listed.split(",") if each.strip()) or PROMOTION_STAGES


def _version_said(told: Told, body: Mapping[str, Any]) -> str:
    """GTO writes the version into an assignment's message, which GitLab sends."""
    found = _VERSION_IN_MESSAGE.search(told.text("message") or _within(body, "head_commit", "message"))
    return found[1] if found else ""


def _repository(body: Mapping[str, Any]) -> str:
    named = body.get("repository")
    if isinstance(named, str):
        return named[:200]
    return _within(body, "repository", "full_name") or _within(body, "project", "path_with_namespace")


def _within(body: Mapping[str, Any], outer: str, key: str) -> str:
    inner = body.get(outer)
    return text(inner.get(key), 1024) if isinstance(inner, dict) else ""


SETUP = """The registry is Git tags. Either let the Git host post tag pushes:

- GitHub: Settings → Webhooks, `{url}`, content type `application/json`, secret the hook's secret, event **Branch or
  tag creation** only. GitLab: Settings → Webhooks, `{url}`, Secret token, trigger **Tag push events**.

or let a CI job on tags post what GTO knows of the tag, which includes the version of an assigned stage:

```sh
gto check-ref -r . "$TAG" --json |
  curl -sf -H "Authorization: Bearer {secret}" -H "Content-Type: application/json" -d @- {url}
```

- Stages that serve: `prod`, `production`, `live`, `champion`, `serving`; in the hook's `defaults`
  `promotion_stage: blue` names others, `artifact_type: dataset` says that the repository holds datasets.
"""

SOURCE = Source(
    name=NAME,
    title="DVC model registry (GTO tags)",
    verify=any_of(hmac_hex(header="X-Hub-Signature-256", prefix="sha256="), token_in("X-Gitlab-Token"), shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=(
        "pings",
        "branches, and tags that are none of the registry's",
        "deleted tags, deregistrations and deprecations",
        "stages that promote nothing",
    ),
    aliases=("gto", "model_registry"),
)
