"""What does a CDEvent look like, as far as we read it? All versions of the specification from 0.1 to 0.6."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from pydantic import Field

from tocsin.sources._delivery import Body, Words
from tocsin.sources._shape import Name


class Context(Body):
    id: Words = ""
    source: Words = ""
    type: Name
    timestamp: Any = None
    chainId: Words = ""  # noqa: N815


class Reference(Body):
    id: Words = ""
    name: Words = ""
    source: Words = ""


class Content(Body):
    name: Words = ""
    uri: Words = ""
    url: Words = ""
    outcome: Words = ""
    errors: Words = ""
    description: Words = ""
    artifactId: Words = ""  # noqa: N815
    pipelineName: Words = ""  # noqa: N815
    taskName: Words = ""  # noqa: N815
    user: Words = ""
    ticketURI: Words = ""  # noqa: N815
    environment: Reference | None = None
    service: Reference | None = None
    pipelineRun: Reference | None = None  # noqa: N815


class About(Body):
    id: Name
    source: Words = ""
    content: Content = Field(default_factory=Content)


class Event(Body):
    context: Context
    subject: About
    customData: Any = None  # noqa: N815


def package(purl: str) -> tuple[str, str]:
    """Name and version of a package URL: `pkg:oci/checkout@sha256%3A0b31…?tag=2.14.0` → checkout, 2.14.0. A digest is
    cut to 12 digits; both are empty for what is no package URL."""
    if not purl.startswith("pkg:"):
        return "", ""
    path, _, qualifiers = purl.removeprefix("pkg:").partition("?")
    path, _, version = path.partition("@")
    tag = next((each.removeprefix("tag=") for each in qualifiers.split("&") if each.startswith("tag=")), "")
    plain = unquote(version)
    return unquote(path.rpartition("/")[2]), unquote(tag) or (plain[7:19] if plain.startswith("sha256:") else plain)
