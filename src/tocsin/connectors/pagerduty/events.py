"""Send one event, so that it arrives: paced, slimmed when it is refused, and honest about what may have got lost.

https://developer.pagerduty.com/docs/events-api-v2/overview/
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tocsin.connectors._http import Failure, Http, Reply
from tocsin.connectors.pagerduty.config import Config
from tocsin.connectors.pagerduty.pace import REFUSED_WAIT, closed, wait_for
from tocsin.connectors.pagerduty.render import Event, fitting, left_out, slimmer
from tocsin.domain.record import Reason

_LOST = (Reason.TIMEOUT, Reason.SERVER_ERROR)


@dataclass(frozen=True, slots=True)
class Taken:
    """PagerDuty answered 202: taken, and no proof that an incident exists. `left_out` are parts that it refused."""

    left_out: tuple[str, ...] = ()
    words: str = ""
    """Its own, where it refused parts."""


@dataclass(frozen=True, slots=True)
class Events:
    """The Events API with the keys of one config."""

    config: Config
    http: Http
    now: datetime | None
    """None: unpaced."""

    def send(self, route: str, event: Event, *, path: str = "/v2/enqueue", urgent: bool = True) -> Taken | Failure:
        """Send `event` with the key of `route`. A refused one goes again without its trimmings, so that the page still
        goes out. `path` other than that of alerts: a repeat would show twice, so a lost answer stays ambiguous."""
        key = self.config.key(route)
        if key is None:
            return Failure("rejected", Reason.CLIENT_ERROR, detail=unlisted(route))
        wait = self._wait(route, urgent=urgent)
        if wait is not None:
            said = f"routing key {route or 'default'!r} is at its {self.config.events_per_minute} events a minute"
            return Failure("retry", Reason.RATE_LIMITED, detail=f"{said}; not sent", after=wait)
        whole = fitting(event)
        first = answer = self._post(path, key.get_secret_value(), whole)
        sent = whole
        if isinstance(first, Failure):
            for sent in slimmer(whole, first.status, first.detail):
                answer = self._post(path, key.get_secret_value(), sent)
                if isinstance(answer, Reply):
                    return Taken(left_out(whole, sent), first.detail)
        return self._judged(route, answer) if isinstance(answer, Failure) else Taken(left_out(event, sent))

    def _wait(self, route: str, *, urgent: bool) -> timedelta | None:
        if self.now is None:
            return None
        return wait_for(self.http, route, per_minute=self.config.events_per_minute, urgent=urgent, now=self.now)

    def _post(self, path: str, secret: str, event: Event) -> Reply | Failure:
        body = {**event, "routing_key": secret}
        repeatable = "dedup_key" in event
        answer = self.http.call("POST", f"{self.config.root}{path}", idempotent=repeatable, json=body)
        if isinstance(answer, Reply) and not (isinstance(answer.body, dict) and answer.body.get("status") == "success"):
            return Failure("ambiguous", Reason.BAD_ANSWER, answer.status, "the answer is not the Events API's")
        return answer

    def _judged(self, route: str, answer: Failure) -> Failure:
        if answer.status == 429:
            after = answer.after or REFUSED_WAIT
            if self.now is not None:
                closed(self.http, route, after=after, now=self.now)
            return replace(answer, after=after)
        if answer.result == "retry" and answer.reason in _LOST:
            return replace(answer, result="ambiguous")  # it may have paged: a later resolve must still go out
        return answer


def unlisted(route: str) -> str:
    """What to say of a routing key that the config does not hold."""
    return f"routing key {route!r} is not in routing_keys; add it, or set default_routing_key"
