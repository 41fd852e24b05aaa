"""Can we listen on this address, and does what listens there say that it is ready?"""

from __future__ import annotations

import http.client
import re
import socket
from dataclasses import dataclass

from tocsin.domain.errors import BadSetting

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  to ask ourselves, loopback will do


@dataclass(frozen=True, slots=True)
class Address:
    """Where the web part listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """For people on this machine, without a slash at the end."""
        host = self._near
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def _near(self) -> str:
        return EVERYWHERE.get(self.host, self.host)

    def refuse_taken(self) -> None:
        """Raises BadSetting when we could not listen here."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
                probe.listen(1)
            except OSError as error:
                raise BadSetting(
                    f"cannot listen on {self.host}:{self.port}: {error.strerror or error}. "
                    f"Stop what listens there (`ss -ltnp 'sport = :{self.port}'` names it), or choose another "
                    f"address: --bind {self.host}:{self.port + 1}"
                ) from None

    def answers(self, path: str, *, timeout_s: float = 2.0) -> int | None:
        """The status that GET `path` answers, None when nobody answers."""
        connection = http.client.HTTPConnection(self._near, self.port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


def address(text: str) -> Address:
    """Read `127.0.0.1:8080`, `[::1]:8080` or `:8080` (loopback). Raises BadSetting."""
    found = re.fullmatch(r"(?:\[(?P<six>[0-9a-fA-F:]+)\]|(?P<host>[^:\[\]]*)):(?P<port>\d{1,5})", text.strip())
    if found is None or not 0 < int(found["port"]) < 65_536:
        raise BadSetting(f"--bind {text!r} is no address: write host:port, such as 127.0.0.1:8080")
    return Address(found["six"] or found["host"] or "127.0.0.1", int(found["port"]))
