"""Our own JSON for changes: for deploy scripts, feature flags, and anything else that may explain a symptom."""

from __future__ import annotations

from tocsin.domain.alert import Resolves
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._change_body import ChangeBody, change_of
from tocsin.sources._json import parsed_object
from tocsin.sources._native import each
from tocsin.sources._verify import shared_secret

NAME = "native_change"


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change, or `{"changes": [...]}`. Raises BadPayload for unknown keys and values, with their place."""
    bodies = each(ChangeBody, parsed_object(message.body), "changes")
    if not bodies:
        return Normalized(ignored="the list of changes is empty")
    return Normalized(changes=tuple(change_of(body, message, hook, source=NAME) for body in bodies))


SOURCE = Source(
    name=NAME,
    title="Tocsin's own JSON: changes",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    aliases=("change",),
    ignores=("an empty list of changes",),
    setup="""\
```sh
curl -fsS {url} -H 'Authorization: Bearer {secret}' -H 'Content-Type: application/json' -d '
{{"kind": "service.deployed", "subject": "service:checkout", "version": "2.14.0", "previous_version": "2.13.2",
  "outcome": "success", "author": "ci", "url": "https://ci.example.com/runs/812", "ticket": "CHG0030001"}}'
```

Several at once: `{{"changes": [...]}}`. Unknown keys are refused, so that a misspelt one is seen.
""",
)
