"""`tocsin simulate` as a process, over HTTP and HTTPS."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import requests
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tocsin.cli.simulate import simulate


@contextmanager
def running(*arguments: str) -> Iterator[str]:
    """The command as a child process; gives the line that it prints once it serves."""
    command = [sys.executable, "-c", "from tocsin.cli.simulate import simulate; simulate()", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            yield child.stdout.readline()
        finally:
            child.terminate()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


def test_it_serves_https_with_a_seed(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    seed = tmp_path / "seed.json"
    seed.write_text(json.dumps({"sys_user_group": ["Search"]}))
    options = ["--tls-cert", str(cert), "--tls-key", str(key), "--seed", str(seed), "--user", "u", "--password", "p"]
    with running("servicenow", *options) as line:
        url = line.split()[2]
        assert url.startswith("https://127.0.0.1:")
        answer = requests.get(f"{url}/api/now/table/sys_user_group", auth=("u", "p"), verify=str(cert), timeout=5)
        assert "Search" in [row["name"] for row in answer.json()["result"]]
        requests.post(f"{url}/__faults", json={"fault": "commit_then_drop"}, verify=str(cert), timeout=5)
        try:
            requests.post(f"{url}/api/now/table/incident", json={}, auth=("u", "p"), verify=str(cert), timeout=5)
        except requests.ConnectionError:
            pass
        else:
            raise AssertionError("the connection was answered")
        state = requests.get(f"{url}/__state", verify=str(cert), timeout=5).json()
        assert len(state["incident"]) == 1


def test_a_seed_that_does_not_fit_is_named(tmp_path: Path) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text('{"groups": "Search"}')
    result = CliRunner().invoke(simulate, ["servicenow", "--seed", str(seed)])
    assert result.exit_code == 1
    assert "seed.json: groups: must be a list" in result.output


def test_certificate_and_key_go_together(tmp_path: Path) -> None:
    cert, _ = certificate(tmp_path)
    assert CliRunner().invoke(simulate, ["jira", "--tls-cert", str(cert)]).exit_code == 2
