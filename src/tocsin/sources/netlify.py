"""What did Netlify publish? Deploy notifications as changes.

With a secret Netlify signs a JWT (HS256) in X-Webhook-Signature, whose claim `sha256` is the body's digest; it holds no
time. The state in the body tells how the deploy stands; the event stands in X-Netlify-Event.
https://docs.netlify.com/site-deploys/notifications/#payload-signature
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

from tocsin.domain.alert import Resolves
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source, Verdict
from tocsin.sources._delivery import Body, Words, change_of, elsewhere, first_time, subject_of_run, version_of
from tocsin.sources._json import parsed_object, shaped
from tocsin.sources._shape import Name
from tocsin.sources._verify import VERIFIED, any_of, refused, shared_secret

NAME = "netlify"

STATES = {
    "ready": ChangeOutcome.SUCCESS,
    "error": ChangeOutcome.FAILURE,
    "rejected": ChangeOutcome.CANCELED,
    "deleted": ChangeOutcome.CANCELED,
    "building": ChangeOutcome.RUNNING,
    "preparing": ChangeOutcome.RUNNING,
    "prepared": ChangeOutcome.RUNNING,
    "processing": ChangeOutcome.RUNNING,
    "processed": ChangeOutcome.RUNNING,
    "uploading": ChangeOutcome.RUNNING,
    "uploaded": ChangeOutcome.RUNNING,
    "retrying": ChangeOutcome.RUNNING,
}
NOT_BEGUN = frozenset({"new", "enqueued", "pending_review", "accepted"})
NOT_DEPLOYS = frozenset({"submission_created", "deploy_locked", "deploy_unlocked", "deploy_request_pending"})


class _Deploy(Body):
    id: Name
    name: Name
    state: Name
    context: Words = ""
    branch: Words = ""
    commit_ref: Words = ""
    commit_url: Words = ""
    committer: Words = ""
    title: Words = ""
    error_message: Words = ""
    admin_url: Words = ""
    ssl_url: Words = ""
    created_at: Any = None
    updated_at: Any = None
    published_at: Any = None
    review_id: Any = None


def signed(message: Message, secrets: Sequence[str]) -> Verdict:
    """The JWT's own signature under one of the secrets, and the body's digest in it."""
    token = message.headers.get("x-webhook-signature", "")
    if not token:
        return refused("missing signature: header X-Webhook-Signature is absent")
    content, _, offered = token.rpartition(".")
    expected = [
        base64.urlsafe_b64encode(hmac.new(s.encode(), content.encode("utf-8", "replace"), "sha256").digest())
        for s in secrets
        if s
    ]
    given = offered.encode("utf-8", "replace") + b"=" * (-len(offered) % 4)
    matches = [hmac.compare_digest(given, each) for each in expected]
    if not any(matches):
        return refused("wrong signature: header X-Webhook-Signature fits none of the hook's secrets")
    header, _, claims = content.partition(".")
    if _part(header).get("alg") != "HS256":
        return refused("wrong signature: X-Webhook-Signature is not a JWT of HS256")
    digest = str(_part(claims).get("sha256", ""))
    if not hmac.compare_digest(digest.encode("utf-8", "replace"), hashlib.sha256(message.body).hexdigest().encode()):
        return refused("wrong signature: the body is not the one that was signed")
    return VERIFIED


def _part(encoded: str) -> dict[str, Any]:
    try:
        return parsed_object(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (BadPayload, binascii.Error, ValueError):
        return {}


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change, or why the notification is none. Raises BadPayload without id, name and state of a deploy."""
    event = message.headers.get("x-netlify-event", "")
    if event in NOT_DEPLOYS:
        return Normalized(ignored=f"event {event} is not a change")
    deploy = shaped(_Deploy, parsed_object(message.body))
    if deploy.state in NOT_BEGUN:
        return Normalized(ignored=f"deploy {deploy.state}: it has not begun")
    place = deploy.context
    production = deploy.context == "production" if deploy.context else None
    if why := elsewhere(place, hook, listed="netlify_environment", production=production):
        return Normalized(ignored=why)
    outcome = STATES.get(deploy.state, ChangeOutcome.UNKNOWN)
    restored = event == "deploy_restored"
    version = version_of(deploy.branch, deploy.commit_ref) if deploy.commit_ref else deploy.id[:12]
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"netlify:{deploy.id}" + (f":restored:{deploy.published_at}" if restored else ""),
        kind=ChangeKind.SERVICE_ROLLEDBACK if restored else ChangeKind.SERVICE_DEPLOYED,
        subject=subject_of_run(deploy.name, ChangeKind.BUILD_FINISHED, hook),
        outcome=outcome,
        began=first_time(deploy.published_at if restored else deploy.created_at),
        ended=first_time(deploy.published_at, deploy.updated_at) if outcome is not ChangeOutcome.RUNNING else None,
        environment=place,
        version=version,
        author=deploy.committer,
        url=f"{deploy.admin_url}/deploys/{deploy.id}" if deploy.admin_url else deploy.ssl_url,
        summary=f"{deploy.name} {version} {deploy.state}: {deploy.error_message or deploy.title}",
        labels={
            "site": deploy.name,
            "context": deploy.context,
            "branch": deploy.branch,
            "commit": deploy.commit_ref,
        },
    )
    return Normalized(changes=(change,))


SETUP = """Project configuration → Notifications → Deploy notifications → Add notification → HTTP POST request.

- Events **Deploy started**, **Deploy succeeded**, **Deploy failed**; URL `{url}`; JWS secret token `{secret}`
- A site is the service of its name; `service: storefront` in the hook's `defaults` names another. A production hook
  leaves out deploy previews and branch deploys.
"""

SOURCE = Source(
    name=NAME,
    title="Netlify",
    verify=any_of(signed, shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=("deploys that have not begun", "deploy previews and branch deploys on a production hook", "form entries"),
)
