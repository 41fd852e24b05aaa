"""Outsiders judge our simulators and connectors: where they are, and how they are started.

`make judges` fetches them (Prism, jira.js and the ADF schema into node_modules, the vendors' clients into
.venv-clients); contract files come from TOCSIN_CONTRACTS. What is absent is skipped with the reason.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tocsin import simulators

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
START_S = 90
"""Prism needs 22 to 38 s for Jira's specification, and longer beside other work."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below this directory is a judge's test."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("judge")


@pytest.fixture(scope="session")
def contracts() -> Path:
    """The vendors' published contracts, which are no part of the product."""
    path = Path(os.environ.get("TOCSIN_CONTRACTS", ROOT.parent / "shared" / "contracts"))
    if not path.is_dir():
        pytest.skip(f"no vendor contracts at {path} (set TOCSIN_CONTRACTS)")
    return path


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The npm packages that `make judges` installs."""
    path = ROOT / "node_modules"
    if not path.is_dir():
        pytest.skip("no node_modules here (run `make judges`)")
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    return path


@dataclass(frozen=True, slots=True)
class Clients:
    """The virtual environment with the vendors' own clients."""

    path: Path
    certificate: Path

    def program(self, name: str) -> str:
        """One of its programs; skips when it is not there."""
        found = self.path / "bin" / name
        if not found.exists():
            pytest.skip(f"{name} is not in .venv-clients (run `make judges`)")
        return str(found)

    def run(self, *command: str, timeout_s: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs one of its programs, which trusts our certificate; never raises for a failing one."""
        trust = {name: str(self.certificate) for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")}
        return subprocess.run(
            [self.program(command[0]), *command[1:]],
            env={**os.environ, **trust, "PYTHONWARNINGS": "default", **environment},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            cwd=self.path.parent,
        )

    def script(self, text: str, *arguments: str, timeout_s: float = 120, **environment: str) -> str:
        """Runs Python in it and answers what it printed; fails the test with its words when it ends badly."""
        ended = self.run("python", "-c", text, *arguments, timeout_s=timeout_s, **environment)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout


@pytest.fixture(scope="session")
def clients(certificate: tuple[Path, Path]) -> Clients:
    """The vendors' clients that `make judges` installs."""
    path = ROOT / ".venv-clients"
    if not path.is_dir():
        pytest.skip("no .venv-clients here (run `make judges`)")
    return Clients(path, certificate[0])


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(certificate, key) for 127.0.0.1 and localhost, its own authority, good for a day."""
    place = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = place / "cert.pem", place / "key.pem"
    pem[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    pem[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem


Vendors = Callable[..., simulators.Running]


@pytest.fixture(scope="session")
def vendors(certificate: tuple[Path, Path]) -> Iterator[Vendors]:
    """Starts a simulator once per session: `vendors("jira")`, `vendors("servicenow", tls=True, seed={…})`. It is
    emptied whenever it is asked for; options count the first time."""
    running: dict[tuple[str, bool], simulators.Running] = {}
    with ExitStack() as stack:

        def vendor(kind: str, *, tls: bool = False, **options: object) -> simulators.Running:
            if (kind, tls) not in running:
                started = simulators.start(kind, tls=certificate if tls else None, **options)  # type: ignore[arg-type]
                running[kind, tls] = stack.enter_context(started)
            running[kind, tls].reset()
            return running[kind, tls]

        yield vendor


@dataclass(slots=True)
class Prism:
    """A proxy that checks every request and every answer against an OpenAPI document."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]
    read: int = field(default=0)

    def violations(self) -> list[str]:
        """What it found wrong since it was last asked, requests and answers alike: `request.body severity …`."""
        text = ""
        while len(text) < len(text := self.log.read_text(errors="replace")):  # it logs behind its answers
            time.sleep(0.2)
        new, self.read = text[self.read :], len(text)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", new)
        return [line.strip() for line in plain.splitlines() if "Violation:" in line]

    def checked(self) -> int:
        """How many answers it has checked in all."""
        return self.log.read_text(errors="replace").count("Forwarding")

    def stop(self) -> None:
        """Ends it and what it started."""
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


Proxies = Callable[[Path, str], Prism]


@pytest.fixture(scope="session")
def prism(node_modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxies]:
    """`prism(document, address)`: a Prism proxy in front of the address, started once per session and pair.

    Prism ignores the path of the document's servers: where they end in `/v2`, give `…/v2` as the address."""
    proxies: dict[tuple[Path, str], Prism] = {}

    def proxy(document: Path, address: str) -> Prism:
        if (document, address) not in proxies:
            log = tmp_path_factory.mktemp("prism") / f"{document.stem}.log"
            proxies[document, address] = _started(node_modules, document, address, log)
        proxies[document, address].violations()
        return proxies[document, address]

    yield proxy
    for one in proxies.values():
        one.stop()


def _started(node_modules: Path, document: Path, address: str, log: Path) -> Prism:
    program = node_modules / ".bin" / "prism"
    if not program.exists():
        pytest.skip("Prism is not in node_modules (run `make judges`)")
    port = _free_port()
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["node", str(program), "proxy", str(document), address, "-h", "127.0.0.1", "-p", str(port)],
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    started = Prism(f"http://127.0.0.1:{port}", log, process)
    ends_at = time.monotonic() + START_S
    while time.monotonic() < ends_at and process.poll() is None:
        if "is listening on" in log.read_text(errors="replace"):
            return started
        time.sleep(0.1)
    words = log.read_text(errors="replace")[-2000:]
    if process.poll() is None:
        started.stop()
    pytest.fail(f"Prism did not start within {START_S} s: {words}")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
