"""What an operator says about one ServiceNow instance."""

from __future__ import annotations

import re
from string import Formatter
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from tocsin.connectors._connector import Connection

_NEEDED = {
    "basic": ("username", "password"),
    "oauth_password": ("username", "password", "client_id", "client_secret"),
    "oauth_client_credentials": ("client_id", "client_secret"),
    "api_key": ("api_key",),
    "client_certificate": ("client_cert",),
}

PLAIN = (
    *("key", "display", "generation", "status", "want", "severity", "impact", "urgency", "title", "category"),
    *("environment", "team", "ci", "business_service", "component", "opened_at", "previous"),
)
"""Attributes of a wanted record that a template of `fields` may name."""

OURS = frozenset(
    {
        *("sys_id", "number", "correlation_id", "correlation_display", "short_description", "description", "state"),
        *("incident_state", "impact", "urgency", "priority", "category", "contact_type", "caller_id", "work_notes"),
        *("assignment_group", "cmdb_ci", "business_service", "service_offering", "caused_by", "parent_incident"),
        *("close_code", "close_notes", "assigned_to", "rfc", "comments", "active"),
    }
)
"""Columns that `fields` may not set: we write them by rules of their own, or never (rfc, assigned_to)."""


class Config(Connection):
    """One ServiceNow instance."""

    auth: Literal["basic", "oauth_client_credentials", "oauth_password", "api_key", "client_certificate"] = Field(
        default="basic", description="How we log in."
    )
    username: str = Field(default="", description="User of the integration (basic, oauth_password).")
    password: SecretStr | None = Field(default=None, description="Its password.")
    client_id: str = Field(default="", description="OAuth client (oauth_client_credentials, oauth_password).")
    client_secret: SecretStr | None = Field(default=None, description="Secret of the OAuth client.")
    api_key: SecretStr | None = Field(default=None, description="API key, sent as x-sn-apikey.")
    table: str = Field(default="incident", pattern=r"^[a-z][a-z0-9_]*$", description="Table that holds the incidents.")
    identity: Literal["sys_id", "lookup", "import_set", "event"] = Field(
        default="sys_id",
        description="What keeps incidents single: our own sys_id (falls back to lookup where the instance ignores it), "
        "a verified look-up before each create, an import set that coalesces on correlation_id, or Event Management's "
        "message_key (alerts instead of incidents).",
    )
    staging_table: str = Field(
        default="", pattern=r"^([a-z][a-z0-9_]*)?$", description="Staging table of identity: import_set."
    )
    staging_prefix: str = Field(
        default="", pattern=r"^[a-z_]*$", description="What its columns' names begin with before ours, such as u_."
    )
    late_commit_s: float = Field(
        default=60,
        ge=0,
        le=600,
        description="Seconds for which the instance may still carry out a call whose answer was lost: what must not "
        "happen twice is not repeated before.",
    )
    caller_id: str = Field(default="", description="Caller of our incidents: a user name or sys_id.")
    contact_type: str = Field(default="monitoring", description="Contact type (channel) of our incidents.")
    default_assignment_group: str = Field(
        default="", description="Group for teams that name none; empty leaves it to the instance's own rules."
    )
    service_offering: str = Field(default="", description="Service offering for teams that name none.")
    categories: dict[str, str] = Field(
        default_factory=dict, description="The instance's category for each of ours; others are sent as they are."
    )
    fields: dict[str, str] = Field(
        default_factory=dict,
        description='Further columns and what they hold, such as u_model: "{component}". In braces: '
        + ", ".join(PLAIN)
        + ".",
    )
    close_code: str = Field(default="Solution provided", description="Resolution code of incidents that we resolve.")
    names_cached_s: float = Field(
        default=900, ge=0, description="Seconds for which a looked-up group, CI or user is remembered."
    )

    @field_validator("fields")
    @classmethod
    def _templates_are_known(cls, fields: dict[str, str]) -> dict[str, str]:
        for column, template in fields.items():
            _check_column(column)
            _check_template(column, template)
        return fields

    @model_validator(mode="after")
    def _can_log_in(self) -> Config:
        missing = [name for name in _NEEDED[self.auth] if not getattr(self, name)]
        if missing:
            raise ValueError(f"{', '.join(missing)}: needed for auth: {self.auth}")
        if self.identity == "import_set" and not self.staging_table:
            raise ValueError("staging_table: needed for identity: import_set")
        return self


def _check_column(column: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", column) or column.startswith("sys_"):
        raise ValueError(f"{column!r} is no column that may be written")
    if column in OURS:
        raise ValueError(f"{column!r} is not set by a template; see the other options")


def _check_template(column: str, template: str) -> None:
    try:
        parts = list(Formatter().parse(template))
    except ValueError as wrong:
        raise ValueError(f"{column}: {template!r}: {wrong}") from wrong
    for _, name, form, conversion in parts:
        if name is not None and (name not in PLAIN or form or conversion):
            raise ValueError(f"{column}: {{{name}}} is unknown; choose from {', '.join(PLAIN)}")
