"""What may stand in a mapping file? Every key of every section, from the models that read them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tocsin.cli._reference.markdown import anchor, code, default_of, first_sentence, table
from tocsin.config.files import MappingFile
from tocsin.config.secret import EnvSecret, FileSecret
from tocsin.domain.subject import KINDS

INTRO = """# Mapping keys

Any `*.yaml` file of the mappings directory may hold any of these sections, and a section may be spread over any number
of files. Unknown keys are refused. `tocsin check` says what is wrong, with file, line and remedy; the JSON Schema for
editors is [mappings/schema/tocsin.schema.json](../../mappings/schema/tocsin.schema.json). A tutorial is
[docs/mappings.md](../mappings.md).

- *duration*: a number with its unit, `90s`, `5m`, `2h`, `14d`, `1h30m`.
- *subject*: `kind:name`; kinds are {kinds}.
- *pattern*: a subject with `*` as wildcard, such as `job:ingest-*`. No wildcard beats the longest pattern.
- *secret*: `{{env: NAME}}` or `{{file: path}}` (a relative path starts at the mappings directory), never the text. Any
  plain text of a connector may be such a reference too.
"""

WORDS: dict[object, str] = {
    str: "text",
    bool: "true or false",
    int: "number",
    float: "number",
    timedelta: "duration",
    datetime: "moment",
}


def page() -> str:
    """Every section with its keys."""
    places = _places()
    parts = [INTRO.format(kinds=", ".join(code(kind) for kind in sorted(KINDS - {"unknown"})))]
    for model, paths in places.items():
        also = f" Also {', '.join(code(path) for path in paths[1:])}." if paths[1:] else ""
        parts.append(f"## {_heading(paths)}\n\n{first_sentence(model.__doc__)}{also}\n")
        base = model.__mro__[1]
        if base in places:
            parts.append(f"All keys of {_link(places[base])}, and:\n")
        rows = [_row(name, field, places) for name, field in model.model_fields.items() if not _inherited(name, base)]
        parts.append(table(("key", "what it takes", "default", "what it is"), rows))
    parts.append("\nThe keys of each kind of connector are in [connectors](connectors.md).\n")
    return "\n".join(parts)


def _heading(paths: list[str]) -> str:
    return paths[0] or "Sections"


def _link(paths: list[str]) -> str:
    return f"[{_heading(paths)}](#{anchor(_heading(paths))})"


def _inherited(name: str, base: type) -> bool:
    return issubclass(base, BaseModel) and name in base.model_fields


def _places() -> dict[type[BaseModel], list[str]]:
    """Each model with the paths at which it stands, in the order in which a reader meets them."""
    found: dict[type[BaseModel], list[str]] = {MappingFile: [""]}
    queue: deque[tuple[type[BaseModel], str]] = deque([(MappingFile, "")])
    while queue:
        model, path = queue.popleft()
        for name, field in model.model_fields.items():
            for inner, suffix in _models(field.annotation):
                at = f"{path}.{name}{suffix}".removeprefix(".")
                if inner not in found:
                    found[inner] = []
                    queue.append((inner, at))
                found[inner].append(at)
    return found


def _models(annotation: Any) -> Iterator[tuple[type[BaseModel], str]]:  # noqa: ANN401 types as values
    if annotation in (EnvSecret, FileSecret):
        return
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, ""
        return
    origin = get_origin(annotation)
    suffix = ".NAME" if origin is dict else "[]" if origin in (list, frozenset) else ""
    for argument in get_args(annotation):
        for model, rest in _models(argument):
            yield model, f"{suffix}{rest}"


def _row(name: str, field: FieldInfo, places: dict[type[BaseModel], list[str]]) -> tuple[str, str, str, str]:
    if field.is_required():
        default = "required"
    else:
        value = field.get_default(call_default_factory=True)
        default = "" if isinstance(value, BaseModel) else default_of(value)
    return code(name), taken(field.annotation, places), default, field.description or ""


def taken(annotation: Any, places: dict[type[BaseModel], list[str]] | None = None) -> str:  # noqa: ANN401
    """What a key takes, in words, from its type."""
    origin, arguments = get_origin(annotation), [a for a in get_args(annotation) if a is not type(None)]
    if origin in (Union, UnionType):
        words = dict.fromkeys(taken(argument, places) for argument in arguments)
        return " or ".join(words)
    if origin is Annotated:
        return taken(arguments[0], places)
    if origin is Literal:
        return ", ".join(code(argument) for argument in arguments)
    if origin is dict:
        return f"{taken(arguments[0], places)} → {taken(arguments[1], places)}"
    if origin in (list, tuple, frozenset):
        return f"list of {taken(arguments[0], places)}"
    return _plain(annotation, places or {})


def _plain(annotation: Any, places: dict[type[BaseModel], list[str]]) -> str:  # noqa: ANN401
    if annotation in (EnvSecret, FileSecret):
        return "secret"
    if annotation in places:
        return f"[keys](#{anchor(_heading(places[annotation]))})"
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return f"[{annotation.__name__.lower()}](reasons.md#{annotation.__name__.lower()})"
    return WORDS.get(annotation, getattr(annotation, "__name__", "text").lower())
