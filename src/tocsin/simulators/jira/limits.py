"""How many writes does one issue take? 20 in 2 seconds and 100 in 30 seconds.

https://developer.atlassian.com/cloud/jira/platform/rate-limiting/#per-issue-rate-limiting-on-write-operations
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

WINDOWS = ((20, timedelta(seconds=2)), (100, timedelta(seconds=30)))
PER_ISSUE, BURST = "jira-per-issue-on-write", "jira-burst-based"
REASONS = (PER_ISSUE, BURST, "jira-quota-tenant-based", "jira-quota-global-based")


class Writes:
    """Counts the writes to each issue."""

    def __init__(self) -> None:
        self._at: dict[str, deque[datetime]] = {}

    def refused_for(self, key: str, now: datetime) -> timedelta | None:
        """How long this issue takes no more writes; None when this one passes, and is counted."""
        times = self._at.setdefault(key, deque(maxlen=WINDOWS[-1][0]))
        for most, span in WINDOWS:
            if len(times) >= most and now - times[-most] < span:
                return span - (now - times[-most])
        times.append(now)
        return None
