"""What an operator says about one Jira site."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, SecretStr, model_validator

from tocsin.connectors._connector import Connection, check_address

FieldValue = str | int | float | bool | list[Any] | dict[str, Any]
AlertPriority = Literal["P1", "P2", "P3", "P4", "P5"]
_ALERT_PRIORITIES: Mapping[str, AlertPriority] = {"critical": "P1", "error": "P2", "warning": "P3", "info": "P5"}


class Config(Connection):
    """One Jira site: Cloud (REST v3) or Data Center (REST v2)."""

    flavour: Literal["cloud", "datacenter"] = Field(default="cloud", description="Which Jira it is.")
    target: Literal["issue", "alert"] = Field(
        default="issue",
        description="What is kept there: issues, or alerts of Jira Service Management operations (Cloud only).",
    )
    site_url: str = Field(
        default="", description="Address that people open, where url is an API gateway; empty takes url."
    )
    email: str = Field(default="", description="E-mail of the user whose API token we use (Cloud).")
    api_token: SecretStr = Field(description="API token (Cloud) or personal access token (Data Center).")
    project: str = Field(default="", description="Key of the project for teams that name none.")
    issue_type: str = Field(default="Incident", description="Issue type for teams that name none.")
    labels: tuple[str, ...] = Field(default=(), description="Further labels on every issue; no blanks.")
    priorities: dict[str, str] = Field(
        default_factory=lambda: {"critical": "Highest", "error": "High", "warning": "Medium", "info": "Low"},
        description="The site's priority for each of our severities; a severity left out sends none.",
    )
    components: dict[str, str] = Field(
        default_factory=dict, description="The project's component for each of our subjects; others send none."
    )
    fields: dict[str, FieldValue] = Field(
        default_factory=dict,
        description="Further fields of every issue, by id or by name: `Root area: Payments`. A text is put into the "
        "form that the field wants; it may hold {team}, {environment}, {severity}, {category}, {component}, {ci}, "
        "{business_service} and {incident}.",
    )
    caused_by_field: str = Field(
        default="", description="Id or name of the text field for the change that a person confirmed as the cause."
    )
    done_transition: str = Field(
        default="", description="Transition that resolves; empty takes the first into a status of category done."
    )
    reopen_transition: str = Field(
        default="", description="Transition that re-opens; empty takes the first into a status that is not done."
    )
    resolution: str = Field(default="", description="Resolution to set where the transition's screen has the field.")
    relates_link: str = Field(default="Relates", description="Link type to the previous generation and to a parent.")
    duplicate_link: str = Field(default="Duplicate", description="Link type from a double to the issue that stays.")
    remote_links: int = Field(
        default=2, ge=0, le=10, description="How many of a record's links become web links; its text names them all."
    )
    probe_by_key: bool = Field(
        default=True, description="Look for a lost issue by the project's newest keys too, which never lag (Cloud)."
    )
    internal_comments: bool = Field(
        default=True, description="Keep our comments from customers in Jira Service Management projects."
    )
    cloud_id: str = Field(default="", description="Id of the Cloud site, for target: alert; see /_edge/tenant_info.")
    alerts_url: str = Field(
        default="https://api.atlassian.com", description="Address of the operations API, for target: alert."
    )
    alert_priorities: dict[str, AlertPriority] = Field(
        default_factory=lambda: dict(_ALERT_PRIORITIES),
        description="Priority of an alert for each of our severities.",
    )

    @model_validator(mode="after")
    def _can_log_in(self) -> Config:
        if self.flavour == "cloud" and not self.email:
            raise ValueError("email: needed for flavour: cloud")
        if any(set(label) & set(" \t\n") for label in self.labels):
            raise ValueError("labels: a label holds a blank; Jira refuses that")
        return self

    @model_validator(mode="after")
    def _alerts_are_reachable(self) -> Config:
        if self.target == "issue":
            return self
        if self.flavour != "cloud":
            raise ValueError("target: alerts are kept by Jira Cloud only; set flavour: cloud or target: issue")
        if not self.cloud_id:
            raise ValueError(f"cloud_id: needed for target: alert; read it at {self.root}/_edge/tenant_info")
        check_address("alerts_url", self.alerts_url, allow_http=self.allow_http)
        return self

    @property
    def site(self) -> str:
        """The address that people open, without trailing slashes."""
        return (self.site_url or self.url).rstrip("/")
