"""Which checks of a dataset failed? Scan results of Soda Core and webhooks of Soda Cloud.

Soda Core gives the dictionary of `scan.get_scan_results()`, which a wrapper posts. Soda Cloud posts results of checks
and its incidents, signs nothing that its pages describe (custom headers carry the secret), and wants an answer between
200 and 400 within 10 s. Sample rows and queries never leave the report.
https://docs.soda.io/reference/webhook-api
"""

from __future__ import annotations

from tocsin.domain.alert import Resolves
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._json import parsed_object
from tocsin.sources._report import opened
from tocsin.sources._verify import shared_secret
from tocsin.sources.soda.cloud import read_event
from tocsin.sources.soda.scan import read_scan

NAME = "soda"


def normalize(message: Message, hook: Hook) -> Normalized:
    """An alert per check: firing when it failed or warned, ended when it passed. Raises BadPayload for a body that is
    neither a scan's results nor an event of Soda Cloud."""
    body = parsed_object(message.body)
    if "event" in body:
        return read_event(body, message, hook)
    envelope, scan = opened(body, hook)
    return read_scan(scan, envelope, message, hook)


SETUP = """Soda Cloud: Organization Settings → Integrations → Webhook.

- URL `{url}`, HTTP header `Authorization` with the value `Bearer {secret}`
- Turn on alert notifications and incidents. In the notification rules choose failed, warning **and passing** results,
  so that the next pass ends an alert; without passes it ends 7 days after its last report.

Soda Core, after each scan:

```python
import json, urllib.request

scan.execute()
body = json.dumps(dict(source="soda", report=scan.get_scan_results()), default=str).encode()
request = urllib.request.Request("{url}", body, method="POST")
request.add_header("Content-Type", "application/json")
request.add_header("Authorization", "Bearer {secret}")
urllib.request.urlopen(request, timeout=10).read()
```

- The bare dictionary works too. Post passing scans as well. `soda scan … -srf results.json` writes the same.
- `model:` in the hook's `defaults` says which model lives on these features.
"""

SOURCE = Source(
    name=NAME,
    title="Soda Core and Soda Cloud",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.NEXT_PASS,
    setup=SETUP,
    ignores=(
        "validate: Soda Cloud tries the address",
        "checks that were not evaluated (their scan's error is an alert of its own)",
        "agreements: nothing was checked",
        "scans without checks and without errors",
    ),
    aliases=("soda_core", "soda_cloud"),
)
