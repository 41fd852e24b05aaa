"""Keeps one incident per outage in ServiceNow, through the Table API, as a well-behaved member of the desk."""

from tocsin.connectors._connector import Connector
from tocsin.connectors.servicenow.bring import bring
from tocsin.connectors.servicenow.config import Config
from tocsin.connectors.servicenow.render import render

__all__ = ["CONNECTOR", "Config"]

CONNECTOR = Connector(
    kind="servicenow", title="ServiceNow", Config=Config, render=render, bring=bring, expects=("assignment_group",)
)
