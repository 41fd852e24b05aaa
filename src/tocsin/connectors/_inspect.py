"""What does doctor ask of every vendor alike: the way there, the certificate, the login, the clock, names, hooks?"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import certifi

from tocsin.connectors._connector import Connection
from tocsin.connectors._http import Failure, Http, Reply
from tocsin.domain.record import Reason
from tocsin.domain.seen import Finding, Grade, Inspection

MAX_SKEW_S = 60
"""A vendor's clock further away than this makes times in tickets wrong and signatures too old."""
CERTIFICATE_SOON = timedelta(days=14)
SHOWN_NAMES = 12
UNTESTED_WRITE = (
    "Whether records can be created cannot be seen without creating one: `tocsin doctor --probe-write` does"
)


def ok(check: str, value: object = "", says: str = "") -> Finding:
    """Looked at and found right."""
    return Finding(grade=Grade.OK, check=check, value=str(value), says=says)


def note(check: str, value: object = "", says: str = "", remedy: str = "") -> Finding:
    """Could not be looked at, or worth knowing."""
    return Finding(grade=Grade.NOTE, check=check, value=str(value), says=says, remedy=remedy)


def warning(check: str, value: object, says: str, remedy: str) -> Finding:
    """Records arrive, but not as the mappings say."""
    return Finding(grade=Grade.WARNING, check=check, value=str(value), says=says, remedy=remedy)


def error(check: str, value: object, says: str, remedy: str) -> Finding:
    """Records would fail or land wrong."""
    return Finding(grade=Grade.ERROR, check=check, value=str(value), says=says, remedy=remedy)


class Look:
    """One inspection's way of asking: every call with a deadline of its own, GET only; and how late it is by now."""

    def __init__(self, http: Http, now: datetime) -> None:
        self._http = http
        self._started_at, self._started_s = now, time.monotonic()
        self.calls = 0

    @property
    def now(self) -> datetime:
        """The inspection's moment, moved on by the time that it has taken."""
        return self._started_at + timedelta(seconds=time.monotonic() - self._started_s)

    def attempt(self) -> Http:
        """The client with a fresh deadline: for calls that a connector's own functions make."""
        self.calls += 1
        return self._http.attempt(self.now)

    def get(self, url: str, *, headers: Mapping[str, str], params: Mapping[str, str] | None = None) -> Reply | Failure:
        """One GET."""
        return self.attempt().call("GET", url, idempotent=True, headers=headers, params=params)


def way_there(config: Connection, url: str, *, now: datetime) -> Iterator[Finding]:
    """Can the host be reached, and how long is its certificate good? An error of `reach` ends an inspection."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if config.proxy is not None:
        yield note("reach", host, "Reached through the proxy; its certificate is looked at by each call, not here")
        return
    try:
        with socket.create_connection((host, port), timeout=config.connect_timeout_s) as plain:
            if parts.scheme == "http":
                yield note("reach", f"{host}:{port}", "Answers; http:// has no certificate")
                return
            expires_at = _expiry(plain, host, config.ca_bundle)
    except ssl.SSLCertVerificationError as wrong:
        remedy = "if the vendor's certificate is signed by your own CA, name its file in ca_bundle; never switch it off"
        yield error("reach", host, f"Its certificate is not accepted: {wrong.verify_message}", remedy)
    except OSError as away:
        reason = away.strerror or type(away).__name__
        remedy = "check the address, DNS and the firewall; set proxy if this network needs one"
        yield error("reach", f"{host}:{port}", f"Cannot be reached: {reason}", remedy)
    else:
        yield _certificate(host, expires_at, now)


def _expiry(plain: socket.socket, host: str, ca_bundle: Path | None) -> datetime:
    context = ssl.create_default_context(cafile=str(ca_bundle or certifi.where()))
    with context.wrap_socket(plain, server_hostname=host) as secured:
        held = secured.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(held["notAfter"])), UTC)


def _certificate(host: str, expires_at: datetime, now: datetime) -> Finding:
    value = f"{host}, until {expires_at:%Y-%m-%d}"
    if expires_at - now > CERTIFICATE_SOON:
        return ok("reach", value)
    says = f"Its certificate ends in {max(0, (expires_at - now).days)} days; then nothing is delivered"
    return warning("certificate", value, says, "have it renewed, or tell the vendor")


_LOGIN = {
    Reason.UNAUTHORIZED: ("The login is refused", "correct the user and the secret, then `tocsin apply`"),
    Reason.FORBIDDEN: (
        "The login is right, but may not do this",
        "give the integration's user the roles that the how-to page lists",
    ),
    Reason.BAD_ANSWER: (
        "A web page came instead of the API's answer: the instance sleeps, is being upgraded, or single sign-on stands "
        "in front of its API",
        "open the address in a browser; wake the instance, or except the API from single sign-on",
    ),
    Reason.UNREACHABLE: ("Cannot be reached", "check the address, DNS and the firewall; set proxy if needed"),
    Reason.TIMEOUT: ("No answer in time", "check the vendor's status page; raise read_timeout_s if it is always slow"),
    Reason.RATE_LIMITED: ("The rate limit is used up", "wait, or ask the vendor's administrator for a higher limit"),
    Reason.GONE: ("The address does not exist there", "correct url: it is the root, without /api or /rest"),
}


def refused(check: str, failure: Failure) -> Finding:
    """What it means that a needed call failed, and what to do: a 401 is another fault than a 403."""
    says, remedy = _LOGIN.get(
        failure.reason, ("The vendor answers with an error", "look at its status page, and at its words here")
    )
    value = str(failure.status) if failure.status else str(failure.reason)
    return error(check, value, f"{says}: {failure.detail}" if failure.detail else says, remedy)


def clock(headers: Mapping[str, str], now: datetime) -> Finding | None:
    """How far the vendor's clock and ours are apart, by its Date header (RFC 9110 §6.6.1: whole seconds)."""
    try:
        there = parsedate_to_datetime(headers.get("Date", ""))
    except ValueError:
        return None
    skew_s = (there - now).total_seconds()
    value = f"{abs(skew_s):.0f} s"
    if abs(skew_s) <= MAX_SKEW_S:
        return ok("clock", value)
    way = "ahead of" if skew_s > 0 else "behind"
    says = f"The vendor's clock is {value} {way} ours: times in tickets are wrong, people's changes look old"
    return warning(
        "clock", value, says, "start NTP (chrony, systemd-timesyncd) where Tocsin runs; look at the vendor's too"
    )


def by_value(addresses: Mapping[str, Mapping[str, str]], field: str) -> dict[str, list[str]]:
    """What teams give for this address field → the teams, sorted."""
    found: dict[str, list[str]] = {}
    for team, address in sorted(addresses.items()):
        if address.get(field):
            found.setdefault(address[field], []).append(team)
    return found


def used_by(inspection: Inspection, teams: Iterable[str]) -> str:
    """`team ml (teams/ml.yaml:3), team fraud`: whose files to mend."""
    said = []
    for team in teams:
        origin = inspection.origins.get(f"team:{team}", "")
        said.append(f"team {team} ({origin})" if origin else f"team {team}")
    return ", ".join(said)


def some(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")
