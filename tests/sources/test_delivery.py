"""Environments and services by name, and which deployments a hook takes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import orjson
import pytest
import yaml

from tests.sources.reading import bodies, hook_of, message_of
from tocsin.domain.change import ChangeKind
from tocsin.sources import find
from tocsin.sources._change_request import _Request
from tocsin.sources._delivery import (
    elsewhere,
    environment_in,
    environment_of_job,
    kind_of_run,
    version_of,
    what_it_deploys,
)
from tocsin.sources.argocd import _Template

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("checkout-prod", "production"),
        ("prod-eu", "production"),
        ("Deploy_Prod", "production"),
        ("staging-eu", "staging"),
        ("checkout-pre-production", "pre-production"),
        ("deploy to staging before production", "staging"),
        ("eu-west-1", ""),
        ("testimonials", ""),
        ("contest", ""),
        ("", ""),
    ],
)
def test_a_name_says_what_environment_it_is(name: str, said: str) -> None:
    assert environment_in(name) == said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("deploy-checkout-prod", "production"),
        ("deploy-test-runner", ""),
        ("deploy-test-runner-prod", "production"),
        ("deploy-runner-test", "test"),
        ("Deploy runner to test (blue)", "test"),
        ("Deploy_Staging", "staging"),
        ("staging-deploy", "staging"),
        ("deploy-review-service", ""),
        ("deploy-dev-portal", ""),
        ("contest", ""),
    ],
)
def test_a_jobs_name_says_where_it_deploys(name: str, said: str) -> None:
    assert environment_of_job(name) == said


@pytest.mark.parametrize(
    ("hook_environment", "name", "taken"),
    [
        ("production", "production", True),
        ("production", "eu-west-1", True),
        ("production", "staging", False),
        ("production", "", True),
        ("staging", "staging", True),
        ("staging", "eu-west-1", True),
        ("staging", "prod-eu", False),
        ("*", "staging", True),
    ],
)
def test_a_hook_takes_what_is_not_said_to_be_elsewhere(hook_environment: str, name: str, taken: bool) -> None:
    assert bool(elsewhere(name, hook_of("argocd", environment=hook_environment), listed="x")) is not taken


def test_listed_names_are_all_that_a_hook_takes() -> None:
    hook = hook_of("argocd", defaults={"argocd_environment": "eu, US"})
    assert not elsewhere("us", hook, listed="argocd_environment")
    assert elsewhere("production", hook, listed="argocd_environment")


@pytest.mark.parametrize(
    ("job", "service"),
    [
        ("deploy-checkout-prod", "checkout"),
        ("Deploy checkout to production", "checkout"),
        ("checkout-cd", "checkout"),
        ("Rollout - Ranker", "Ranker"),
        ("System - Deploy - Agent", "System - Agent"),
        ("deployer", "deployer"),
        ("deploy-test-runner", "test-runner"),
        ("my_service-deploy", "my_service"),
        ("ranker-prod-eu", "ranker"),
        ("ranker-prod-eu-west-1", "ranker"),
        ("checkout", "checkout"),
        ("production", "production"),
        ("deploy", "deploy"),
    ],
)
def test_a_jobs_name_says_what_it_deploys(job: str, service: str) -> None:
    assert what_it_deploys(job) == service


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("deploy-checkout", ChangeKind.SERVICE_DEPLOYED),
        ("Roll-out ranker", ChangeKind.SERVICE_DEPLOYED),
        ("rollback checkout", ChangeKind.SERVICE_ROLLEDBACK),
        ("Revert the deploy", ChangeKind.SERVICE_ROLLEDBACK),
        ("undeploy-preview", ChangeKind.BUILD_FINISHED),
        ("unit tests", ChangeKind.BUILD_FINISHED),
        ("scroll back test", ChangeKind.BUILD_FINISHED),
    ],
)
def test_a_runs_name_says_what_it_does(name: str, kind: ChangeKind) -> None:
    assert kind_of_run(name, otherwise=ChangeKind.BUILD_FINISHED) is kind


def test_a_release_is_the_version_else_the_commit() -> None:
    assert version_of("refs/tags/v1.4.2", "abc") == "v1.4.2"
    assert version_of("main", "4be1a9c0d2f35b6e") == "4be1a9c0d2f3"
    assert version_of("refs/heads/main", "") == "main"


def test_a_travis_form_says_what_its_json_says() -> None:
    body = next(body for body in bodies("travis") if body.stem == "passed").read_bytes()
    hook = hook_of("travis")
    form = urlencode({"payload": body.decode()}).encode()
    plain = find("travis").normalize(message_of(body, hook, NOW), hook)
    assert find("travis").normalize(message_of(form, hook, NOW), hook) == plain


@pytest.mark.parametrize(
    ("source", "first", "then"),
    [
        ("gitlab", "deployment_running", "deployment_success"),
        ("gitlab", "tag_pushed", "release_created"),
        ("jenkins", "notification_started_with_status_before", "notification_finalized_unstable"),
        ("jenkins", "notification_completed", "notification_finalized_unstable"),
        ("spinnaker", "pipeline_starting", "pipeline_complete"),
        ("argocd", "whole_application_running", "whole_application_succeeded"),
        ("flux", "kustomization_progressing", "kustomization_succeeded"),
        ("cdevents", "pipelinerun_started", "pipelinerun_finished_error"),
        ("terraform_cloud", "run_applying", "run_completed"),
        ("ansibletower", "running", "deploys"),
        ("rundeck", "running", "succeeded"),
        ("teamcity", "own_started", "own_finished"),
        ("travis", "started", "passed"),
        ("buildbot", "short_new", "short_finished"),
        ("azuredevops", "release_deployment_started", "release_deployment_completed"),
        ("azuredevops", "pipeline_run_goes_on", "pipeline_run_failed"),
        ("netlify", "building", "ready"),
        ("servicenow", "change_request_scheduled", "change_request_closed_unsuccessful"),
    ],
)
def test_what_is_told_of_one_thing_is_one_change(source: str, first: str, then: str) -> None:
    hook = hook_of(source)
    read = []
    for stem in (first, then):
        body = next(body for body in bodies(source) if body.stem == stem)
        read.append(find(source).normalize(message_of(body.read_bytes(), hook, NOW), hook).changes[0])
    assert read[0].id == read[1].id
    assert read[0].subject == read[1].subject


def test_a_configured_jenkins_step_posts_what_the_source_reads() -> None:
    """The keys that SETUP's Groovy writes are the keys that are read."""
    setup = find("jenkins").setup
    keys = ["job", "number", "url", "result", "timestamp", "duration", "branch", "commit", "version", "environment"]
    assert all(f"{key}: " in setup for key in keys)
    hook = hook_of("jenkins")
    body = orjson.dumps(dict.fromkeys(keys, "1") | {"job": "deploy-checkout", "environment": "production"})
    assert find("jenkins").normalize(message_of(body, hook, NOW), hook).changes[0].subject == "service:checkout"


HOWTO = Path(__file__).resolve().parents[2] / "docs" / "howto" / "changes.md"


def test_the_business_rule_to_paste_posts_what_the_source_reads() -> None:
    rule = re.findall(r"```javascript\n(.*?)```", HOWTO.read_text("utf-8"), re.DOTALL)[0]
    posted = set(re.findall(r"(\w+): (?:current|')", rule))
    assert posted >= {"table", "sys_id", "number", "state", "approval", "start_date", "end_date", "work_start"}
    assert posted - {"table"} <= set(_Request.model_fields)


def test_the_argo_cd_template_to_paste_posts_what_the_source_reads() -> None:
    page = HOWTO.read_text("utf-8")
    fields = orjson.loads(re.findall(r"```json\n(.*?)```", page, re.DOTALL)[0])
    assert set(fields) <= set(_Template.model_fields)
    template = yaml.safe_load(re.findall(r"```yaml\n(service.*?)```", page, re.DOTALL)[0])
    assert yaml.safe_load(template["template.tocsin"])["webhook"]["tocsin"]["method"] == "POST"
    assert yaml.safe_load(template["trigger.tocsin"])[0]["send"] == ["tocsin"]
