"""The secrets of an embedded installation: made at the first start, kept in private files, passed on by environment."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from tocsin.domain.errors import BadSetting

DATA_KEY_BYTES = 32
TOKEN_BYTES = 32


def data_key(directory: Path) -> str:
    """The key that seals raw bodies, urlsafe base64; losing `data.key` makes stored bodies unreadable for ever."""
    return _kept(directory / "data.key", lambda: base64.urlsafe_b64encode(secrets.token_bytes(DATA_KEY_BYTES)).decode())


def api_token(directory: Path) -> str:
    """The bearer token of /api/v1 and of the console's actions."""
    return _kept(directory / "api.token", lambda: secrets.token_urlsafe(TOKEN_BYTES))


def write_private(path: Path, text: str) -> None:
    """Write a file that only we may read, whole or not at all."""
    half = path.with_name(f"{path.name}.new")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)


def chosen(environment: Mapping[str, str], name: str, kept: str) -> str:
    """What the environment says where it says something; else the kept secret."""
    return environment.get(name) or kept


def _kept(path: Path, make: Callable[[], str]) -> str:
    if not path.exists():
        write_private(path, make() + "\n")
    text = path.read_text(encoding="utf-8").strip()
    if not text:
        raise BadSetting(f"{path} is empty: restore it from a backup, or delete it if this installation holds nothing")
    return text
