"""What might a hook's `reads` be for this payload? A first guess from the names of its fields, for a person to mend."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tocsin.domain.errors import BadPayload
from tocsin.sources._json import number
from tocsin.sources._times import moment

MAX_DEPTH = 5
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LISTS = ("alerts", "events", "items", "incidents", "records", "notifications", "results", "data")

Leaf = tuple[str, object]
"""Expression → the sample's value."""

FIELDS: tuple[tuple[str, str], ...] = (
    (
        "name",
        "alertname rulename rule checkname check monitorname monitor alerttitle title eventname name type subject",
    ),
    ("severity", "severity level priority urgency criticality importance"),
    ("status", "status state alertstate eventstate action phase event"),
    ("summary", "summary message description text details reason body"),
    ("observed", "observed currentvalue observedvalue value score"),
    ("threshold", "threshold limit bound"),
    ("sample_size", "samplesize rows rowcount count n"),
    (
        "starts_at",
        "startsat startedat starttime since firedat triggeredat occurredat createdat timestamp time date at ts",
    ),
    ("metric", "metric metricname statistic"),
    ("model_version", "modelversion"),
    ("sender_key", "alertid incidentid eventid fingerprint dedupkey key uuid id"),
)
"""Our field → senders' names for it, letters and digits only, the most telling first."""
SUBJECTS: tuple[tuple[str, str], ...] = (
    ("model", "modelname model modelid"),
    ("feature", "featurename feature columnname column"),
    ("dataset", "datasetname dataset tablename table"),
    ("job", "dagid pipelinename pipeline jobname job workflow"),
    ("service", "servicename service application appname app component project"),
    ("host", "hostname host server instance node machine"),
)
"""Kind of subject → senders' names for it."""


def draft(body: Any) -> dict[str, Any]:  # noqa: ANN401 any JSON value
    """`reads` for this body, as it would stand in YAML. Raises BadPayload for a body without a single field."""
    each, item = _items(body)
    leaves = list(_leaves(item, "", 0))
    if not leaves:
        raise BadPayload("the sample holds no field that could be read")
    found: dict[str, Any] = {}
    for field, names in FIELDS:
        if leaf := _best(leaves, names.split(), _fits(field)):
            found[field] = leaf[0]
    found.setdefault("name", leaves[0][0])
    subjects = {kind: leaf[0] for kind, names in SUBJECTS if (leaf := _best(leaves, names.split(), _is_word))}
    if subjects:
        found["subject"] = subjects
    links = {_name(path): path for path, value in leaves if isinstance(value, str) and value.startswith("http")}
    if links:
        found["links"] = dict(list(links.items())[:3])
    return ({"each": each} if each else {}) | {"alerts": [found]}


def _items(body: Any) -> tuple[str, Any]:  # noqa: ANN401
    """The expression for the list of items (empty: none) and the first item."""
    if isinstance(body, list):
        return ("@", body[0]) if body else ("", body)
    if isinstance(body, dict):
        lists = {key: value for key, value in body.items() if _is_list_of_objects(value)}
        named = next((key for key in _LISTS if key in lists), next(iter(lists), "") if len(lists) == 1 else "")
        if named:
            return _step("", named), lists[named][0]
    return "", body


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _leaves(value: object, path: str, depth: int) -> Iterator[Leaf]:
    if isinstance(value, dict) and depth < MAX_DEPTH:
        for key, inner in value.items():
            yield from _leaves(inner, _step(path, str(key)), depth + 1)
    elif isinstance(value, (str, int, float, bool)) and path:
        yield path, value


def _step(path: str, key: str) -> str:
    quoted = key if _PLAIN.fullmatch(key) else '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{path}.{quoted}" if path else quoted


def _name(path: str) -> str:
    return re.sub(r"[^a-z0-9]", "", path.rpartition(".")[2].lower()) or "link"


def _best(leaves: Sequence[Leaf], names: Sequence[str], fits: Callable[[object], bool]) -> Leaf | None:
    """The leaf with the most telling name; of equals the one that stands highest."""
    ranked = [
        (names.index(_name(path)), path.count("."), at)
        for at, (path, value) in enumerate(leaves)
        if _name(path) in names and fits(value)
    ]
    return leaves[min(ranked)[2]] if ranked else None


def _fits(field: str) -> Callable[[object], bool]:
    if field in ("observed", "threshold", "sample_size"):
        return lambda value: number(value) is not None
    return _is_time if field == "starts_at" else _is_word


def _is_word(value: object) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != ""


def _is_time(value: object) -> bool:
    try:
        return moment(value) is not None
    except BadPayload:
        return False
