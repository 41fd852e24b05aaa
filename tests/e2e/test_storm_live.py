"""Does a thousand webhooks from several senders at once end in one record an outage?"""

from __future__ import annotations

import time

import pytest

from tests.e2e.company import services
from tests.e2e.stack import Stack
from tests.e2e.storm import Storm, audit, incidents_of, settle

pytestmark = pytest.mark.e2e


def test_a_thousand_webhooks_end_in_one_record_an_outage(stack: Stack) -> None:
    hit = services("storm")
    began = time.monotonic()
    with Storm(stack, hit, turns=17) as storm:
        pass
    posted_s = time.monotonic() - began
    settled_s = settle(stack, "storm", incidents=len(hit))
    print(f"\n{storm.posted} webhooks in {posted_s:.1f} s, all delivered {settled_s:.1f} s later")

    assert (storm.posted, set(storm.statuses), storm.failed) == (1020, {202}, [])
    assert len(incidents_of(stack, "storm")) == len(hit)
    audit(stack)
