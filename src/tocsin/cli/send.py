"""Post a report to a hook: for tools that have no webhook of their own, such as validators in a pipeline's step."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
import orjson

from tocsin.cli._terminal import echo_json, pairs
from tocsin.domain.errors import BadSetting, Unavailable

SECTION = "first hour"
STDIN = "-"
TIMEOUT_S = 10
ATTEMPTS = 4
"""A receiver that restarts is back within seconds; what it has, it answers as a duplicate of itself."""


@click.command()
@click.option("--source", "name", required=True, help="The producer of the report: evidently, nannyml, dbt …")
@click.option("--to", "url", metavar="URL", help="The hook's address; default: TOCSIN_PUBLIC_URL/hooks/HOOK.")
@click.option("--hook", help="The hook's name; default: the source's.")
@click.option(
    "--secret-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File with the hook's secret; default: TOCSIN_HOOK_SECRET, else mappings/secrets/HOOK.",
)
@click.option("--model", help="The model that the report is about.")
@click.option("--model-version", help="Its version.")
@click.option("--dataset", help="The dataset that the report is about.")
@click.option("--segment", help="The part of the data that was looked at.")
@click.option("--environment", help="Counts only on a hook whose environment is *.")
@click.option("--set", "more", multiple=True, metavar="KEY=VALUE", help="Anything else that the report lacks.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a file.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
def send(
    *,
    name: str,
    url: str | None,
    hook: str | None,
    secret_file: Path | None,
    model: str | None,
    model_version: str | None,
    dataset: str | None,
    segment: str | None,
    environment: str | None,
    more: tuple[str, ...],
    as_json: bool,
    files: tuple[str, ...],
) -> None:
    """Post each FILE (a report; - is standard input) to a hook, with the identity that the report lacks.

    In a pipeline's step: `tocsin send --source evidently --model churn report.json`. Exit status: 0 every file was
    accepted, 2 one was refused or nobody answered; the message says which.
    """
    from tocsin import sources

    source = sources.find(name.strip().replace("-", "_"))
    hook = hook or source.name.replace("_", "-")
    told = {
        "model": model,
        "model_version": model_version,
        "dataset": dataset,
        "segment": segment,
        "environment": environment,
    }
    identity = {key: value for key, value in told.items() if value} | pairs(more, "--set")
    address = url or _address(hook)
    secret = _secret(secret_file, hook)
    for file in files:
        body = wrapped(_read(file), identity, source=source.name, file=file)
        receipt = posted(address, body, secret)
        if as_json:
            echo_json({"file": file, **receipt})
        else:
            click.echo(f"{file}: accepted as {receipt.get('receipt', '')}; see it with `tocsin tail`")


def wrapped(report: bytes, identity: dict[str, str], *, source: str, file: str) -> bytes:
    """The report as it is, or in the envelope that adds what it lacks; a file that is such an envelope already is
    completed. Raises BadSetting for a report that is not JSON and needs an envelope."""
    if not identity:
        return report
    try:
        parsed = orjson.loads(report)
    except orjson.JSONDecodeError:
        parsed = _lenient(report, file)
    if isinstance(parsed, dict) and isinstance(parsed.get("report"), (dict, list)):
        return orjson.dumps({**parsed, "source": source, **identity})
    return orjson.dumps({"source": source, **identity, "report": parsed})


def _lenient(report: bytes, file: str) -> Any:  # noqa: ANN401 any JSON value
    """Validators write bare NaN, which is no JSON: it becomes null."""
    from tocsin.domain.errors import BadPayload
    from tocsin.sources._json import parsed

    try:
        return parsed(report)
    except BadPayload as error:
        raise BadSetting(f"{file}: {error}; an identity can be added to a JSON report only") from None


def posted(address: str, body: bytes, secret: str) -> dict[str, Any]:
    """The receiver's answer. Raises Unavailable when nobody answers in ATTEMPTS tries, BadSetting when it refuses."""
    import gzip

    import requests
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip", "Authorization": f"Bearer {secret}"}
    data = gzip.compress(body, mtime=0)
    try:
        for attempt in Retrying(
            retry=retry_if_exception_type((requests.ConnectionError, requests.Timeout, _BusyError)),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(multiplier=0.5, max=5),
            reraise=True,
        ):
            with attempt:
                answer = requests.post(address, data=data, headers=headers, timeout=TIMEOUT_S, allow_redirects=False)
                if answer.status_code >= 500 or answer.status_code == 429:
                    raise _BusyError(f"{answer.status_code}")
    except (requests.RequestException, _BusyError) as error:
        why = f"status {error}" if isinstance(error, _BusyError) else type(error).__name__
        raise Unavailable(f"{address} did not take it ({why}); is Tocsin running there?") from None
    if answer.status_code != 202:
        raise BadSetting(f"{address} refused it: {answer.status_code} {_words(answer.content)}")
    found = orjson.loads(answer.content)
    return found if isinstance(found, dict) else {}


class _BusyError(Exception):
    """The receiver cannot take it now."""


def _words(content: bytes) -> str:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        return "without a reason that we can read"
    return str(found.get("reason") or found.get("error") or found)[:300] if isinstance(found, dict) else str(found)


def _address(hook: str) -> str:
    from tocsin.config.settings import Settings

    return f"{Settings().public_url.rstrip('/')}/hooks/{hook}"


def _secret(file: Path | None, hook: str) -> str:
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    if named := os.environ.get("TOCSIN_HOOK_SECRET", "").strip():
        return named
    kept = Path(os.environ.get("TOCSIN_MAPPINGS_DIR", "mappings")) / "secrets" / hook
    if kept.is_file():
        return kept.read_text(encoding="utf-8").strip()
    raise BadSetting(
        f"the secret of hook {hook} is not known here; set TOCSIN_HOOK_SECRET, or give --secret-file with the file"
        f" that `tocsin hooks add` wrote ({kept})"
    )


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
    except OSError as error:
        raise BadSetting(f"{file}: cannot be read ({error.strerror})") from None
