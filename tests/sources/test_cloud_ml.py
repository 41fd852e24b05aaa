"""Cloud ML platforms: signatures, handshakes, one thing told several times, firing and ended under one fingerprint."""

from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest

from tests.sources.reading import FIXTURES, companion, hook_of, message_of
from tocsin.domain.alert import Status
from tocsin.domain.change import ChangeOutcome
from tocsin.domain.message import Message, Normalized, Receipt
from tocsin.sources import find

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = "s3cret"


def sent(source: str, body: Any, headers: dict[str, str] | None = None) -> Message:
    return message_of(orjson.dumps(body), hook_of(source), NOW, headers)


def read(source: str, body: Any, *, model: str = "") -> Normalized:
    hook = hook_of(source, defaults={"model": model} if model else None)
    return find(source).normalize(message_of(orjson.dumps(body), hook, NOW), hook)


def fixture(source: str, name: str) -> Any:
    return orjson.loads((FIXTURES / source / f"{name}.json").read_bytes())


def signature(body: bytes) -> bytes:
    return hmac.new(SECRET.encode(), body, "sha256").digest()


@pytest.mark.parametrize(
    "spelling",
    [lambda d: d.hex(), lambda d: f"sha256={d.hex()}", lambda d: base64.b64encode(d).decode()],
    ids=["hex", "prefixed", "base64"],
)
def test_a_body_that_wandb_signed_verifies_until_a_byte_changes(spelling: Any) -> None:
    body = b'{"event_type": "LINK_ARTIFACT"}'
    headers = {"X-Wandb-Signature": spelling(signature(body))}
    verify = find("wandb").verify
    assert verify(message_of(body, hook_of("wandb"), NOW, headers), ("old", SECRET)).verdict == "verified"
    assert verify(message_of(body + b" ", hook_of("wandb"), NOW, headers), (SECRET,)).verdict == "refused"
    assert verify(message_of(body, hook_of("wandb"), NOW, headers), ("old",)).verdict == "refused"


def test_a_registry_webhook_of_databricks_verifies_by_its_signature() -> None:
    body = b'{"event": "MODEL_VERSION_CREATED"}'
    headers = {"X-Databricks-Signature": signature(body).hex()}
    verify = find("databricks").verify
    assert verify(message_of(body, hook_of("databricks"), NOW, headers), (SECRET,)).verdict == "verified"
    assert verify(message_of(body + b" ", hook_of("databricks"), NOW, headers), (SECRET,)).verdict == "refused"


@pytest.mark.parametrize("name", ["sagemaker", "aws_eventbridge", "vertex_ai", "azure_ml", "databricks", "wandb"])
def test_a_shared_secret_verifies_where_the_vendor_signs_nothing(name: str) -> None:
    verify = find(name).verify
    assert verify(sent(name, {}, {"Authorization": f"Bearer {SECRET}"}), ("old", SECRET)).verdict == "verified"
    assert verify(sent(name, {}, {"Authorization": "Bearer other"}), (SECRET,)).verdict == "refused"


def test_event_grid_gets_its_validation_code_back() -> None:
    receipt = Receipt(id=UUID("01934c2f-0000-7000-8000-000000000002"), hook="azure-ml")
    answer = find("azure_ml").answer
    handshake = answer(sent("azure_ml", fixture("azure_ml", "subscription_validation")), receipt)
    assert (handshake.status, handshake.body) == (
        200,
        {"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"},
    )
    assert answer(sent("azure_ml", fixture("azure_ml", "model_registered")), receipt).status == 202
    broken = message_of(b"[Microsoft.EventGrid.SubscriptionValidationEvent", hook_of("azure_ml"), NOW)
    assert answer(broken, receipt).status == 202


@pytest.mark.parametrize(
    ("source", "firing", "ended", "model"),
    [
        ("sagemaker", "pipeline_failed", "pipeline_failed", ""),
        ("aws_eventbridge", "ecs_service_cannot_place_tasks", "ecs_service_steady_again", ""),
        ("databricks", "job_failed", "job_passed", ""),
        ("databricks", "sql_alert_triggered", "sql_alert_ok", ""),
        ("azure_ml", "monitor_broke", "monitor_passed", "churn"),
        ("azure_ml", "run_failed", "run_completed", ""),
    ],
)
def test_what_ends_an_alert_has_its_fingerprint(source: str, firing: str, ended: str, model: str) -> None:
    before = read(source, fixture(source, firing), model=model).alerts[0]
    body = fixture(source, ended)
    if ended == firing:
        body["detail"]["currentPipelineExecutionStatus"] = "Succeeded"
    after = read(source, body, model=model).alerts[0]
    assert (before.status, after.status) == (Status.FIRING, Status.RESOLVED)
    assert before.fingerprint == after.fingerprint


def test_a_constraint_that_holds_again_ends_its_alert() -> None:
    body = fixture("sagemaker", "data_quality_with_constraints")
    fired = next(a for a in read("sagemaker", body).alerts if a.status is Status.FIRING)
    body["report"]["violations"] = []
    ended = [a for a in read("sagemaker", body).alerts if a.fingerprint == fired.fingerprint]
    assert [a.status for a in ended] == [Status.RESOLVED]


def test_all_events_of_one_run_are_one_change() -> None:
    pipeline = fixture("aws_eventbridge", "pipeline_failed")
    stage = fixture("aws_eventbridge", "stage_goes_on")
    ended, running = (read("aws_eventbridge", body).changes[0] for body in (pipeline, stage))
    assert ended.id == running.id
    assert (ended.outcome, running.outcome) == (ChangeOutcome.FAILURE, ChangeOutcome.RUNNING)
    assert running.finished_at is None
    started, failed = (
        read("databricks", fixture("databricks", name)).changes[0] for name in ("job_started", "job_failed")
    )
    assert started.id == failed.id


def test_one_event_through_three_doors_is_one_change() -> None:
    event = fixture("sagemaker", "model_package_approved")
    records = {"Records": [{"messageId": "m", "body": orjson.dumps(event).decode()}]}
    through_sns = {"Type": "Notification", "MessageId": "n", "Message": orjson.dumps(event).decode()}
    doors = [event, records, through_sns, [event]]
    assert {read("sagemaker", body).changes[0].id for body in doors} == {read("aws_eventbridge", event).changes[0].id}


def test_alerts_of_a_batch_keep_their_order() -> None:
    fired, ended = (
        fixture("aws_eventbridge", name) for name in ("ecs_service_cannot_place_tasks", "ecs_service_steady_again")
    )
    assert [a.status for a in read("aws_eventbridge", [fired, ended]).alerts] == [Status.FIRING, Status.RESOLVED]


def test_drift_reads_the_same_from_four_clouds() -> None:
    told = [
        read("sagemaker", fixture("sagemaker", "data_quality_violations"), model="churn"),
        read("vertex_ai", fixture("vertex_ai", "skew_of_two_features"), model="churn"),
        read("databricks", fixture("databricks", "drift_table_rows"), model="churn"),
    ]
    firing = [next(a for a in said.alerts if a.status is Status.FIRING) for said in told]
    assert {(a.subject, a.symptom, a.metric) for a in firing} == {("feature:tenure_days", "feature_drift", "drift")}
    assert all(a.labels["model"] == "churn" and a.observed and a.threshold for a in firing)


def test_the_senders_ids_are_those_of_event_and_delivery() -> None:
    grid = fixture("azure_ml", "model_registered")
    assert find("azure_ml").message_id(sent("azure_ml", grid)) == "g-1"
    assert find("azure_ml").message_id(sent("azure_ml", grid * 2)) == ""
    pushed = fixture("vertex_ai", "attribution_drift_by_pubsub")
    assert find("vertex_ai").message_id(sent("vertex_ai", pushed)) == "881"
    batch = fixture("cloudevents", "a_batch")
    assert find("cloudevents").message_id(sent("cloudevents", batch)) == ""
    assert find("cloudevents").message_id(sent("cloudevents", batch[0])) == "/ml/monitor#c-1"


def test_binary_mode_reads_as_structured_mode_does() -> None:
    headers = companion(FIXTURES / "cloudevents" / "binary_mode.json", "headers")
    data = fixture("cloudevents", "binary_mode")
    hook = hook_of("cloudevents")
    binary = find("cloudevents").normalize(message_of(orjson.dumps(data), hook, NOW, headers), hook)
    context = {name[3:].lower(): value for name, value in headers.items() if name.lower().startswith("ce-")}
    assert binary == read("cloudevents", {**context, "data": data})
