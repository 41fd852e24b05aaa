"""Keeps one surviving issue per outage in Jira: Cloud, Service Management or Data Center."""

from tocsin.connectors._connector import Connector
from tocsin.connectors.jira.bring import bring
from tocsin.connectors.jira.config import Config
from tocsin.connectors.jira.inspect import inspect
from tocsin.connectors.jira.poll import poll
from tocsin.connectors.jira.render import render
from tocsin.connectors.jira.survey import survey

__all__ = ["CONNECTOR", "Config"]

CONNECTOR = Connector(
    kind="jira",
    title="Jira",
    Config=Config,
    render=render,
    bring=bring,
    inspect=inspect,
    poll=poll,
    survey=survey,
    expects=("project", "issue_type", "alert_team"),
    attaches=True,
)
