"""Small mappings trees for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from tocsin.config.findings import check
from tocsin.config.mappings import Mappings, examined, loads

ROOT = Path("/nowhere")

TEAMS = """
teams:
  ml: {owns: ["model:*"]}
  platform: {}
policies: {catch_all: platform}
"""


def errors_of(files: Mapping[str, str] | str, *, env: Mapping[str, str] | None = None) -> list[str]:
    """What reading these files says, line by line; one text alone is x.yaml."""
    tree = {"x.yaml": files} if isinstance(files, str) else files
    _, found = examined({name: dedent(text).lstrip("\n") for name, text in tree.items()}, env=env or {}, root=ROOT)
    return [str(finding) for finding in found]


def mappings_of(text: str = "", *, env: Mapping[str, str] | None = None, **files: str) -> Mappings:
    """The mappings of x.yaml and of further files by their stem."""
    tree = {"x.yaml": text, **{f"{name}.yaml": content for name, content in files.items()}}
    return loads({name: dedent(content).lstrip("\n") for name, content in tree.items()}, env=env or {}, root=ROOT)


def findings_of(text: str, *, env: Mapping[str, str] | None = None) -> list[str]:
    """What the check says of x.yaml beside two teams that stand in teams.yaml: `level where: …`."""
    return [f"{finding.level} {finding}" for finding in check(mappings_of(text, env=env, teams=TEAMS))]
