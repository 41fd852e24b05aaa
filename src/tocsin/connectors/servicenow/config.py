"""What an operator says about one ServiceNow instance."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, model_validator

from tocsin.connectors._connector import Connection

_NEEDED = {
    "basic": ("username", "password"),
    "oauth_password": ("username", "password", "client_id", "client_secret"),
    "oauth_client_credentials": ("client_id", "client_secret"),
    "api_key": ("api_key",),
}


class Config(Connection):
    """One ServiceNow instance."""

    auth: Literal["basic", "oauth_client_credentials", "oauth_password", "api_key"] = Field(
        default="basic", description="How we log in."
    )
    username: str = Field(default="", description="User of the integration (basic, oauth_password).")
    password: SecretStr | None = Field(default=None, description="Its password.")
    client_id: str = Field(default="", description="OAuth client (oauth_client_credentials, oauth_password).")
    client_secret: SecretStr | None = Field(default=None, description="Secret of the OAuth client.")
    api_key: SecretStr | None = Field(default=None, description="API key, sent as x-sn-apikey.")
    table: str = Field(default="incident", pattern=r"^[a-z][a-z0-9_]*$", description="Table that holds the incidents.")
    caller_id: str = Field(default="", description="Caller of our incidents: a user name or sys_id.")
    contact_type: str = Field(default="monitoring", description="Contact type (channel) of our incidents.")
    default_assignment_group: str = Field(
        default="", description="Group for teams that name none; empty leaves it to the instance's own rules."
    )
    categories: dict[str, str] = Field(
        default_factory=dict, description="The instance's category for each of ours; others are sent as they are."
    )
    close_code: str = Field(default="Solution provided", description="Resolution code of incidents that we resolve.")
    names_cached_s: float = Field(
        default=900, ge=0, description="Seconds for which a looked-up group, CI or user is remembered."
    )

    @model_validator(mode="after")
    def _can_log_in(self) -> Config:
        missing = [name for name in _NEEDED[self.auth] if not getattr(self, name)]
        if missing:
            raise ValueError(f"{', '.join(missing)}: needed for auth: {self.auth}")
        return self
