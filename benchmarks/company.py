"""A made-up company of 165 catalogue entries, and the alerts that its monitors send."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

SECRET = "secret-of-the-benchmark"
ROUTING_KEY = "b" * 32
SYSTEMS = 33
"""Islands of five entries: an API, a worker and a model, on a host and a queue. 33 × 5 = 165."""

SYMPTOMS = ("HighLatency", "ErrorBudgetBurn", "TargetDown", "QueueBacklog", "CpuSaturated", "PodCrashLooping")
REGIONS = ("eu-west-1", "us-east-1")


def api(system: int) -> str:
    return f"api-{system:02d}"


def worker(system: int) -> str:
    return f"worker-{system:02d}"


def write_mappings(directory: Path, *, servicenow: str, pagerduty: str) -> None:
    """The company's mapping files; `servicenow` and `pagerduty` are the addresses of their simulators."""
    directory.mkdir(mode=0o755)
    entries: dict[str, dict[str, object]] = {"services": {}, "models": {}, "hosts": {}, "queues": {}}
    for n in range(SYSTEMS):
        entries["services"][api(n)] = {"depends_on": [f"service:{worker(n)}", f"model:scorer-{n:02d}"]}
        entries["services"][worker(n)] = {"depends_on": [f"host:db-{n:02d}", f"queue:events-{n:02d}"]}
        entries["models"][f"scorer-{n:02d}"] = {"version": "1", "criticality": "high", "risk": "high"}
        entries["hosts"][f"db-{n:02d}"] = {}
        entries["queues"][f"events-{n:02d}"] = {}
    password = {"password": {"env": "BENCH_PASSWORD"}, "max_new_per_hour": 1_000_000}
    told = {
        **entries,
        "teams": {
            "platform": {
                "title": "Platform",
                "owns": ["service:*", "host:*", "queue:*", "model:*"],
                "destinations": {"servicenow": {"assignment_group": "Platform"}, "pagerduty": {"routing_key": "main"}},
            }
        },
        "hooks": {
            name: {"source": source, "environment": "production", "secret": {"env": "BENCH_SECRET"}}
            for name, source in (("prometheus", "alertmanager"), ("changes", "native_change"))
        },
        "connectors": {
            "servicenow": {"kind": "servicenow", "url": servicenow, "username": "admin", **password},
            "pagerduty": {
                "kind": "pagerduty",
                "url": pagerduty,
                "routing_keys": {"main": {"env": "BENCH_ROUTING_KEY"}},
                # one key gets 600 pages a minute; PagerDuty takes about 120: our pacing for that is not the measure
                "events_per_minute": 10_000,
                "max_new_per_hour": 1_000_000,
            },
        },
        "policies": {
            "catch_all": "platform",
            "defaults": {"page": ["pagerduty", "servicenow"], "ticket": ["servicenow"]},
            "severities": {"*": {"major": "error"}},
            "routes": [{"name": "page-for-services", "want": "page", "when": {"severity": "error"}}],
        },
    }
    (directory / "company.yaml").write_bytes(orjson.dumps(told))  # JSON is YAML


def bodies(systems: Sequence[int], *, count: int, alerts: int, run: str, now: datetime) -> Iterator[bytes]:
    """`count` Alertmanager bodies of `alerts` alerts each, spread over these systems; every alert is a new one, told
    apart by its pod, whose name holds `run`."""
    for n in range(count):
        system = systems[n % len(systems)]
        name = SYMPTOMS[n // len(systems) % len(SYMPTOMS)]
        labels = [
            {
                "alertname": name,
                "service": api(system) if k % 2 == 0 else worker(system),
                "instance": f"pod-{run}-{n}-{k}",
                "severity": "major",
                "region": REGIONS[k % 2],
                "environment": "Production",
            }
            for k in range(alerts)
        ]
        yield body(labels, starts_at=now)


def outages(*, count: int, run: str, now: datetime) -> list[tuple[str, bytes]]:
    """A steady stream of small troubles: every fifth body opens an incident of its own (it comes with the service's
    name), the next four report further pods of it. Alertmanager, one alert each."""
    found = []
    for n in range(count):
        word = _word(f"{run}", n // 5)
        labels = {
            "alertname": f"{word}Down",
            "service": f"shop-{word.lower()}",
            "instance": f"pod-{n % 5}",
            "severity": "major",
        }
        found.append((labels["service"] if n % 5 == 0 else "", body([labels], starts_at=now)))
    return found


def body(labels: Sequence[dict[str, str]], *, starts_at: datetime) -> bytes:
    """An Alertmanager webhook, version 4, of firing alerts with these labels: about 2 KB for two alerts."""
    common = {name: value for name, value in labels[0].items() if all(one.get(name) == value for one in labels)}
    alerts = [
        {
            "status": "firing",
            "labels": {**one, "cluster": "main", "job": f"{one['service']}-metrics", "prometheus": "monitoring/k8s"},
            "annotations": {
                "summary": f"{one['alertname']} on {one['service']} ({one['instance']})",
                "description": "The figure has been above its limit for five minutes; the dashboard shows its course.",
                "dashboard_url": f"https://grafana.example.com/d/{one['service']}/overview?orgId=1&from=now-6h&to=now",
                "runbook_url": f"https://wiki.example.com/runbooks/{one['service']}",
                "value": "0.93",
            },
            "startsAt": starts_at.isoformat(),
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": f"https://prometheus.example.com/graph?g0.expr=up%7Bservice%3D%22{one['service']}%22%7D",
            "fingerprint": f"{hash((one['service'], one['instance'], one['alertname'])) & (1 << 64) - 1:016x}",
        }
        for one in labels
    ]
    return orjson.dumps(
        {
            "receiver": "tocsin",
            "status": "firing",
            "alerts": alerts,
            "groupLabels": {"alertname": labels[0]["alertname"]},
            "commonLabels": common,
            "commonAnnotations": {},
            "externalURL": "https://alertmanager.example.com",
            "version": "4",
            "groupKey": f'{{}}:{{alertname="{labels[0]["alertname"]}"}}',
            "truncatedAlerts": 0,
        }
    )


def deployments(*, now: datetime) -> bytes:
    """A body for the changes hook: one deployment of every third system's worker, minutes ago."""
    changes = [
        {
            "kind": "service.deployed",
            "subject": f"service:{worker(n)}",
            "id": f"deploy-{n}-{now.timestamp():.0f}",
            "occurred_at": (now - timedelta(minutes=3 + n)).isoformat(),
            "outcome": "success",
            "version": "2.1",
        }
        for n in range(0, SYSTEMS, 3)
    ]
    return orjson.dumps({"changes": changes})


def utc_now() -> datetime:
    """The moment at which the senders' alerts start."""
    return datetime.now(UTC)


def _word(run: str, number: int) -> str:
    """A word of letters only, another for each number: grouping masks digits, so these share no word."""
    letters = ""
    for _ in range(4):
        number, rest = divmod(number, 26)
        letters += chr(ord("a") + rest)
    return f"{run}{letters}".capitalize()
