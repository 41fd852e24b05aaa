"""Pages people through PagerDuty's Events API v2; with an API token also shows the incident and adds real notes."""

from tocsin.connectors._connector import Connector
from tocsin.connectors.pagerduty.bring import bring
from tocsin.connectors.pagerduty.config import Config
from tocsin.connectors.pagerduty.inspect import inspect
from tocsin.connectors.pagerduty.mirror import mirror
from tocsin.connectors.pagerduty.poll import poll
from tocsin.connectors.pagerduty.render import render
from tocsin.connectors.pagerduty.survey import survey

__all__ = ["CONNECTOR", "Config"]

CONNECTOR = Connector(
    kind="pagerduty",
    title="PagerDuty",
    Config=Config,
    render=render,
    bring=bring,
    inspect=inspect,
    poll=poll,
    survey=survey,
    expects=("routing_key",),
    reopens=False,
    holds_ticket=False,
    mirror=mirror,
)
