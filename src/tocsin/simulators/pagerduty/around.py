"""The REST API around incidents: users, services, who is on call, priorities, changes, webhook subscriptions."""

from __future__ import annotations

from flask import request
from werkzeug.wrappers import Response

from tocsin.simulators.answers import reply
from tocsin.simulators.pagerduty.hooks import EVENTS, Hooks, Subscription
from tocsin.simulators.pagerduty.listing import Ask, Refused, arguments, inner, not_found, page
from tocsin.simulators.pagerduty.things import Service


class Around:
    """Views on one account."""

    def __init__(self, ask: Ask, hooks: Hooks) -> None:
        self._ask = ask
        self._hooks = hooks

    # -- people, services --------------------------------------------------------------------------------------------

    def abilities(self) -> Response:
        return reply({"abilities": ["teams", "event_rules", "urgencies"]})

    def users(self) -> Response:
        asked = request.args.get("query", "").lower()
        users = self._ask.account.users.values()
        found = [one for one in users if asked in one.name.lower() or asked in one.email.lower()]
        return page("users", [self._ask.shown.whole_user(one) for one in found])

    def me(self) -> Response:
        """An account's own key belongs to no user (docs: `GET /users/me` needs a user's token)."""
        return reply({"user": self._ask.shown.whole_user(self._ask.account.owner)})

    def services(self) -> Response:
        asked = request.args.get("query", "").lower()
        whole = "integrations" in request.args.getlist("include[]")
        found = [one for one in self._ask.account.services.values() if asked in one.name.lower()]
        return page("services", [self._ask.shown.service(one, integrations=whole) for one in found])

    def service(self, key: str) -> Response:
        whole = "integrations" in request.args.getlist("include[]")
        return reply({"service": self._ask.shown.service(self._service(key), integrations=whole)})

    def on_calls(self) -> Response:
        asked = request.args.getlist("escalation_policy_ids[]")
        once = {str(self._ask.shown.escalation_policy(one)["id"]): one for one in self._ask.account.services.values()}
        found = [self._ask.shown.on_call(one) for policy, one in once.items() if not asked or policy in asked]
        return page("oncalls", found)

    def priorities(self) -> Response:
        return page("priorities", [self._ask.shown.priority(name) for name in self._ask.account.priorities])

    def orchestrations(self) -> Response:
        return page("orchestrations", [])

    # -- changes -----------------------------------------------------------------------------------------------------

    def changes(self) -> Response:
        return page("change_events", [self._ask.shown.change(one) for one in reversed(self._ask.account.changes)])

    def changes_of(self, key: str) -> Response:
        service = self._service(key)
        found = [one for one in reversed(self._ask.account.changes) if one.service is service]
        return page("change_events", [self._ask.shown.change(one) for one in found])

    def _service(self, key: str) -> Service:
        found = next((one for one in self._ask.account.services.values() if one.id == key), None)
        if found is None:
            raise not_found()
        return found

    # -- webhook subscriptions ---------------------------------------------------------------------------------------

    def subscriptions(self) -> Response:
        return page("webhook_subscriptions", [one.shown() for one in self._hooks.subscriptions])

    def subscribe(self) -> Response:
        body = inner("webhook_subscription")
        method, events, scope = body.get("delivery_method"), body.get("events"), body.get("filter")
        if not isinstance(method, dict) or not str(method.get("url", "")).startswith(("http://", "https://")):
            raise arguments("Delivery method url must be a valid URL")
        if not isinstance(events, list) or not events or set(map(str, events)) - EVENTS:
            raise arguments("Events must be a non-empty list of known event types")
        if not isinstance(scope, dict) or not str(scope.get("type", "")).endswith("_reference"):
            raise arguments("Filter type must be account_reference, service_reference or team_reference")
        made = self._hooks.subscribe(
            url=str(method["url"]),
            events=frozenset(map(str, events)),
            service_id=str(scope.get("id") or "") if scope["type"] == "service_reference" else "",
            headers=_headers(method.get("custom_headers")),
            description=str(body.get("description") or ""),
        )
        shown = made.shown()
        method_shown = shown["delivery_method"]
        assert isinstance(method_shown, dict)
        return reply({"webhook_subscription": shown | {"delivery_method": {**method_shown, "secret": made.secret}}})

    def subscription(self, key: str) -> Response:
        return reply({"webhook_subscription": self._subscription(key).shown()})

    def unsubscribe(self, key: str) -> Response:
        self._hooks.subscriptions.remove(self._subscription(key))
        return reply(None, 204)

    def enable(self, key: str) -> Response:
        found = self._subscription(key)
        found.refusals, found.disabled = 0, False
        return self.subscription(key)

    def ping(self, key: str) -> Response:
        self._hooks.ping(self._subscription(key))
        return reply(None, 202)

    def _subscription(self, key: str) -> Subscription:
        found = next((one for one in self._hooks.subscriptions if one.id == key), None)
        if found is None:
            raise Refused(404, 2100, "Not Found")
        return found


def _headers(given: object) -> dict[str, str]:
    rows = given if isinstance(given, list) else []
    return {str(row["name"]): str(row["value"]) for row in rows if isinstance(row, dict) and "name" in row}
