"""All files of a tree laid together: which entry says what, where it stands, and what is said twice?

Files are read in the order of their paths. What stands in imported/ only fills in what nobody wrote by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import BaseModel

from tocsin.config.files import MappingFile, PoliciesIn
from tocsin.config.marks import Document, Finding, Path, Unreadable, field_name, read
from tocsin.config.shape import fit

IMPORTED = "imported/"

V_co = TypeVar("V_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed(Generic[V_co]):
    """A value and where it was written."""

    value: V_co
    document: Document
    path: Path

    @property
    def where(self) -> str:
        return self.document.where(self.path)

    @property
    def imported(self) -> bool:
        return self.document.file.startswith(IMPORTED)

    def finding(self, message: str, remedy: str = "", *, at: Path = ()) -> Finding:
        """A finding about this value, or about the field `at` of it."""
        path = (*self.path, *at)
        return Finding(where=self.document.where(path), field=field_name(path), message=message, remedy=remedy)


@dataclass(slots=True, kw_only=True)
class Gathered:
    """The named sections, the policies' fields, and everything found wrong on the way."""

    sections: dict[str, dict[str, Placed[BaseModel]]] = field(default_factory=dict)
    policies: dict[str, list[Placed[object]]] = field(default_factory=dict)
    """Field of PoliciesIn → what each file says of it; a list or mapping may come from several files."""
    findings: list[Finding] = field(default_factory=list)


def gather(files: Mapping[str, str]) -> Gathered:
    """Read, check and lay together all mapping files (path → text)."""
    found = Gathered()
    for file in sorted(files, key=lambda name: (name.startswith(IMPORTED), name)):
        try:
            document = read(files[file], file)
        except Unreadable as unreadable:
            found.findings.append(unreadable.finding)
            continue
        data = _without_empty(document.data)
        content, wrong = fit(MappingFile, data, document)
        found.findings.extend(wrong)
        if content is not None:
            _take(found, content, document)
    return found


def _without_empty(data: object) -> object:
    """A section with nothing below its name is an empty section."""
    return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data


def _take(found: Gathered, content: MappingFile, document: Document) -> None:
    for section in sorted(content.model_fields_set - {"policies"}):
        for name, value in getattr(content, section).items():
            _take_entry(found, section, name, Placed(value=value, document=document, path=(section, name)))
    policies = content.policies
    for policy in sorted(policies.model_fields_set):
        placed = Placed(value=getattr(policies, policy), document=document, path=("policies", policy))
        _take_policy(found, policy, placed)


def _take_entry(found: Gathered, section: str, name: str, placed: Placed[BaseModel]) -> None:
    entries = found.sections.setdefault(section, {})
    first = entries.get(name)
    if first is None:
        entries[name] = placed
    elif placed.imported and not first.imported:
        entries[name] = Placed(value=_filled(first.value, placed.value), document=first.document, path=first.path)
    else:
        found.findings.append(placed.finding(f"stands already at {first.where}", "keep one of them"))


def _filled(by_hand: BaseModel, imported: BaseModel) -> BaseModel:
    missing = imported.model_fields_set - by_hand.model_fields_set
    return by_hand.model_copy(update={name: getattr(imported, name) for name in missing})


def _take_policy(found: Gathered, name: str, placed: Placed[object]) -> None:
    parts = found.policies.setdefault(name, [])
    if isinstance(placed.value, dict):
        for key in placed.value:
            for first in parts:
                assert isinstance(first.value, dict)
                if key in first.value:
                    at = first.document.where((*first.path, str(key)))
                    found.findings.append(placed.finding(f"stands already at {at}", "keep one of them", at=(str(key),)))
    elif parts and not isinstance(placed.value, list):
        found.findings.append(placed.finding(f"stands already at {parts[0].where}", "keep one of them"))
    parts.append(placed)


def merged(found: Gathered) -> PoliciesIn:
    """The policies of all files as one."""
    values: dict[str, object] = {}
    for name, parts in found.policies.items():
        first = parts[0].value
        if isinstance(first, dict):
            values[name] = {k: v for part in parts if isinstance(part.value, dict) for k, v in part.value.items()}
        elif isinstance(first, list):
            values[name] = [item for part in parts if isinstance(part.value, list) for item in part.value]
        else:
            values[name] = first
    return PoliciesIn().model_copy(update=values)
