"""TOCSIN_* settings: each secret also from a file, each mistake with its remedy, no secret in any repr."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from tocsin.config.settings import FROM_FILE, Settings
from tocsin.domain.errors import BadSetting

KEY = base64.urlsafe_b64encode(b"k" * 32).decode()


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TOCSIN_")]:
        monkeypatch.delenv(name)


def test_without_anything_it_serves_this_machine_only() -> None:
    settings = Settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.spool_dir == Path("tocsin-data/spool")
    assert settings.api_token.get_secret_value() == ""


def test_a_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n", encoding="utf-8")
    (tmp_path / "old").write_text(f"{KEY},{KEY}\n", encoding="utf-8")
    monkeypatch.setenv("TOCSIN_DATA_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("TOCSIN_DATA_KEYS_OLD_FILE", str(tmp_path / "old"))
    settings = Settings()
    assert settings.data_key.get_secret_value() == KEY
    assert len(settings.data_keys_old) == 2


@pytest.mark.parametrize("name", FROM_FILE)
def test_a_secret_file_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"TOCSIN_{name.upper()}_FILE", "/nowhere/x")
    with pytest.raises(BadSetting, match=f"^TOCSIN_{name.upper()}_FILE: /nowhere/x cannot be read"):
        Settings()


def test_a_secret_is_set_in_one_way_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_API_TOKEN", "a")
    monkeypatch.setenv("TOCSIN_API_TOKEN_FILE", "/nowhere/x")
    with pytest.raises(BadSetting, match="TOCSIN_API_TOKEN and TOCSIN_API_TOKEN_FILE are both set"):
        Settings()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DATA_KEY", "c2hvcnQ=", "TOCSIN_DATA_KEY: is a key of 5 bytes, not of 32; make one: openssl rand -base64 32"),
        ("DATA_KEYS_OLD", f"{KEY},xx", "TOCSIN_DATA_KEYS_OLD: is not urlsafe base64"),
        ("BIND", "8080", "TOCSIN_BIND: is not host:port, such as 0.0.0.0:8080 or [::]:8080"),
        ("PUBLIC_URL", "tocsin.example.com", "TOCSIN_PUBLIC_URL: is not an http:// or https:// address"),
        ("MAX_BODY_BYTES", "5", "TOCSIN_MAX_BODY_BYTES: Input should be greater than or equal to 1000"),
        ("LOG_LEVEL", "loud", "TOCSIN_LOG_LEVEL: Input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
    ],
)
def test_a_bad_value_is_told_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"TOCSIN_{name}", value)
    with pytest.raises(BadSetting) as refused:
        Settings()
    assert str(refused.value).startswith(said)
    assert KEY not in str(refused.value)


def test_what_is_missing_is_told_with_its_remedy() -> None:
    with pytest.raises(BadSetting) as refused:
        Settings().require("database_url", "data_key", "public_url")
    assert str(refused.value).splitlines() == [
        "TOCSIN_DATABASE_URL (or TOCSIN_DATABASE_URL_FILE) is not set; such as postgresql://tocsin:…@db/tocsin, or run "
        "`tocsin up`, which brings its own database",
        "TOCSIN_DATA_KEY (or TOCSIN_DATA_KEY_FILE) is not set; make one: openssl rand -base64 32",
    ]


def test_no_repr_shows_a_secret() -> None:
    url = "postgresql://tocsin:s3cret@db/tocsin"
    settings = Settings(database_url=url, redis_url="redis://:s3cret@r/0", data_key=KEY, api_token="s3cret")
    assert settings.require("database_url") is settings
    assert "s3cret" not in repr(settings)
    assert KEY not in repr(settings)


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_ipv6_binds_too() -> None:
    assert (Settings(bind="[::1]:9000").host, Settings(bind="[::1]:9000").port) == ("::1", 9000)
