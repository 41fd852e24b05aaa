"""Which dbt models failed to build, which tests failed, which job ran? dbt's result files and dbt Cloud's webhooks.

The files (run_results.json, sources.json) come from a wrapper, as dbt posts nothing; the webhooks from dbt Cloud, with
the body's HMAC in the Authorization header. dbt Cloud tells a failed run twice, as `errored` and as `completed`: both
are one change and one alert.
https://docs.getdbt.com/docs/deploy/webhooks, https://docs.getdbt.com/reference/artifacts/run-results-json
"""

from __future__ import annotations

import re

from tocsin.domain.alert import Resolves
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._json import parsed_object, text
from tocsin.sources._report import opened
from tocsin.sources._verify import any_of, hmac_hex, shared_secret
from tocsin.sources.dbt.artifact import QUIET_COMMANDS, read_artifact
from tocsin.sources.dbt.cloud import EVENTS, read_event

NAME = "dbt"

_EVENT_ID = re.compile(rb'"eventId"\s*:\s*"([\w-]{1,128})"')


def normalize(message: Message, hook: Hook) -> Normalized:
    """A webhook of dbt Cloud as its run; a file of results as an alert per test and model and one change of the run.
    Raises BadPayload for any other body, with the path that did not fit."""
    body = parsed_object(message.body)
    if "eventType" in body:
        return read_event(body, message, hook)
    envelope, artifact = opened(body, hook)
    return read_artifact(artifact, envelope, message, hook, job=text(body.get("job"), 255))


def _event_id(message: Message) -> str:
    """dbt Cloud's eventId, the same over its five attempts."""
    found = _EVENT_ID.search(message.body[:4096])
    return found[1].decode() if found else ""


SETUP = """dbt Cloud: Account settings → Webhooks → Create webhook.

- Endpoint `{url}`, events Run started, Run completed and Run errored. dbt Cloud shows the secret once: store it as this
  hook's secret (two while you rotate). It tries each event five times and wants an answer within 10 s.
- `dbt_url: https://cloud.getdbt.com` in the hook's `defaults` makes links to the runs.

dbt Core, after every command whose results count (`dbt build`, `run`, `test`, `seed`, `snapshot`, `source freshness`):

```python
import json, pathlib, urllib.request

for name in ("run_results.json", "sources.json"):
    path = pathlib.Path("target") / name
    if path.exists():
        body = json.dumps(dict(source="dbt", job="nightly build", report=json.loads(path.read_text())))
        request = urllib.request.Request("{url}", body.encode(), method="POST")
        request.add_header("Content-Type", "application/json")
        request.add_header("Authorization", "Bearer {secret}")
        urllib.request.urlopen(request, timeout=10).read()
```

- The bare file works too; `job` (or the hook's default of this name) names the run, else the dbt project does.
- Post passing results as well: the next pass of a test, the next build of a model ends its alert.
- A test's table is read from its compiled SQL (in the file since dbt 1.5), else from the models built beside it.
"""

SOURCE = Source(
    name=NAME,
    title="dbt and dbt Cloud",
    verify=any_of(hmac_hex(header="Authorization"), shared_secret),
    normalize=normalize,
    resolves=Resolves.NEXT_PASS,
    message_id=_event_id,
    setup=SETUP,
    ignores=(
        f"dbt Cloud's events other than {', '.join(EVENTS)}, and its test of an endpoint",
        f"results of dbt {', '.join(sorted(QUIET_COMMANDS))}: nothing ran",
        "skipped and no-op results (counted in the change)",
        "tests that were compiled only (status success)",
    ),
    aliases=("dbt_cloud", "dbt_run_results"),
)
