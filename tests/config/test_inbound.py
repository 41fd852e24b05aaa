"""What people's acts do, and what becomes of ended records, is said per destination and filled up from the defaults."""

from __future__ import annotations

from datetime import timedelta

from tests.config.trees import errors_of, findings_of, mappings_of
from tocsin.domain.policy import ClosedRecord, Inbound

TREE = """
policies:
  inbound:
    defaults: {comments: mirror, resolve: note}
    pagerduty: {resolve: record}
  closed_records:
    servicenow: {reopen_within: 4h, then: comment_only}
"""


def test_what_a_destination_leaves_out_the_defaults_say() -> None:
    policy = mappings_of(TREE).policy
    assert policy.inbound_of("pager", "pagerduty") == Inbound(comments="mirror", resolve="record")
    assert policy.inbound_of("jira", "jira") == Inbound(comments="mirror", resolve="note")
    assert policy.closed_of("snow", "servicenow") == ClosedRecord(reopen_within=timedelta(hours=4), then="comment_only")
    assert policy.closed_of("jira", "jira") == ClosedRecord()


def test_a_word_that_the_policy_does_not_know_is_refused_with_its_line() -> None:
    [said] = errors_of(TREE.replace("resolve: note", "resolve: everywhere"))
    assert said.startswith("x.yaml:3: policies.inbound.defaults.resolve: ")
    assert "'incident', 'record' or 'note'" in said


def test_a_destination_that_is_not_there_is_found() -> None:
    [said] = [one for one in findings_of("policies: {inbound: {pagerdutty: {resolve: note}}}") if "inbound" in one]
    assert "pagerdutty is neither a destination nor its kind" in said
