"""`tocsin simulate`: a local ServiceNow, PagerDuty or Jira with memory, for trying out and for tests."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from tocsin.domain.errors import TocsinError

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("kind", type=click.Choice(["servicenow", "pagerduty", "jira"]))
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="a free one", help="Port to listen on.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--user", default="admin", show_default=True, help="User name (Jira: e-mail).")
@click.option("--password", default="tocsin", show_default=True, help="Password, API token or REST key.")
@click.option("--tls-cert", type=FILE, help="Certificate (PEM): serve HTTPS.")
@click.option("--tls-key", type=FILE, help="Private key (PEM) of --tls-cert.")
@click.option("--seed", "seed_file", type=FILE, help="JSON file of records to begin with.")
def simulate(
    *,
    kind: str,
    port: int,
    host: str,
    user: str,
    password: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    seed_file: Path | None,
) -> None:
    """Serve a stand-in for KIND until Ctrl-C. Its web page is at /, its controls are /__faults, /__calls, /__state."""
    from tocsin import simulators

    if bool(tls_cert) != bool(tls_key):
        raise click.UsageError("--tls-cert and --tls-key go together")
    tls = (tls_cert, tls_key) if tls_cert and tls_key else None
    try:
        simulators.serve(
            kind,
            host=host,
            port=port,
            user=user,
            password=password,
            seed=_seed(seed_file),
            tls=tls,
            ready=lambda url: click.echo(f"{kind} simulator: {url} (user {user}, password {password})"),
        )
    except TocsinError as wrong:
        raise click.ClickException(f"{seed_file or kind}: {wrong}") from wrong


def _seed(path: Path | None) -> dict[str, object]:
    if path is None:
        return {}
    try:
        records = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as wrong:
        raise click.ClickException(f"{path}: is not JSON: {wrong}") from wrong
    if not isinstance(records, dict):
        raise click.ClickException(f"{path}: must be an object, such as {{'sys_user_group': ['ML Platform']}}")
    return records
