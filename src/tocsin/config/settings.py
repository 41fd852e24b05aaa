"""What this process is told by its environment: TOCSIN_* variables, each secret also as a file in TOCSIN_*_FILE."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from tocsin.domain.errors import BadSetting

PREFIX = "TOCSIN_"
KEY_BYTES = 32
"""AES-256."""
FROM_FILE = ("database_url", "redis_url", "data_key", "data_keys_old", "api_token")
"""Settings that hold a credential: each may also come from the file that TOCSIN_<NAME>_FILE names."""

NEW_KEY = "make one: openssl rand -base64 32"
_REMEDIES = {
    "database_url": "such as postgresql://tocsin:…@db/tocsin, or run `tocsin up`, which brings its own database",
    "redis_url": "such as redis://redis:6379/0, or run `tocsin up`, which brings its own Redis",
    "data_key": NEW_KEY,
    "api_token": "choose a long random text and give it to those who may use the API and the console",
}


class SecretFiles(PydanticBaseSettingsSource):
    """Reads TOCSIN_<NAME>_FILE for every setting of FROM_FILE."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """One setting's text from its file; None when no file is named. Raises BadSetting when both are given."""
        variable = f"{PREFIX}{field_name.upper()}"
        path = os.environ.get(f"{variable}_FILE", "") if field_name in FROM_FILE else ""
        if not path:
            return None, field_name, False
        if os.environ.get(variable):
            raise BadSetting(f"{variable} and {variable}_FILE are both set; keep one of them")
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            problem = f"{variable}_FILE: {path} cannot be read ({type(error).__name__})"
            raise BadSetting(f"{problem}; mount the file or set {variable}") from None

    def __call__(self) -> dict[str, Any]:
        """All settings that come from files."""
        found = ((name, self.get_field_value(field, name)[0]) for name, field in self.settings_cls.model_fields.items())
        return {name: value for name, value in found if value is not None}


def _spool_of(known: dict[str, Any]) -> Path:
    return Path(known.get("data_dir", "")) / "spool"


class Settings(BaseSettings):
    """Everything a process is told. Raises BadSetting for values that it cannot run with."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True, frozen=True
    )

    database_url: str = Field(
        default="", repr=False, description="PostgreSQL, as postgresql://user:password@host/name."
    )
    redis_url: str = Field(default="", repr=False, description="Redis for Celery, as redis://host:6379/0.")
    data_dir: Path = Field(default=Path("tocsin-data"), description="Where this installation keeps files of its own.")
    spool_dir: Path = Field(
        default_factory=_spool_of,
        description="Where the receiver spools while the database is away; on a volume that survives. Default: "
        "spool/ in the data directory.",
    )
    mappings_dir: Path = Field(default=Path("mappings"), description="The tree of mapping files.")
    data_key: SecretStr = Field(
        default=SecretStr(""),
        description="Key that encrypts raw bodies: 32 bytes as urlsafe base64. Losing it loses the raw bodies.",
    )
    data_keys_old: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(), description="Earlier data keys, separated by commas: they decrypt, they no longer encrypt."
    )
    api_token: SecretStr = Field(
        default=SecretStr(""), description="Token that opens the API and the console; without it both stay closed."
    )
    public_url: str = Field(
        default="http://127.0.0.1:8080",
        description="Address under which people and senders reach us: hook addresses and links in tickets start so.",
    )
    bind: str = Field(default="127.0.0.1:8080", description="host:port that the web process listens on.")
    max_body_bytes: int = Field(
        default=5_000_000, ge=1_000, le=100_000_000, description="Largest body that a hook takes, after gunzip, bytes."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least severe log line that is written."
    )

    def __init__(self, **values: Any) -> None:  # noqa: ANN401
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise BadSetting("\n".join(_worded(e["loc"], e["msg"]) for e in error.errors())) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Values given in code, then the environment, then secret files; no .env file is read."""
        return init_settings, env_settings, SecretFiles(settings_cls)

    @field_validator("data_keys_old", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("data_key")
    @classmethod
    def _is_key(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            _check_key(value)
        return value

    @field_validator("data_keys_old")
    @classmethod
    def _are_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for key in value:
            _check_key(key)
        return value

    @field_validator("public_url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("is not an http:// or https:// address")
        return value.rstrip("/")

    @field_validator("bind")
    @classmethod
    def _is_bind(cls, value: str) -> str:
        host, colon, port = value.rpartition(":")
        if not (host and colon and port.isdecimal() and int(port) < 65536):
            raise ValueError("is not host:port, such as 0.0.0.0:8080 or [::]:8080")
        return value

    @property
    def host(self) -> str:
        """The host of `bind`, without the brackets of IPv6."""
        return self.bind.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.bind.rpartition(":")[2])

    def require(self, *names: str) -> Settings:
        """These settings, themselves, once the named ones are known to be set. Raises BadSetting with a remedy for
        each that is not."""
        missing = [name for name in names if not _text(getattr(self, name))]
        if missing:
            raise BadSetting("\n".join(_missing(name) for name in missing))
        return self


def _check_key(key: SecretStr) -> None:
    try:
        raw = base64.urlsafe_b64decode(key.get_secret_value())
    except (binascii.Error, ValueError):
        raise ValueError(f"is not urlsafe base64; {NEW_KEY}") from None
    if len(raw) != KEY_BYTES:
        raise ValueError(f"is a key of {len(raw)} bytes, not of {KEY_BYTES}; {NEW_KEY}")


def _text(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value or "")


def _missing(name: str) -> str:
    variable = f"{PREFIX}{name.upper()}"
    from_file = f" (or {variable}_FILE)" if name in FROM_FILE else ""
    remedy = _REMEDIES.get(name, Settings.model_fields[name].description or "")
    return f"{variable}{from_file} is not set; {remedy}"


def _worded(location: tuple[int | str, ...], message: str) -> str:
    name = str(location[0]) if location else ""
    described = Settings.model_fields[name].description if name in Settings.model_fields else ""
    return f"{PREFIX}{name.upper()}: {message.removeprefix('Value error, ')}. It is: {described}"
