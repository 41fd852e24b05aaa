"""Which value stands behind `{env: X}` or `{file: p}`? Secrets are typed references, never text in a mapping."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from tocsin.domain.errors import BadMapping

FOLDER = "secrets"
"""Of a mappings directory, for secrets that Tocsin makes; never read as mappings, never kept in a version."""
MAX_SECRET_BYTES = 65_536
ENV_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"


class EnvSecret(BaseModel):
    """A secret in an environment variable."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    env: str = Field(pattern=ENV_NAME, description="Name of the environment variable.")


class FileSecret(BaseModel):
    """A secret in a file, as Docker and Kubernetes mount them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: str = Field(min_length=1, description="Path; a relative one starts at the mappings directory.")


SecretRef = Annotated[EnvSecret | FileSecret, Field(description="Where the secret is: {env: NAME} or {file: path}.")]


class NoSecret(ValueError):
    """The secret is not there; the text says which, and never holds a value."""


def reference(value: object) -> EnvSecret | FileSecret | None:
    """The reference that a plain value of a YAML file spells, if it is one."""
    if isinstance(value, dict) and len(value) == 1:
        ((key, name),) = value.items()
        if key == "env" and isinstance(name, str) and re.fullmatch(ENV_NAME, name):
            return EnvSecret(env=name)
        if key == "file" and isinstance(name, str) and name:
            return FileSecret(file=name)
    return None


def resolve(ref: EnvSecret | FileSecret, *, env: Mapping[str, str], root: Path) -> str:
    """The secret's text, without the newline that editors add. Raises NoSecret."""
    if isinstance(ref, EnvSecret):
        value = env.get(ref.env, "")
        if not value:
            raise NoSecret(f"the environment variable {ref.env} is not set")
        return value
    path = root / ref.file
    try:
        value = path.read_bytes()[: MAX_SECRET_BYTES + 1].decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise NoSecret(f"the secret file {ref.file} cannot be read ({type(error).__name__})") from None
    if not value or len(value) > MAX_SECRET_BYTES:
        raise NoSecret(f"the secret file {ref.file} is empty or larger than {MAX_SECRET_BYTES:,} bytes")
    return value


def make(root: Path, name: str) -> str:
    """A new random secret, kept in secrets/<name> below `root` with mode 0600; git is told to leave it alone.

    One that is there already stays and is answered. Raises BadMapping when the file cannot be written."""
    folder = root / FOLDER
    path = folder / name
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _ignored(root)
        if path.exists():
            return resolve(FileSecret(file=f"{FOLDER}/{name}"), env={}, root=root)
        value = secrets.token_urlsafe(32)
        path.touch(mode=0o600)
        path.write_text(f"{value}\n", encoding="utf-8")
    except (OSError, NoSecret) as error:
        raise BadMapping([f"{path}: cannot be written ({error}); check the directory's permissions"]) from None
    return value


def _ignored(root: Path) -> None:
    ignore = root / ".gitignore"
    lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.exists() else []
    if f"{FOLDER}/" not in lines:
        ignore.write_text("\n".join([*lines, f"{FOLDER}/"]) + "\n", encoding="utf-8")
