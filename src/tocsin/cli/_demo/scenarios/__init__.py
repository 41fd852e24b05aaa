"""The demo's stories, in the order in which they are told. Each lives in its own corner of the catalogue."""

from __future__ import annotations

from tocsin.cli._demo.producers import Clock
from tocsin.cli._demo.scenario import Scenario
from tocsin.cli._demo.scenarios.checkout import checkout
from tocsin.cli._demo.scenarios.fraud import fraud
from tocsin.cli._demo.scenarios.lost import lost
from tocsin.cli._demo.scenarios.noise import noise
from tocsin.cli._demo.scenarios.orders import orders
from tocsin.cli._demo.scenarios.provider import provider

TELLERS = (noise, orders, checkout, fraud, provider, lost)


def told(clock: Clock) -> list[Scenario]:
    """Every scenario, as it would have happened until now."""
    return [tell(clock) for tell in TELLERS]
