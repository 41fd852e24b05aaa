"""Does what is written fit its model, and if not: where, what is wrong, and what to write instead?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tocsin.config.marks import Document, Finding, Path, Step, field_name

M = TypeVar("M", bound=BaseModel)

_SECRET = "write {env: NAME} or {file: path}, never the secret itself"


def fit(
    model: type[M], data: object, document: Document, path: Path = (), *, offers: Iterable[str] = ()
) -> tuple[M | None, list[Finding]]:
    """The model built from `data`, which stands at `path` of the document; or None and a finding for each mistake.
    `offers` are further keys to suggest for a misspelt one. No finding holds what was written."""
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    found = [_finding(model, detail, document, path, tuple(offers)) for detail in details]
    unique = {(f.where, f.field): f for f in reversed(found)}  # a union reports each of its members
    return None, list(reversed(unique.values()))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean "x"?`, or what there is to choose from; empty when there is nothing."""
    names = sorted(set(known))
    near = get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f'did you mean "{near[0]}"?'
    return f"choose one of {', '.join(names)}" if names else ""


def _finding(
    model: type[BaseModel], detail: ErrorDetails, document: Document, path: Path, offers: tuple[str, ...]
) -> Finding:
    location: tuple[Step, ...] = detail["loc"]
    written = document.written((*path, *location))
    message, remedy = _worded(model, detail, offers)
    if detail["type"] == "missing":
        written = (*document.written((*path, *location[:-1])), location[-1])
    return Finding(where=document.where(written), field=field_name(written), message=message, remedy=remedy)


def _worded(model: type[BaseModel], detail: ErrorDetails, offers: tuple[str, ...]) -> tuple[str, str]:
    kind, location = detail["type"], detail["loc"]
    said = detail["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        known = {name for found in _models_at(model, location[:-1]) for name in found.model_fields}
        return "unknown key", did_you_mean(str(location[-1]), (*known, *offers))
    if kind == "missing":
        return "is missing", _described(model, location)
    if any("Secret" in str(step) for step in location):
        return "is not a reference to a secret", _SECRET
    if said.startswith("Input should be "):
        return f"should be {said.removeprefix('Input should be ')}", ""
    message, _, remedy = said.partition("; ")
    return message, remedy


def _described(model: type[BaseModel], location: tuple[Step, ...]) -> str:
    for found in _models_at(model, location[:-1]):
        field = found.model_fields.get(str(location[-1]))
        if field is not None and field.description:
            return f"add it: {field.description}"
    return "add it"


def _models_at(annotation: Any, location: tuple[Step, ...]) -> Iterator[type[BaseModel]]:  # noqa: ANN401 types as values
    """The models that may stand at this location below the annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not location:
            yield annotation
        elif str(location[0]) in annotation.model_fields:
            yield from _models_at(annotation.model_fields[str(location[0])].annotation, location[1:])
        elif str(location[0]) == annotation.__name__:  # pydantic names the member of a union
            yield from _models_at(annotation, location[1:])
        return
    arguments = get_args(annotation)
    inside = location[1:] if get_origin(annotation) in (dict, list, tuple) else location
    for argument in arguments:
        yield from _models_at(argument, inside)
