"""The measures: each drives a fresh installation and answers figures."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import orjson
import psutil

from benchmarks import alerta
from benchmarks.company import SYSTEMS, bodies, deployments, outages, utc_now
from benchmarks.installation import HOOK, Installation, TooSlowError, installation, wait_until
from benchmarks.report import Figure, at_least, below
from benchmarks.sending import Posted, Rate, post_all, rate_of, wrk

ROUNDS = 3
SYSTEMS_A_ROUND = SYSTEMS // ROUNDS
WEBHOOKS, ALERTA_WEBHOOKS = 2000, 200
STORM = 5000
STEADY_PER_S, STEADY_S = 50, 60
MAX_MB = {"web": 100, "worker": 250, "attribute": 400, "beat": 250}


# ------------------------------------------------------------------------------------------------------- receiver


def receiver() -> Iterator[Figure]:
    """Durable requests a second with the workers stopped."""
    with installation() as made, made.workers_stopped():
        for alerts, seconds, target in ((2, 8, 2500), (100, 6, 300)):
            rate, tool, size = _received(made, alerts, seconds)
            what = f"{alerts} alerts a request ({size / 1000:.1f} KB)"
            note = f"{tool}, 16 connections, {rate.requests:,} requests, {rate.refused} not answered 202"
            yield at_least("receiver", what, rate.per_second, target, "requests/s", note)
            if alerts == 2:
                yield below("receiver", f"{what}: p99", rate.p99_ms, 25, "ms", f"p50 {rate.p50_ms:.1f} ms")
            else:
                yield Figure(
                    measure="receiver", what=f"{what}: p50 / p99", value=f"{rate.p50_ms:.1f} / {rate.p99_ms:.1f} ms"
                )


def _received(made: Installation, alerts: int, seconds: int) -> tuple[Rate, str, int]:
    body = next(bodies([0], count=1, alerts=alerts, run="r", now=utc_now()))
    program = shutil.which("wrk")
    if program is None:
        posted = post_all(made.port, HOOK, [body] * (seconds * 600 if alerts == 2 else seconds * 200))
        return rate_of(posted), "Python generator (wrk is not installed)", len(body)
    wrk(program, made.port, HOOK, body, seconds=2, place=made.place)  # every thread has its connection
    return wrk(program, made.port, HOOK, body, seconds=seconds, place=made.place), "wrk", len(body)


# ----------------------------------------------------------------------------------------------------- end to end


def end_to_end() -> Iterator[Figure]:
    """Alerts a second from the webhook to the wanted record, without the comparison."""
    with installation() as made:
        _begin(made)
        yield _throughput([_round(made, n) for n in range(ROUNDS)])


def beside_alerta() -> Iterator[Figure]:
    """The same, alternating with Alerta on the same database server."""
    if not alerta.is_installed():
        yield from end_to_end()
        yield Figure(measure="alerta", what="ratio to Alerta", target="≥ 8 ×", met=None, note=alerta.MISSING)
        return
    ours, theirs = [], []
    with installation() as made:
        _begin(made)
        with alerta.alerta(made) as other:
            layout = other.layout
            for n in range(ROUNDS):
                theirs.append(_alerta_round(other, n))
                ours.append(_round(made, n))
    yield _throughput(ours)
    yield Figure(
        measure="alerta",
        what="alerts/s of Alerta, 2-alert Prometheus webhook",
        value=f"{statistics.median(theirs):,.0f} alerts/s",
        note=f"{alerta.VERSION}, {layout}; rounds {_listed(theirs)}",
    )
    ratio = statistics.median(ours) / statistics.median(theirs)
    yield at_least("alerta", "ratio to Alerta, medians of alternating rounds", ratio, 8, "×")


def _begin(made: Installation) -> None:
    """A warm-up that every process takes part in, and some deployments for causes to be found."""
    post_all(made.port, "/hooks/changes", [deployments(now=utc_now())])
    post_all(made.port, HOOK, [body for _, body in outages(count=50, run="warm", now=utc_now())])
    wait_until(lambda: made.unfinished() == 0, within_s=30, what="the warm-up")


def _round(made: Installation, number: int) -> float:
    systems = range(number * SYSTEMS_A_ROUND, (number + 1) * SYSTEMS_A_ROUND)
    sent = list(bodies(systems, count=WEBHOOKS, alerts=2, run=f"e{number}", now=utc_now()))
    began = time.monotonic()
    _all_taken(post_all(made.port, HOOK, sent))
    wait_until(lambda: made.undecided() == 0, within_s=60, what="a round", every_s=0.03)
    seconds = time.monotonic() - began
    wait_until(lambda: made.unfinished() == 0, within_s=30, what="a round's records")
    return 2 * WEBHOOKS / seconds


def _alerta_round(other: alerta.Alerta, number: int) -> float:
    systems = range(number * SYSTEMS_A_ROUND, (number + 1) * SYSTEMS_A_ROUND)
    sent = list(bodies(systems, count=ALERTA_WEBHOOKS, alerts=2, run=f"a{number}", now=utc_now()))
    before, began = other.alerts(), time.monotonic()
    _all_taken(post_all(other.port, alerta.WEBHOOK, sent, secret=""))
    seconds = time.monotonic() - began
    assert other.alerts() - before == 2 * ALERTA_WEBHOOKS, "Alerta has not kept every alert"
    return 2 * ALERTA_WEBHOOKS / seconds


def _throughput(rates: list[float]) -> Figure:
    return Figure(
        measure="end to end",
        what="received, deduplicated, grouped, cause looked for, records wanted",
        value=f"{statistics.median(rates):,.0f} alerts/s",
        note=f"{WEBHOOKS:,} webhooks of 2 alerts a round; rounds {_listed(rates)}",
    )


def _listed(rates: list[float]) -> str:
    return ", ".join(f"{rate:,.0f}" for rate in rates)


def _all_taken(posted: list[Posted]) -> None:
    refused = [one for one in posted if one.status >= 300]
    if refused:
        raise TooSlowError(
            f"{len(refused)} of {len(posted)} were refused: {refused[0].status} {refused[0].answer[:200]!r}"
        )


# ---------------------------------------------------------------------------------------------- storm and memory


def storm_and_memory(*, storm: bool = True, memory: bool = True) -> Iterator[Figure]:
    """A storm until every record stands; then what the processes weigh, and how they grow over a soak."""
    with installation() as made:
        _begin(made)
        figures = list(_storm(made))
        if storm:
            yield from figures
        if memory:
            yield from _memory(made)


def _storm(made: Installation) -> Iterator[Figure]:
    sent = list(bodies(range(SYSTEMS), count=STORM, alerts=2, run="s", now=utc_now()))
    began = time.monotonic()
    _all_taken(post_all(made.port, HOOK, sent))
    taken = time.monotonic() - began
    wait_until(lambda: made.unfinished() == 0, within_s=120, what="the storm")
    seconds = time.monotonic() - began
    wanted = {row["kind"]: row["n"] for row in made.sql("SELECT kind, count(*) AS n FROM records GROUP BY kind")}
    kept = {
        "servicenow": len(made.desk("servicenow", "state").get("incident", [])),
        "pagerduty": len(made.desk("pagerduty", "state")["incidents"]),
    }
    note = f"all answered after {taken:.1f} s; {kept['servicenow']} + {kept['pagerduty']} records"
    if wanted != kept:
        yield Figure(measure="storm", what="records as wanted", target=f"{wanted}", value=f"{kept}", met=False)
    yield below("storm", f"{STORM:,} webhooks, {2 * STORM:,} alerts, fully ticketed", seconds, 15, "s", note)


def _memory(made: Installation) -> Iterator[Figure]:
    before = _weights(made)
    for part, (rss, pss) in before.items():
        yield below("memory", f"{part}, largest process, after the storm", rss, MAX_MB[part], "MB", f"PSS {pss:.0f} MB")
    minutes = float(os.environ.get("SOAK", "3"))
    for n in range(max(1, round(minutes * 2))):
        sent = [body for _, body in outages(count=30 * STEADY_PER_S, run=f"k{chr(97 + n % 26)}", now=utc_now())]
        _all_taken(post_all(made.port, HOOK, sent, per_second=STEADY_PER_S))
    after = _weights(made)
    grown = {part: after[part][0] - rss for part, (rss, _) in before.items() if part in after}
    yield below(
        "memory",
        f"growth of the largest process over {minutes:g} min at {STEADY_PER_S} webhooks/s",
        max(grown.values()),
        max(20.0, minutes * 2),
        "MB",
        ", ".join(f"{part} {after[part][0]:.0f} MB ({grown[part]:+.0f})" for part in grown),
    )


def _weights(made: Installation) -> dict[str, tuple[float, float]]:
    """Part → RSS and PSS of its largest process, MB."""
    found = {}
    for part, members in made.parts().items():
        sizes = [member.memory_full_info() for member in members if _works(member)]
        largest = max(sizes, key=lambda size: size.rss)
        found[part] = (largest.rss / 1e6, largest.pss / 1e6)
    return found


def _works(process: psutil.Process) -> bool:
    return process.status() != psutil.STATUS_ZOMBIE


# --------------------------------------------------------------------------------------------------------- steady


def steady() -> Iterator[Figure]:
    """From a webhook to the vendor's call that creates its record."""
    with installation() as made:
        _begin(made)
        stream = outages(count=STEADY_PER_S * STEADY_S, run="st", now=utc_now())
        posted = post_all(made.port, HOOK, [body for _, body in stream], per_second=STEADY_PER_S)
        _all_taken(posted)
        wait_until(lambda: made.unfinished() == 0, within_s=60, what="the steady stream")
        waits = _waits(made, posted)
    ranked = sorted(waits)
    opened = sum(bool(service) for service, _ in stream)
    note = f"{STEADY_PER_S} webhooks/s for {STEADY_S} s, {opened} incidents, {len(ranked)} records"
    yield below("steady", "webhook → creating vendor call, p50", ranked[len(ranked) // 2], 0.7, "s", note)
    yield below("steady", "webhook → creating vendor call, p99", ranked[int(len(ranked) * 0.99)], 2.0, "s")


def _waits(made: Installation, posted: list[Posted]) -> list[float]:
    """Seconds from each opening webhook until the simulators got the call that creates its record."""
    due = {UUID(orjson.loads(one.answer)["receipt"]): one.at for one in posted}
    rows = made.sql(
        "SELECT a.message_id, r.kind, r.number, r.wanted->>'key' AS key FROM records r JOIN audit a"
        " ON a.incident_id = r.incident_id AND a.action = 'alert.joined' AND a.reason = 'opened'"
    )
    called = _creates(made)
    return [called[row["kind"], row["number"] if row["kind"] == "servicenow" else row["key"]] - due[row["message_id"]]
            for row in rows if row["message_id"] in due]  # fmt: skip


def _creates(made: Installation) -> dict[tuple[str, str], float]:
    """When the simulators got each creating call. ServiceNow numbers its incidents in the order of the calls."""
    at = {
        ("pagerduty", one["key"]): datetime.fromisoformat(one["created_at"]).timestamp()
        for one in made.desk("pagerduty", "state")["incidents"]
    }
    calls = [
        datetime.fromisoformat(call["at"]).timestamp()
        for call in made.desk("servicenow", "calls?method=POST")["calls"]
        if call["status"] == 201 and call["path"].startswith("/api/now/table/incident")
    ]
    numbers = sorted(row["number"] for row in made.desk("servicenow", "state")["incident"])
    return at | {("servicenow", number): moment for number, moment in zip(numbers, sorted(calls), strict=False)}
