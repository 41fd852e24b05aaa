"""Keeps one surviving issue per outage in Jira: Cloud, Service Management or Data Center."""

from tocsin.connectors._connector import Connector
from tocsin.connectors.jira.bring import bring
from tocsin.connectors.jira.config import Config
from tocsin.connectors.jira.render import render

__all__ = ["CONNECTOR", "Config"]

CONNECTOR = Connector(
    kind="jira", title="Jira", Config=Config, render=render, bring=bring, expects=("project", "issue_type")
)
