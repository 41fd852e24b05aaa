"""Does a promotion in a real MLflow registry become the likely cause of that model's next calibration alert?"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import pytest
import requests

from tests.cli.test_up import free_port
from tests.e2e.company import SECRET
from tests.e2e.stack import Stack, wait_until
from tests.e2e.storm import alertmanager

JUDGES = Path(os.environ.get("TOCSIN_JUDGES") or Path(__file__).parents[2] / ".venv-judges")
MLFLOW, PYTHON = JUDGES / "bin" / "mlflow", JUDGES / "bin" / "python"
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.judge,
    pytest.mark.skipif(not MLFLOW.exists(), reason=f"there is no {MLFLOW} (make judges; TOCSIN_JUDGES names another)"),
]
FIRST_START_S = 120.0  # half a minute on a quiet machine: MLflow makes its tables

PROMOTE = dedent("""
    import sys
    from mlflow import MlflowClient
    server, hook, secret = sys.argv[1:]
    registry = MlflowClient(tracking_uri=server, registry_uri=server)
    registry.create_webhook(name="tocsin", url=hook, secret=secret, events=[
        "registered_model.created", "model_version.created", "model_version_alias.created"])
    registry.create_registered_model("churn-scorer")
    version = registry.create_model_version("churn-scorer", source="s3://models/churn/2", run_id=None)
    registry.set_registered_model_alias("churn-scorer", "champion", version.version)
""")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """Address of an MLflow server of this test's own."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    # Both switches belong to the server: without them MLflow posts to public https addresses only.
    allowed = {"MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true"}
    command = [str(MLFLOW), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
               "--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db"]  # fmt: skip
    with (tmp_path / "mlflow.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, **allowed, "MLFLOW_DISABLE_TELEMETRY": "true"},
        )  # fmt: skip
        try:
            wait_until(lambda: answers(f"{address}/health"), FIRST_START_S, "MLflow is healthy")
            yield address
        finally:
            os.killpg(process.pid, 15)
            process.wait(20)


def answers(url: str) -> bool:
    """Is there a 200?"""
    try:
        return requests.get(url, timeout=2).status_code == 200
    except requests.RequestException:
        return False


def test_a_promotion_in_a_real_registry_is_named_as_the_likely_cause(stack: Stack, registry: str) -> None:
    subprocess.run(
        [PYTHON, "-c", PROMOTE, registry, f"{stack.address.url}/hooks/registry", SECRET],
        check=True, timeout=120, capture_output=True, env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
    )  # fmt: skip
    promoted_s = wait_until(lambda: promotions(stack), 30, "the promotion arrives as a change")
    [promotion] = promotions(stack)
    assert (promotion["subject"], promotion["version"]) == ("model:churn-scorer", "1")

    now = datetime.now(UTC)
    miscalibrated: dict[str, object] = {
        "status": "firing",
        "labels": {"alertname": "CalibrationError", "model": "churn-scorer", "severity": "critical"},
        "annotations": {"summary": "expected calibration error 0.19, allowed 0.05"},
        "startsAt": now.isoformat(),
    }
    assert stack.post("am", alertmanager([miscalibrated])).status_code == 202
    opened_s = wait_until(lambda: stack.ticket_of("churn-scorer"), 60, "the calibration alert is a ticket")
    ticket = stack.ticket_of("churn-scorer")
    assert ticket is not None
    assert "churn-scorer version 1 is now champion" in ticket["description"]
    print(
        f"\nMLflow: the promotion arrived in {promoted_s:.1f} s, its ticket was open {opened_s:.1f} s after the alert"
    )


def promotions(stack: Stack) -> list[dict[str, str]]:
    """Promotions of models that have arrived."""
    return [row["change"] for row in stack.sql("SELECT change FROM changes WHERE kind = 'model.promoted'")]
