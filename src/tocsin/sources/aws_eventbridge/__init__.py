"""What did AWS put on the event bus? Any event of Amazon EventBridge, routed to the reading that fits it.

CloudWatch alarms and SageMaker's events read as through their own sources; deliveries, runs and changed settings are
changes; events of your own applications are read by their type and data.
https://docs.aws.amazon.com/eventbridge/latest/ref/events.html
"""

from __future__ import annotations

from typing import Any

from tocsin.domain.alert import Resolves
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources import _plain_event, _sagemaker
from tocsin.sources._aws import Event, bodies_of, event_id, event_of, handshake_of, is_event, need, time_of
from tocsin.sources._cloud import Occasion, combined, facts, name_in, rows
from tocsin.sources._cloudwatch_alarm import alarm_event, is_alarm
from tocsin.sources._json import parsed_object
from tocsin.sources._verify import shared_secret
from tocsin.sources.aws_eventbridge import data, delivery, machine

NAME = "aws_eventbridge"
READERS = {**delivery.READERS, **machine.READERS, **data.READERS}

SECURITY = frozenset({"aws.guardduty", "aws.securityhub", "aws.inspector2", "aws.macie", "aws.access-analyzer"})
QUIET = {
    "Scheduled Event": "a timer",
    "ECR Image Scan": "a security finding",
    "CodeCommit Repository State Change": "a push runs nothing by itself",
    "AWS Console Sign In via CloudTrail": "a sign-in",
    "AWS Service Event via CloudTrail": "an event of AWS's own",
    "ECS Task State Change of a healthy task": "started or stopped by its service",
}


def normalize(message: Message, hook: Hook) -> Normalized:
    """What each event of the message tells. Raises BadPayload with the path of what does not fit."""
    return combined(_read(body, message, hook) for body in bodies_of(message))


def _read(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    if why := handshake_of(body):
        return Normalized(ignored=why)
    if is_alarm(body):
        return alarm_event(body, message, hook, source=NAME)
    if not is_event(body):
        return _bare(body, message, hook)
    event = event_of(body)
    tags = facts(event.detail.get("Tags"))
    occasion = Occasion(source=NAME, message=message, hook=hook, labels=event.labels, tags=tags)
    if event.source == _sagemaker.EVENT_SOURCE:
        return _sagemaker.told(event, occasion)
    if not event.source.startswith("aws."):
        return _own(event, occasion)
    if why := _why_quiet(event):
        return Normalized(ignored=f"{event.detail_type[:60]}: {why}")
    if event.source == "aws.autoscaling":
        return machine.scaling(event, occasion)
    return READERS.get(event.detail_type, data.anything)(event, occasion)


def _why_quiet(event: Event) -> str:
    if event.source in SECURITY:
        return "security findings belong to the security desk"
    return QUIET.get(event.detail_type, "")


def _own(event: Event, occasion: Occasion) -> Normalized:
    """An event that an application of one's own, or a partner, put on the bus."""
    plain = _plain_event.PlainEvent(
        type=event.detail_type,
        source=event.source,
        id=event.id,
        subject=event.resources[0] if event.resources else "",
        at=event.at,
        data=event.detail,
    )
    return _plain_event.told(plain, occasion)


def _bare(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    """What AWS hands to a Lambda without the bus: Config's rule invocations, S3's records, CodePipeline's jobs."""
    occasion = Occasion(source=NAME, message=message, hook=hook, labels={"account": name_in(body, "accountId")})
    if "invokingEvent" in body:
        return _config_rule(body, occasion)
    if records := rows(body.get("Records")):
        return combined(_record(each, n, occasion) for n, each in enumerate(records))
    if "CodePipeline.job" in body:
        return Normalized(ignored="CodePipeline asks a function to act: its execution has events of its own")
    if "LifecycleEventHookExecutionId" in body:
        return Normalized(ignored="CodeDeploy asks a function to judge: its deployment has events of its own")
    if "awslogs" in body:
        return Normalized(ignored="log lines of CloudWatch Logs are neither alerts nor changes")
    raise BadPayload("absent: this is no event of EventBridge", path="detail-type")


def _config_rule(body: dict[str, Any], occasion: Occasion) -> Normalized:
    """AWS Config asks a rule to judge: a changed resource is a change, a snapshot or timer is none."""
    words = body["invokingEvent"]
    if not isinstance(words, str):
        raise BadPayload("expected JSON in a text", path="invokingEvent")
    try:
        asked = parsed_object(words.encode("utf-8", "surrogatepass"))
    except BadPayload as error:
        raise BadPayload(error.reason, path="invokingEvent") from None
    rule, kind = name_in(body, "configRuleName"), name_in(asked, "messageType")
    item = facts(asked.get("configurationItem") or asked.get("configurationItemSummary"))
    if not item:
        return Normalized(ignored=f"Config rule {rule[:80]}: {kind[:60] or 'no message type'}, no resource changed")
    event = Event(source="aws.config", detail_type=kind, detail=asked, at=time_of(asked, "notificationCreationTime"))
    return data.configuration_item(item, event, occasion)


def _record(record: dict[str, Any], n: int, occasion: Occasion) -> Normalized:
    """One of S3's own notifications; records of other services carry no state."""
    kind = name_in(record, "eventSource", "EventSource")
    if kind != "aws:s3":
        return Normalized(ignored=f"records of {kind[:60] or 'an unnamed source'} carry no state")
    stored = facts(record.get("s3"))
    bucket = need(facts(stored.get("bucket")), "name")
    item = facts(stored.get("object"))
    key = name_in(item, "key")
    at, region = time_of(record, "eventTime"), name_in(record, "awsRegion")
    if key.endswith(data.VIOLATIONS) and "ObjectCreated" in name_in(record, "eventName"):
        return data.violations_file(bucket, key, at, region, occasion)
    change = occasion.change(
        id=f"s3:{bucket}/{key}:{name_in(item, 'sequencer', 'versionId') or at or n}",
        kind=ChangeKind.DATASET_MODIFIED,
        subject=Subject.of("dataset", bucket),
        outcome=ChangeOutcome.SUCCESS,
        summary=f"{name_in(record, 'eventName')}: s3://{bucket}/{key}",
        began=at,
        labels={"key": key, "region": region},
    )
    return Normalized(changes=(change,))


SETUP = """One rule with an API destination; its connection sends the secret.

```sh
aws events create-connection --name tocsin --authorization-type API_KEY \\
  --auth-parameters 'ApiKeyAuthParameters={{ApiKeyName=Authorization,ApiKeyValue="Bearer {secret}"}}'
aws events create-api-destination --name tocsin --http-method POST --invocation-endpoint {url} --connection-arn ARN
aws events put-rule --name tocsin --event-pattern '{{"detail-type": [
  "CloudWatch Alarm State Change", "CodePipeline Pipeline Execution State Change", "CodeBuild Build State Change",
  "CodeDeploy Deployment State-change Notification", "ECS Deployment State Change", "ECS Service Action",
  "ECR Image Action", "Glue Job State Change", "Data Quality Evaluation Results Available",
  "Step Functions Execution Status Change", "AWS Health Event",
  {{"prefix": "SageMaker "}}]}}'
aws events put-targets --rule tocsin --targets Id=tocsin,Arn=DESTINATION-ARN,RoleArn=ROLE-ARN
```

- No input transformer: the whole event is needed.
- EventBridge retries for 24 hours; its event id keeps a retry from counting twice.
- A hook that stands for one environment takes only deployments to it: by the name of the deployment group or stage, or
  those that its default `aws_environment: prod-eu, prod-us` lists.
- An event of your own may carry Tocsin's own JSON as `detail`: the body of `native_alert` or `native_change`.
"""

SOURCE = Source(
    name=NAME,
    title="Amazon EventBridge: events of AWS services and of your own",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    message_id=event_id,
    setup=SETUP,
    ignores=(
        *(f"{kind}: {why}" for kind, why in QUIET.items()),
        "security findings (GuardDuty, Security Hub, Inspector, Macie, Access Analyzer)",
        "API calls that only read",
        "events that tell no state",
        "SNS subscription messages",
    ),
    aliases=("eventbridge",),
)
