"""Keeps one incident per outage in ServiceNow, through the Table API, as a well-behaved member of the desk."""

from tocsin.connectors._connector import Connector
from tocsin.connectors.servicenow.bring import bring
from tocsin.connectors.servicenow.config import Config
from tocsin.connectors.servicenow.inspect import inspect
from tocsin.connectors.servicenow.poll import poll
from tocsin.connectors.servicenow.render import ADDRESS, render
from tocsin.connectors.servicenow.survey import survey

__all__ = ["CONNECTOR", "Config"]

CONNECTOR = Connector(
    kind="servicenow",
    title="ServiceNow",
    Config=Config,
    render=render,
    bring=bring,
    expects=ADDRESS,
    attaches=True,
    inspect=inspect,
    poll=poll,
    survey=survey,
)
