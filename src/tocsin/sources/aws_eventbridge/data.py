"""What happened to jobs, data and settings in AWS? Events of Glue, Batch, Step Functions, S3, Config and CloudTrail;
anything else with a state is read by the words of its fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.message import Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._aws import Event, account_name, name_of, need, time_of
from tocsin.sources._cloud import Occasion, dig, facts, first_line, name_in, outcome_of, plain, texts
from tocsin.sources._identity import symptom_of
from tocsin.sources._json import number

READ_ONLY = re.compile(
    r"^(Get|List|Describe|Head|Lookup|Search|Batch(Get|Describe)|Test|Check|Estimate|Query|Scan|Select)"
)
_STATE_KEY = re.compile(r"(^|[-_a-z])(state|status)$", re.IGNORECASE)
_NAME_KEY = re.compile(r"(name|identifier|id)$", re.IGNORECASE)
_RUNS = re.compile(r"job|step\b|execution|run\b|pipeline|build|task|workflow|crawler", re.IGNORECASE)


def compliance(event: Event, occasion: Occasion) -> Normalized:
    """A rule of AWS Config that a resource breaks, or keeps again."""
    detail = event.detail
    rule, result = need(detail, "configRuleName"), facts(detail.get("newEvaluationResult"))
    state = name_in(result, "complianceType")
    if state not in ("COMPLIANT", "NON_COMPLIANT"):
        return Normalized(ignored=f"Config rule {rule[:80]}: {state[:40] or 'not evaluated'}")
    resource, kind = name_in(detail, "resourceId"), name_in(detail, "resourceType")
    alert = occasion.alert(
        name=rule,
        subject=Subject.of("service", resource or rule),
        symptom=symptom_of({}, rule.replace("-", " ")),
        severity=Severity.WARNING,
        status=Status.FIRING if state == "NON_COMPLIANT" else Status.RESOLVED,
        summary=f"{kind} {resource}: {state} with {rule}",
        at=time_of(result, "resultRecordedTime") or event.at,
        region=event.region,
        labels={"resource_type": kind, "resource_id": resource},
    )
    return Normalized(alerts=(alert,))


def configuration_item(item: dict[str, Any], event: Event, occasion: Occasion) -> Normalized:
    """A resource whose configuration changed, as AWS Config recorded it."""
    name = name_in(item, "resourceName", "resourceId")
    kind, status = name_in(item, "resourceType"), name_in(item, "configurationItemStatus")
    version = name_in(item, "configurationStateId", "configurationItemCaptureTime")
    change = occasion.change(
        id=f"config:{name_in(item, 'ARN', 'resourceId')}:{version}",
        kind=ChangeKind.ENVIRONMENT_MODIFIED,
        subject=Subject.of("service", name or kind or "unnamed"),
        outcome=ChangeOutcome.SUCCESS,
        summary=f"{kind} {name}: {status or 'changed'}",
        began=time_of(item, "configurationItemCaptureTime") or event.at,
        labels={"resource_type": kind, "status": status},
    )
    return Normalized(changes=(change,))


def config_item(event: Event, occasion: Occasion) -> Normalized:
    """The event of AWS Config that carries a configuration item."""
    return configuration_item(facts(event.detail.get("configurationItem")), event, occasion)


def data_quality(event: Event, occasion: Occasion) -> Normalized:
    """A ruleset of Glue's data quality that data broke or kept."""
    detail = event.detail
    context = facts(detail.get("context"))
    state = need(detail, "state")
    table = name_in(context, "tableName")
    database = name_in(context, "databaseName")
    name = ".".join(each for each in (database, table) if each) or name_in(context, "jobName")
    ruleset = name_in(detail, "rulesetNames") or next(iter(texts(detail.get("rulesetNames"))), "ruleset")
    failed = number(detail.get("numRulesFailed", detail.get("rulesFailed")))
    alert = occasion.alert(
        name=ruleset,
        subject=Subject.of("dataset", name or ruleset),
        symptom=Symptom.DATA_QUALITY,
        severity=Severity.ERROR,
        status=Status.RESOLVED if plain(state) == "succeeded" else Status.FIRING,
        summary=f"{name or ruleset}: {ruleset} {state}" + (f", {failed:g} rules failed" if failed else ""),
        at=event.at,
        region=event.region,
        metric="score",
        observed=number(detail.get("score")),
        labels={"run": name_in(context, "runId"), "job": name_in(context, "jobName")},
        resolves=Resolves.NEXT_PASS,
    )
    return Normalized(alerts=(alert,))


def table_changed(event: Event, occasion: Occasion) -> Normalized:
    """A table of Glue's catalogue: its schema, or only its partitions."""
    detail = event.detail
    table, what = name_in(detail, "tableName"), need(detail, "typeOfChange")
    database = name_in(detail, "databaseName")
    partitions = "Partition" in what
    names = [table] if table else texts(detail.get("changedTables"))
    change = occasion.change(
        id=f"glue:{event.id}",
        kind=ChangeKind.DATASET_MODIFIED if partitions else ChangeKind.DATASET_SCHEMA_CHANGED,
        subject=Subject.of("dataset", ".".join(each for each in (database, *names[:1]) if each) or "catalogue"),
        outcome=ChangeOutcome.SUCCESS,
        summary=f"{database}.{', '.join(names[:5])}: {what}",
        began=event.at,
        touches=tuple(Subject.of("dataset", f"{database}.{each}") for each in names[1:50]),
        labels={"type_of_change": what},
    )
    return Normalized(changes=(change,))


def execution(event: Event, occasion: Occasion) -> Normalized:
    """An execution of a state machine (Step Functions); a failed one is also an alert, which the next success ends."""
    detail = event.detail
    arn, status = need(detail, "executionArn"), need(detail, "status")
    name = name_of(name_in(detail, "stateMachineArn")) or name_of(arn)
    why = " ".join(each for each in (name_in(detail, "error"), first_line(detail.get("cause"))) if each)
    return _run(event, occasion, id=arn, name=name, status=status, why=why, keys=("startDate", "stopDate"))


def job(event: Event, occasion: Occasion) -> Normalized:
    """A run of a Glue or Batch job or of a crawler; a failed one is also an alert, which the next success ends."""
    detail = event.detail
    name = need(detail, "jobName", "crawlerName", "JobName")
    run = name_in(detail, "jobRunId", "jobId") or event.id
    status = need(detail, "state", "status", "newState")
    why = first_line(detail.get("message") or detail.get("statusReason") or detail.get("errorMessage"))
    return _run(
        event, occasion, id=f"{event.source}:{run}", name=name, status=status, why=why, keys=("startedAt", "stoppedAt")
    )


def _run(
    event: Event, occasion: Occasion, *, id: str, name: str, status: str, why: str, keys: tuple[str, str]
) -> Normalized:
    outcome = outcome_of(status)
    began = time_of(event.detail, keys[0]) or event.at
    ended = None if outcome is ChangeOutcome.RUNNING else time_of(event.detail, keys[1]) or event.at
    summary = f"{name}: {status}" + (f" ({why})" if why else "")
    subject = Subject.of("job", name)
    change = occasion.change(
        id=id,
        kind=ChangeKind.PIPELINERUN_FINISHED,
        subject=subject,
        outcome=outcome,
        summary=summary,
        began=began,
        ended=ended,
        labels={"status": status},
    )
    if outcome not in (ChangeOutcome.SUCCESS, ChangeOutcome.FAILURE):
        return Normalized(changes=(change,))
    firing = outcome is ChangeOutcome.FAILURE
    return Normalized(alerts=(_failed(subject, summary, event, occasion, firing=firing),), changes=(change,))


def _failed(subject: Subject, summary: str, event: Event, occasion: Occasion, *, firing: bool) -> Alert:
    return occasion.alert(
        name="JobFailed",
        subject=subject,
        symptom=Symptom.ERRORS,
        severity=Severity.ERROR,
        status=Status.FIRING if firing else Status.RESOLVED,
        summary=summary,
        at=event.at,
        region=event.region,
        resolves=Resolves.NEXT_PASS,
    )


VIOLATIONS = "/constraint_violations.json"
"""The file that Model Monitor writes when a run found some: `…/<endpoint>/<schedule>/<year>/<month>/<day>/<hour>/`."""


def violations_file(bucket: str, key: str, at: datetime | None, region: str, occasion: Occasion) -> Normalized:
    """Model Monitor found violations: the file itself, which nobody forwards, would say which."""
    folders = [part for part in key.removesuffix(VIOLATIONS).split("/") if part and not part.isdecimal()]
    schedule = folders[-1] if folders else bucket
    model = occasion.hook.defaults.get("model", "") or (folders[-2] if len(folders) > 1 else "")
    alert = occasion.alert(
        name="ConstraintViolations",
        subject=Subject.of("model", model) if model else Subject.of("unknown", schedule),
        symptom=symptom_of({}, schedule.replace("-", " "), "data quality"),
        severity=Severity.WARNING,
        status=Status.FIRING,
        summary=f"Model Monitor found violations: s3://{bucket}/{key}",
        at=at,
        resource=schedule[:255],
        region=region,
        labels={"schedule": schedule, "file": f"s3://{bucket}/{key}"},
        resolves=Resolves.EXPIRY,
        expires_after=timedelta(hours=26),
    )
    return Normalized(alerts=(alert,))


def s3_object(event: Event, occasion: Occasion) -> Normalized:
    """An object that was written or deleted in a bucket."""
    detail = event.detail
    bucket, key = need(facts(detail.get("bucket")), "name"), name_in(facts(detail.get("object")), "key")
    if key.endswith(VIOLATIONS) and event.detail_type == "Object Created":
        return violations_file(bucket, key, event.at, event.region, occasion)
    change = occasion.change(
        id=f"s3:{bucket}/{key}:{name_in(facts(detail.get('object')), 'sequencer', 'version-id') or event.id}",
        kind=ChangeKind.DATASET_MODIFIED,
        subject=Subject.of("dataset", bucket),
        outcome=ChangeOutcome.SUCCESS,
        summary=f"{event.detail_type}: s3://{bucket}/{key}",
        began=event.at,
        labels={"key": key, "reason": name_in(detail, "reason")},
    )
    return Normalized(changes=(change,))


def api_call(event: Event, occasion: Occasion) -> Normalized:
    """A call of AWS's API that changed something, as CloudTrail recorded it."""
    detail = event.detail
    name, service = need(detail, "eventName"), name_in(detail, "eventSource").partition(".")[0]
    if detail.get("readOnly") is True or READ_ONLY.search(name):
        return Normalized(ignored=f"API call {name[:80]} only reads")
    if name in ("ConsoleLogin", "AssumeRole", "GenerateDataKey", "Decrypt", "Encrypt"):
        return Normalized(ignored=f"API call {name} changes nothing that runs")
    asked = facts(detail.get("requestParameters"))
    target = next(iter(texts([value for key, value in asked.items() if _NAME_KEY.search(key)])), "")
    error = name_in(detail, "errorCode")
    change = occasion.change(
        id=f"cloudtrail:{name_in(detail, 'eventID') or event.id}",
        kind=ChangeKind.ENVIRONMENT_MODIFIED,
        subject=Subject.of("service", name_of(target) if target else service or "aws"),
        outcome=ChangeOutcome.FAILURE if error else ChangeOutcome.SUCCESS,
        summary=f"{service} {name}" + (f" of {target}" if target else "") + (f": {error}" if error else ""),
        began=time_of(detail, "eventTime") or event.at,
        author=account_name(event),
        labels={"api": name, "service": service, "error": error},
    )
    return Normalized(changes=(change,))


def parameter(event: Event, occasion: Occasion) -> Normalized:
    """A parameter of Systems Manager that was written or deleted."""
    name, operation = need(event.detail, "name"), need(event.detail, "operation")
    change = occasion.change(
        id=f"ssm:{event.id or f'{name}:{event.at}'}",
        kind=ChangeKind.ENVIRONMENT_MODIFIED,
        subject=Subject.of("service", name),
        outcome=ChangeOutcome.SUCCESS,
        summary=f"parameter {name}: {operation}",
        began=event.at,
        labels={"operation": operation},
    )
    return Normalized(changes=(change,))


def anything(event: Event, occasion: Occasion) -> Normalized:
    """An event of a service that has no reader of its own: its state and name by the words of its fields."""
    detail = event.detail
    state = next(iter(texts([each for key, each in detail.items() if _STATE_KEY.search(key)])), "")
    state = state or name_in(detail, "eventType").rpartition("_")[2]
    if not state:
        return Normalized(ignored=f"event {event.detail_type[:80]} of {event.source[:40]} tells no state")
    named = texts([detail[key] for key in sorted(detail, key=_how_telling) if _NAME_KEY.search(key)])
    name = name_of(event.resources[0]) if event.resources else next(iter(named), event.source)
    runs = bool(_RUNS.search(event.detail_type))
    outcome = outcome_of(state)
    change = occasion.change(
        id=f"{event.source}:{event.resources[0] if event.resources else name}:{'' if runs else state}:{event.id}",
        kind=ChangeKind.PIPELINERUN_FINISHED if runs else ChangeKind.ENVIRONMENT_MODIFIED,
        subject=Subject.of("job" if runs else "service", name),
        outcome=outcome,
        summary=f"{event.detail_type} {name}: {state}",
        began=event.at,
        labels={"state": state, "message": first_line(dig(detail, "message"))},
    )
    return Normalized(changes=(change,))


def _how_telling(key: str) -> int:
    """A name before an identifier."""
    return 0 if key.lower().endswith("name") else 1


READERS: dict[str, Callable[[Event, Occasion], Normalized]] = {
    "Config Rules Compliance Change": compliance,
    "Config Configuration Item Change": config_item,
    "Data Quality Evaluation Results Available": data_quality,
    "Glue Data Catalog Database State Change": table_changed,
    "Glue Data Catalog Table State Change": table_changed,
    "Glue Job State Change": job,
    "Glue Job Run Status": job,
    "Glue Crawler State Change": job,
    "Batch Job State Change": job,
    "Parameter Store Change": parameter,
    "Step Functions Execution Status Change": execution,
    "Object Created": s3_object,
    "Object Deleted": s3_object,
    "AWS API Call via CloudTrail": api_call,
}
