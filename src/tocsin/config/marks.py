"""What does a YAML file say, on which line, and how does a finding name that place?

Safe YAML only: no tags, no merge keys, no duplicate keys, few aliases. Scalars stay the text that was written (null
apart): `4.10` is a version and `off` a mode, not a number and a boolean; pydantic makes of them what a field wants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice

import yaml

MAX_BYTES = 2_000_000
"""Of one file. 20,000 catalogue entries fit."""
MAX_DEPTH = 40
MAX_ALIASES = 200
MAX_NODES = 400_000
"""After aliases are expanded: a few nested aliases can otherwise stand for billions ("billion laughs")."""
MAX_DOCUMENTS = 2_000

_SCALARS = ("str", "int", "float", "bool", "null", "timestamp", "value")
_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in (*_SCALARS, "seq", "map"))

Step = str | int
Path = tuple[Step, ...]


class Level(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing wrong in the mappings. `where` is `file:line`, `remedy` what to do about it."""

    level: Level = Level.ERROR
    where: str
    field: str
    message: str
    remedy: str = ""

    @property
    def place(self) -> tuple[str, int, str]:
        """File, line and field, to sort by."""
        file, _, line = self.where.rpartition(":")
        return file, int(line) if line.isdigit() else 0, self.field

    def __str__(self) -> str:
        said = f"{self.where}: {self.field}: {self.message}" if self.field else f"{self.where}: {self.message}"
        return f"{said}; {self.remedy}" if self.remedy else said


class Unreadable(ValueError):
    """The text is not the YAML that we take; carries the finding."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(str(finding))


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One YAML document: plain data (dict, list, str, None) and the line of every key and item."""

    file: str
    data: object
    lines: Mapping[Path, int] = field(repr=False)

    def where(self, path: Sequence[Step] = ()) -> str:
        """`file:line` of the nearest written ancestor of `path`."""
        steps = tuple(path)
        while steps and steps not in self.lines:
            steps = steps[:-1]
        return f"{self.file}:{self.lines.get(steps, 1)}"

    def written(self, path: Sequence[Step]) -> Path:
        """The part of a pydantic error's location that stands in the file: names of union members drop out."""
        steps: Path = ()
        for step in path:
            if (*steps, step) in self.lines:
                steps = (*steps, step)
        return steps


def field_name(path: Sequence[Step]) -> str:
    """`("teams", "ml", "owns", 2, "pattern")` → `teams.ml.owns[2].pattern`."""
    said = ""
    for step in path:
        said += f"[{step}]" if isinstance(step, int) else f".{step}"
    return said.removeprefix(".")


def read(text: str, file: str) -> Document:
    """The one document of a mapping file; an empty file is an empty mapping. Raises Unreadable."""
    found = list(islice(documents(text, file), 2))
    if len(found) > 1:
        raise _unreadable(file, found[1].lines[()], "a second YAML document starts here", "one file, one document")
    return found[0] if found else Document(file=file, data={}, lines={(): 1})


def documents(text: str, file: str) -> Iterator[Document]:
    """Every document of a YAML stream, in order. Raises Unreadable for what is not plain, bounded YAML."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise _unreadable(file, 1, f"the file is larger than {MAX_BYTES:,} bytes", "split it into several files")
    try:
        _measure(text, file)
        for count, node in enumerate(yaml.compose_all(text, Loader=yaml.CSafeLoader)):
            if count == MAX_DOCUMENTS:
                raise _unreadable(file, node.start_mark.line + 1, f"more than {MAX_DOCUMENTS:,} documents", "split it")
            reader = _Reader(file)
            data = reader.build(node, ())
            yield Document(file=file, data=data, lines=reader.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise _unreadable(file, line, f"is not YAML: {error.problem or error.context}", "mend the syntax") from None
    except yaml.YAMLError as error:
        reason = str(error).splitlines()[0]
        raise _unreadable(file, 1, f"is not YAML: {reason}", "save the file as UTF-8 text") from None


def _measure(text: str, file: str) -> None:
    """Walk the events, which takes no recursion, before anything is built."""
    depth = aliases = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        line = event.start_mark.line + 1 if event.start_mark else 1
        if depth > MAX_DEPTH:
            raise _unreadable(file, line, f"is nested deeper than {MAX_DEPTH}", "flatten it")
        if aliases > MAX_ALIASES:
            raise _unreadable(file, line, f"more than {MAX_ALIASES} aliases (*name)", "write the values out")


class _Reader:
    """Builds plain data of one document and notes the lines."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Path, int] = {}

    def build(self, node: yaml.Node, path: Path) -> object:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        if len(self.lines) > MAX_NODES or len(path) > MAX_DEPTH:
            raise _unreadable(self.file, line, "aliases (*name) unfold into too much", "write the values out")
        if node.tag not in _TAGS:
            raise _unreadable(self.file, line, f"the tag {_short(node.tag)} is not allowed", "write a plain value")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, at)) for at, item in enumerate(node.value)]
        return None if node.tag == "tag:yaml.org,2002:null" else node.value

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        built: dict[str, object] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == "tag:yaml.org,2002:merge":
                raise _unreadable(self.file, line, "merge keys (<<) are not supported", "write the fields out")
            if not isinstance(key, yaml.ScalarNode) or key.tag not in _TAGS:
                raise _unreadable(self.file, line, "a key is not plain text", "write `name: value`")
            here = (*path, key.value)
            if key.value in built:
                first = self.lines[here]
                message = f"the key stands twice, first on line {first}"
                raise _unreadable(self.file, line, message, "keep one of them", field=field_name(here))
            self.lines[here] = line
            built[key.value] = self.build(value, here)
        return built


def _short(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _unreadable(file: str, line: int, message: str, remedy: str, *, field: str = "") -> Unreadable:
    return Unreadable(Finding(where=f"{file}:{line}", field=field, message=message, remedy=remedy))
