"""Has this account used up its requests of the hour? (docs inbound-REST-API-rate-limiting)

A rule is a row of sys_rate_limit_rules (`request_limit_per_hour`); without one nothing is limited. Each node of a real
instance commits its counts every 30 s only, so that a limit appears late; the property
`tocsin.simulator.rate_limit_commit_s` plays that.
"""

from __future__ import annotations

from dataclasses import dataclass

from werkzeug.wrappers import Request, Response

from tocsin.simulators.answers import reply
from tocsin.simulators.servicenow.asked import Refused
from tocsin.simulators.servicenow.instance import Row
from tocsin.simulators.servicenow.table_api import InstanceNow

HOUR_S = 3600


@dataclass(slots=True)
class _Window:
    """The counts of one hour."""

    hour: int = -1
    count: int = 0
    committed: int = 0
    committed_at: float = 0.0


class Limits:
    """The rate limit of the Table API; the first active rule counts."""

    def __init__(self, instance: InstanceNow) -> None:
        self._instance = instance
        self._window = _Window()

    def refused(self, request: Request) -> Response | None:
        """The 429 for a call beyond the limit; None counts the call and lets it pass."""
        rule = self._rule(request)
        if rule is None:
            return None
        window, limit = self._turned(), int(rule["request_limit_per_hour"])
        if window.committed >= limit:
            return limit_exceeded(limit, retry_after_s=self._resets_at() - self._now())
        window.count += 1
        lag_s = float(self._instance().setting("tocsin.simulator.rate_limit_commit_s") or 0)
        if self._now() - window.committed_at >= lag_s:
            window.committed, window.committed_at = window.count, self._now()
        return None

    def told(self, request: Request) -> dict[str, str]:
        """The headers that every answer under a rule carries."""
        rule = self._rule(request)
        return {} if rule is None else headers(int(rule["request_limit_per_hour"]), self._resets_at(), rule["sys_id"])

    def _rule(self, request: Request) -> Row | None:
        if "/table/" not in request.path:
            return None
        rules = self._instance().tables.get("sys_rate_limit_rules", {}).values()
        return next((rule for rule in rules if rule["active"] == "true"), None)

    def _turned(self) -> _Window:
        hour = int(self._now() // HOUR_S)
        if self._window.hour != hour:
            self._window = _Window(hour=hour, committed_at=self._now())
        return self._window

    def _now(self) -> float:
        return self._instance().clock().timestamp()

    def _resets_at(self) -> float:
        return (self._now() // HOUR_S + 1) * HOUR_S


def limit_exceeded(limit: int, *, retry_after_s: float) -> Response:
    """The refusal in the documented words."""
    refused = Refused(429, "Rate limit exceeded", f"Rate limit of {limit} requests per hour for Table API exceeded")
    return reply(refused.body, 429, {"Retry-After": str(round(retry_after_s))})


def headers(limit: int, resets_at: float, rule_id: str) -> dict[str, str]:
    """The limit per hour, the Unix time of the next window, the rule's sys_id. No header tells what is left."""
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Reset": str(round(resets_at)),
        "X-RateLimit-Rule": rule_id,
    }
