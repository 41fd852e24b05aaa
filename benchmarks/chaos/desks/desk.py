"""What the trial asks of every service desk."""

from __future__ import annotations

import copy
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import requests

from benchmarks.chaos.clock import Clock
from tocsin import simulators
from tocsin.simulators.faults import Plan, Plans, plan_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

SECRET = "chaosKeyThatNobodyMaySee01234567"
"""Password, token and routing key of the trial."""
FAULT_HEADER = "X-Chaos-Fault"
"""Carries the simulator's fault for just this request."""

LONG_AGO = datetime.min.replace(tzinfo=UTC)
Status = Literal["open", "resolved", "closed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One record at the vendor as it stands."""

    external_id: str
    number: str
    status: Status
    values: Mapping[str, str] = field(default_factory=dict)
    """Fields that we write and people edit."""
    notes: tuple[str, ...] = ()
    made_at: datetime = LONG_AGO
    """On the trial's clock, where the judge asks for it."""


class Desk(ABC):
    """One vendor's simulator with what the trial does to it as outsiders."""

    kind: str
    seed: ClassVar[Mapping[str, object]] = {}
    addresses: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    """Of the teams alpha and beta."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.running = simulators.start(self.kind, password=SECRET, seed=self.seed, clock=clock.now)
        self._ours = _OnePlan()
        self.running.front.plans = self._ours
        self.running.server.app = self._door
        self.session = requests.Session()
        self.session.trust_env = False
        self._foreign: dict[str, object] = {}
        self.chosen: dict[str, dict[str, str]] = {}
        """Key → field → the value that a person gave it last."""

    @property
    def url(self) -> str:
        return self.running.url

    def close(self) -> None:
        self.session.close()
        self.running.stop()

    def empty(self) -> None:
        """Nothing is left of the batch before."""
        self.running.reset()
        self._foreign, self.chosen = {}, {}

    def _door(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Gives the simulator the fault that travels with this request."""
        asked = environ.pop("HTTP_" + FAULT_HEADER.upper().replace("-", "_"), None)
        self._ours.next.plan = parsed(str(asked)) if asked else None
        return self.running.front(environ, start_response)

    # what people and others do

    def api(self, method: str, path: str, json: object = None, **more: Any) -> Any:  # noqa: ANN401 JSON
        """A call by somebody else; raises where the simulator refuses."""
        answer = self.session.request(method, self.url + path, json=json, timeout=30, **more)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    @abstractmethod
    def plant(self, key: str, title: str) -> None:
        """Put records of others beside the one that will carry this key: as alike as they can be."""

    @abstractmethod
    def parent(self, key: str) -> tuple[str, str]:
        """Put up the ticket of another incident of ours, which is not judged: the vendor's id and number."""

    @abstractmethod
    def person(self, edit: str, key: str) -> bool:
        """Somebody edits our record; False where there is none, or it cannot be done to it."""

    # what the judge reads

    def remember_foreign(self) -> None:
        """From now on the planted records must not change."""
        self._foreign = copy.deepcopy(self.foreign())

    def touched_foreign(self) -> list[str]:
        """Ids of planted records that are no longer as they were."""
        now = self.foreign()
        return [one for one, before in self._foreign.items() if now.get(one) != before]

    @abstractmethod
    def foreign(self) -> dict[str, object]:
        """The planted records by id, whole."""

    @abstractmethod
    def standings(self) -> dict[str, list[Standing]]:
        """All records by the key that they carry, oldest first."""

    @abstractmethod
    def role(self, method: str, path: str, body: Mapping[str, Any]) -> str:
        """What a request does: create, move, note, search, read; or look-up, whose answers workers remember."""

    @abstractmethod
    def destination(self) -> dict[str, object]:
        """The connector's entry in the mappings."""

    @property
    def password(self) -> str:
        return SECRET


class _OnePlan(Plans):
    """Of each request's own fault; the simulator asks in the thread that serves the request."""

    def __init__(self) -> None:
        super().__init__()
        self.next: Any = threading.local()

    def striking(self, method: str, path: str) -> Plan | None:
        return cast("Plan | None", getattr(self.next, "plan", None))


def parsed(text: str) -> Plan:
    """`kind after_s status` as a plan of the simulator."""
    kind, after_s, status = text.split()
    return plan_of({"fault": kind, "after_s": float(after_s), "status": int(status)}, plan_id=0)
