"""How one PagerDuty account is reached, and which of its integration keys lead where."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from tocsin.connectors._connector import Connection, check_address

EVENTS = {"us": "https://events.pagerduty.com", "eu": "https://events.eu.pagerduty.com"}
REST = {"us": "https://api.pagerduty.com", "eu": "https://api.eu.pagerduty.com"}

DEFAULT_ROUTE = ""
"""The name of the default routing key in what is kept of a record."""

PdSeverity = Literal["critical", "error", "warning", "info"]


class Config(Connection):
    """One PagerDuty account."""

    region: Literal["us", "eu"] = Field(
        default="us", description="Service region of the account: `eu` sets both addresses to PagerDuty's EU hosts."
    )
    url: str = Field(default=EVENTS["us"], description="Address of the Events API; given, it wins over region.")
    api_url: str = Field(
        default=REST["us"], description="Address of the REST API, used with api_token; given, it wins over region."
    )
    routing_keys: dict[str, SecretStr] = Field(
        default_factory=dict, description="Integration keys by name; a team's address names one as routing_key."
    )
    default_routing_key: SecretStr | None = Field(
        default=None, description="Integration key for teams that name none, or one that is not listed."
    )
    severities: dict[str, PdSeverity] = Field(
        default_factory=dict, description="PagerDuty's severity for each of ours that should differ."
    )
    api_token: SecretStr | None = Field(
        default=None,
        description="REST API token: links to the incident, real notes, priority, and a second look at every end.",
    )
    from_email: str = Field(
        default="", description="E-mail of the PagerDuty user in whose name notes and priorities are written."
    )
    priorities: dict[int, str] = Field(
        default_factory=dict,
        description="Names of PagerDuty's priorities for ours (1 to 5, from impact and urgency), such as `1: P1`.",
    )
    notes_as_events: bool = Field(
        default=False,
        description="Without api_token, show work notes by triggering the key again. Off: a page that a person has"
        " closed meanwhile would ring again for a note.",
    )
    timeline_images: bool = Field(
        default=False,
        description="Show the timeline's picture in the incident, not only a link to it. For responders whose browsers"
        " reach the console over https without its login (single sign-on in front of it).",
    )
    events_per_minute: int = Field(
        default=100,
        ge=10,
        le=10_000,
        description="Events a minute that one process sends to one routing key; PagerDuty refuses more than about 120.",
    )

    @model_validator(mode="before")
    @classmethod
    def _addresses_of_the_region(cls, given: Any) -> Any:  # noqa: ANN401  # pydantic hands over what was written
        if isinstance(given, dict) and given.get("region") == "eu":
            return {"url": EVENTS["eu"], "api_url": REST["eu"], **given}
        return given

    @model_validator(mode="after")
    def _api_url_is_usable(self) -> Config:
        check_address("api_url", self.api_url, allow_http=self.allow_http)
        return self

    @field_validator("priorities")
    @classmethod
    def _priorities_exist(cls, given: dict[int, str]) -> dict[int, str]:
        if unknown := sorted(set(given) - {1, 2, 3, 4, 5}):
            raise ValueError(f"priority {unknown[0]} is none; they go from 1 (both high) to 5 (both low)")
        return given

    def route(self, name: str) -> str:
        """The one name of the routing key that `name` leads to: two names of one key are one; DEFAULT_ROUTE where it
        is the default key or `name` is not listed."""
        key = self.routing_keys.get(name)
        if key is None or self._is_default(key):
            return DEFAULT_ROUTE
        return min(one for one, other in self.routing_keys.items() if _same(other, key))

    def key(self, route: str) -> SecretStr | None:
        """The integration key of a route; None when it is not configured (any more)."""
        return self.default_routing_key if route == DEFAULT_ROUTE else self.routing_keys.get(route)

    def _is_default(self, key: SecretStr) -> bool:
        return self.default_routing_key is not None and _same(self.default_routing_key, key)


def _same(one: SecretStr, other: SecretStr) -> bool:
    return one.get_secret_value() == other.get_secret_value()
