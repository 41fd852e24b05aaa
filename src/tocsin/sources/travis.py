"""Which Travis CI build ran, and how did it end? Its webhook notifications: a form field `payload`, or plain JSON.

Travis signs with an RSA key that only it publishes; here the secret in the address verifies.
https://docs.travis-ci.com/user/notifications/#configuring-webhook-notifications
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from tocsin.domain.alert import Resolves
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._delivery import Body, Words, change_of, first_time, kind_of_run, subject_of_run, version_of
from tocsin.sources._json import parsed_object, shaped
from tocsin.sources._shape import Name
from tocsin.sources._verify import shared_secret

NAME = "travis"

STATES = {
    "passed": ChangeOutcome.SUCCESS,
    "fixed": ChangeOutcome.SUCCESS,
    "failed": ChangeOutcome.FAILURE,
    "broken": ChangeOutcome.FAILURE,
    "still failing": ChangeOutcome.FAILURE,
    "errored": ChangeOutcome.FAILURE,
    "canceled": ChangeOutcome.CANCELED,
    "started": ChangeOutcome.RUNNING,
}
"""`state`, or `status_message` in lower case → outcome."""
NOT_BEGUN = frozenset({"created", "received", "queued", "booting", "pending"})


class _Repository(Body):
    name: Name
    owner_name: Words = ""


class _Build(Body):
    id: Name
    number: Words = ""
    type: Words = ""
    state: Words = ""
    status: Words = ""
    status_message: Words = ""
    started_at: Any = None
    finished_at: Any = None
    build_url: Words = ""
    commit: Words = ""
    branch: Words = ""
    tag: Words = ""
    message: Words = ""
    author_name: Words = ""
    pull_request: Any = None
    repository: _Repository


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change, or why the build is none. Raises BadPayload without an id or repository."""
    build = shaped(_Build, _body(message))
    if build.type == "pull_request" or build.pull_request is True:
        return Normalized(ignored="build of a pull request: it changes nothing that runs")
    state = (build.state or build.status_message).lower()
    if state in NOT_BEGUN:
        return Normalized(ignored=f"build {state}: it has not begun")
    outcome = STATES.get(state) or STATES.get(build.status_message.lower(), ChangeOutcome.UNKNOWN)
    otherwise = ChangeKind.PIPELINERUN_FINISHED if build.type in ("cron", "api") else ChangeKind.BUILD_FINISHED
    slug = f"{build.repository.owner_name}/{build.repository.name}".lstrip("/")
    version = version_of(build.tag or build.branch, build.commit)
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"travis:{slug}:{build.id}",
        kind=kind_of_run(build.message if build.message.startswith("Revert ") else "", otherwise=otherwise),
        subject=subject_of_run(build.repository.name, ChangeKind.BUILD_FINISHED, hook),
        outcome=outcome,
        began=first_time(build.started_at),
        ended=first_time(build.finished_at) if outcome is not ChangeOutcome.RUNNING else None,
        version=version,
        author=build.author_name,
        url=build.build_url,
        summary=f"{build.repository.name}: build {build.number} {state} on {version}",
        labels={
            "repository": slug,
            "branch": build.branch,
            "tag": build.tag,
            "trigger": build.type,
            "commit": build.commit,
        },
    )
    return Normalized(changes=(change,))


def _body(message: Message) -> dict[str, Any]:
    if message.body.startswith(b"payload="):
        try:
            return parsed_object(parse_qs(message.body, keep_blank_values=True)[b"payload"][0])
        except ValueError:  # too many fields
            raise BadPayload("the form cannot be read", path="payload") from None
    return parsed_object(message.body)


SETUP = """In `.travis.yml` (encrypt the address, it holds the secret: `travis encrypt "{url}?token={secret}"`):

```yaml
notifications:
  webhooks:
    urls: ["{url}?token={secret}"]
    on_success: always
    on_failure: always
    on_start: always
```

- A build is a build of the repository's service; `service: checkout` in the hook's `defaults` names another.
"""

SOURCE = Source(
    name=NAME,
    title="Travis CI",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=("builds of pull requests", "builds that have not begun"),
)
