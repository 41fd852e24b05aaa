"""Every way to log in, a proxy on the way, and no secret in what is kept."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from tests.connectors.builders import task, wanted
from tests.connectors.canned import Canned, canned
from tests.connectors.servicenow_desk import SEED, SERVICENOW, Desk
from tocsin import simulators
from tocsin.connectors import open_http
from tocsin.domain.record import Reason


@pytest.fixture(scope="module")
def running() -> Iterator[simulators.Running]:
    with simulators.start("servicenow", seed=SEED) as one:
        yield one


@pytest.fixture
def desk(running: simulators.Running) -> Desk:
    running.reset()
    return Desk(running)


def test_a_wrong_password_is_unauthorized_and_not_shown(desk: Desk) -> None:
    outcome = Desk(desk.running, password="wrong-pass-phrase").send(task())
    assert (outcome.result, outcome.reason) == ("rejected", Reason.UNAUTHORIZED)
    assert "wrong-pass-phrase" not in repr(outcome)


def test_an_api_key_logs_in(desk: Desk) -> None:
    key = Desk(desk.running, auth="api_key", api_key="tocsin", username="", password=None)
    assert key.send(task()).result == "done"


@pytest.mark.parametrize("auth", ["oauth_password", "oauth_client_credentials"])
def test_a_token_is_kept_and_renewed_once_when_it_has_ended(desk: Desk, auth: str) -> None:
    oauth = Desk(desk.running, auth=auth, client_id="admin", client_secret="tocsin")
    assert oauth.send(task()).result == "done"
    assert oauth.send(task(wanted=wanted(key="0" * 32))).result == "done"
    assert desk.calls("POST", "/oauth_token.do") == 1
    oauth.http.remember("token", SecretStr("ended"), for_s=60)
    assert oauth.send(task(wanted=wanted(key="9" * 32))).result == "done"
    assert desk.calls("POST", "/oauth_token.do") == 2


def granting(script: Canned, grants: list[str], *, refuse: str = "") -> None:
    """Answers a token request unless it is of the grant to be refused; everything else is 401 once."""
    asked = script.asked[-1]
    form = dict(pair.partition("=")[::2] for pair in asked.body.decode().split("&"))
    grants.append(form.get("grant_type", "none"))
    script.status = 200
    script.body = b'{"access_token": "a1", "refresh_token": "r1", "expires_in": 1800}'
    if form.get("grant_type") == refuse:
        script.status, script.body = 401, b'{"error": "server_error", "error_description": "access_denied"}'
    if "/api/" in asked.path:
        script.status, script.body = 401, b'{"error": {"message": "User Not Authenticated", "detail": ""}}'


@pytest.mark.parametrize(
    ("refuse", "grants"),
    [
        ("", ["password", "none", "refresh_token", "none"]),
        ("refresh_token", ["password", "none", "refresh_token", "password", "none"]),
    ],
)
def test_a_refresh_token_is_used_first_and_the_password_after(refuse: str, grants: list[str]) -> None:
    seen: list[str] = []
    with canned(answers=[lambda script: granting(script, seen, refuse=refuse)] * 9) as vendor:
        config = SERVICENOW.Config(
            url=vendor.url, auth="oauth_password", username="u", password="p", client_id="c", client_secret="s"
        )
        outcome = SERVICENOW.send(config, task(wanted=wanted(address={})), open_http(config, blip_wait_s=0))
    assert seen == grants
    assert (outcome.result, outcome.reason) == ("rejected", Reason.UNAUTHORIZED)


def test_tokens_are_in_no_outcome() -> None:
    def answer(script: Canned) -> None:
        script.status = 200
        script.body = b'{"access_token": "tok-3n-secret", "refresh_token": "ref-3sh-secret", "expires_in": 60}'
        if "/api/" in script.asked[-1].path:
            script.status = 400
            script.body = b'{"error": {"message": "Bearer tok-3n-secret", "detail": "ref-3sh-secret s3same"}}'

    with canned(answers=[answer] * 9) as vendor:
        config = SERVICENOW.Config(
            url=vendor.url, auth="oauth_client_credentials", client_id="c", client_secret="s3same"
        )
        http = open_http(config, blip_wait_s=0)
        outcome = SERVICENOW.send(config, task(wanted=wanted(address={})), http)
    assert outcome.result == "rejected"
    assert not [word for word in ("tok-3n", "ref-3sh", "s3same") if word in f"{outcome!r} {http!r} {config!r}"]


@pytest.mark.parametrize(
    ("auth", "missing"), [("api_key", "api_key"), ("client_certificate", "client_cert"), ("basic", "password")]
)
def test_what_a_login_needs_is_asked_for_at_load(auth: str, missing: str) -> None:
    with pytest.raises(ValueError, match=f"{missing}.*needed for auth: {auth}"):
        SERVICENOW.Config(url="https://desk.example.com", auth=auth, username="u")


# --- mutual TLS ---


def self_signed(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for this machine that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / f"{name}.pem", folder / f"{name}.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, private


@contextmanager
def asking_for_certificates(server: tuple[Path, Path], client: Path) -> Iterator[tuple[str, list[str]]]:
    """An https server that lets in one client certificate only, and the names of those who came in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*server)
    context.load_verify_locations(client)
    context.verify_mode = ssl.CERT_REQUIRED
    names: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    let_in(listening.accept()[0])

        def let_in(plain: socket.socket) -> None:
            with suppress(OSError), context.wrap_socket(plain, server_side=True) as secured:
                secured.recv(65_536)
                names.append(str((secured.getpeercert() or {})["subject"]))
                secured.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}", names


def test_a_client_certificate_is_shown_and_a_private_authority_trusted(tmp_path: Path) -> None:
    server, client = self_signed(tmp_path, "desk"), self_signed(tmp_path, "tocsin")
    with asking_for_certificates(server, client[0]) as (url, names):
        config = SERVICENOW.Config(
            url=url, auth="client_certificate", client_cert=client[0], client_key=client[1], ca_bundle=server[0]
        )
        outcome = SERVICENOW.send(config, task(external_id="1" * 32), open_http(config, blip_wait_s=0))
    assert outcome.calls >= 1
    assert "tocsin" in names[0]


def test_an_authority_that_is_not_named_is_not_trusted(tmp_path: Path) -> None:
    server, client = self_signed(tmp_path, "desk"), self_signed(tmp_path, "tocsin")
    with asking_for_certificates(server, client[0]) as (url, names):
        config = SERVICENOW.Config(url=url, auth="client_certificate", client_cert=client[0], client_key=client[1])
        outcome = SERVICENOW.send(config, task(), open_http(config, blip_wait_s=0))
    assert (outcome.result, outcome.reason, names) == ("retry", Reason.UNREACHABLE, [])


def test_a_certificate_file_that_is_missing_is_said(tmp_path: Path) -> None:
    gone = tmp_path / "gone.pem"
    config = SERVICENOW.Config(url="https://127.0.0.1:9", auth="client_certificate", client_cert=gone)
    outcome = SERVICENOW.send(config, task(), open_http(config, blip_wait_s=0))
    assert (outcome.result, outcome.reason) == ("retry", Reason.UNREACHABLE)
    assert "certificate file is missing" in outcome.detail


# --- proxies ---


@contextmanager
def listening_once() -> Iterator[tuple[str, list[bytes]]]:
    """A proxy that says no to whatever it is asked for."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        heard.append(connection.recv(4096).partition(b"\r\n")[0])
                        connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", heard


@pytest.mark.parametrize("by", ["config", "environment"])
def test_calls_go_through_the_proxy(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with listening_once() as (proxy, heard):
        options = {"proxy": proxy} if by == "config" else {}
        if by == "environment":
            monkeypatch.setenv("HTTPS_PROXY", proxy)
        config = SERVICENOW.Config(url="https://desk.example.com", username="u", password="p", **options)
        outcome = SERVICENOW.send(config, task(wanted=wanted(address={})), open_http(config, blip_wait_s=0))
    assert (outcome.result, outcome.reason) == ("retry", Reason.UNREACHABLE)
    assert heard[0].startswith(b"CONNECT desk.example.com:443 ")


def test_this_machine_is_never_called_through_a_proxy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening_once() as (proxy, heard):
        for name in ("HTTPS_PROXY", "HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy)
        assert desk.send(task()).result == "done"
    assert heard == []
