"""Look at a simulated vendor as doctor does, and ask what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tocsin import simulators
from tocsin.connectors import find, open_http
from tocsin.domain.seen import Finding, Grade, Inspection

NEEDED = (Grade.WARNING, Grade.ERROR)


@dataclass(frozen=True)
class Found:
    """All findings of one look, and the calls that it took."""

    findings: list[Finding]
    calls: list[Mapping[str, Any]] = field(default_factory=list)

    def of(self, check: str) -> list[Finding]:
        return [one for one in self.findings if one.check == check]

    def only(self, check: str) -> Finding:
        (one,) = self.of(check)
        return one

    def grades(self, check: str) -> list[Grade]:
        return [one.grade for one in self.of(check)]

    @property
    def errors(self) -> list[Finding]:
        return [one for one in self.findings if one.grade is Grade.ERROR]

    @property
    def methods(self) -> set[str]:
        return {call["method"] for call in self.calls}


def inspection(*, late: timedelta = timedelta(0), **given: Any) -> Inspection:
    """What the mappings ask; `late` sets our own clock wrong."""
    return Inspection(now=datetime.now(UTC) + late, **given)


def look(kind: str, config: Mapping[str, Any], asked: Inspection, running: simulators.Running | None = None) -> Found:
    """Everything that the connector finds out."""
    connector = find(kind)
    assert connector.inspect is not None
    made = connector.Config(**config)
    before = len(running.front.calls) if running else 0
    findings = list(connector.inspect(made, asked, open_http(made, blip_wait_s=0)))
    for one in findings:
        assert one.remedy or one.grade not in NEEDED, one
    calls: list[Mapping[str, Any]] = [*running.front.calls[before:]] if running else []
    return Found(findings, calls)


def certificate(directory: Path, *, days: int) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 that ends in so many days, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days, hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "cert.pem", directory / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths
