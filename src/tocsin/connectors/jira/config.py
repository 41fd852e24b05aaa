"""What an operator says about one Jira site."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, model_validator

from tocsin.connectors._connector import Connection


class Config(Connection):
    """One Jira site: Cloud (REST v3) or Data Center (REST v2)."""

    flavour: Literal["cloud", "datacenter"] = Field(default="cloud", description="Which Jira it is.")
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
    done_transition: str = Field(
        default="", description="Transition that resolves; empty takes the first into a status of category done."
    )
    reopen_transition: str = Field(
        default="", description="Transition that re-opens; empty takes the first into a status that is not done."
    )
    resolution: str = Field(default="", description="Resolution to set where the transition's screen has the field.")
    internal_comments: bool = Field(
        default=True, description="Keep our comments from customers in Jira Service Management projects."
    )

    @model_validator(mode="after")
    def _can_log_in(self) -> Config:
        if self.flavour == "cloud" and not self.email:
            raise ValueError("email: needed for flavour: cloud")
        if any(set(label) & set(" \t\n") for label in self.labels):
            raise ValueError("labels: a label holds a blank; Jira refuses that")
        return self
