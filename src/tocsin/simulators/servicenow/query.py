"""Which rows does an encoded query select, and in what order?

    query       = alternative { "^NQ" alternative } [ "^EQ" ]
    alternative = term { "^" term }
    term        = choice | order | join | related
    choice      = condition { "^OR" condition }
    condition   = column operator value            ("^^" in a value is one "^"; javascript: see scripted.py)
    order       = "ORDERBY" column | "ORDERBYDESC" column | "GROUPBY" column
    join        = "JOIN" table.column "=" table.column "!" alternative
    related     = "RLQUERY" table.column "," count [ ",m2m" ] { "^" choice } "^ENDRLQUERY"

As on a real instance, a part that makes no sense (unknown column or operator) is ignored, so that a typo selects more
rows, not fewer (glide.invalid_query.returns_no_rows=false; reference vendors.md §3.1).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from tocsin.simulators.servicenow.scripted import evaluated

Row: TypeAlias = dict[str, str]


class Reader(Protocol):
    """What a query needs of the instance."""

    def rows(self, name: str) -> list[Row]:
        """All rows of a table and of those that extend it."""

    def value(self, name: str, row: Row, column: str) -> str | None:
        """The value of a column, also dot-walked; None when there is no such column."""

    def knows(self, name: str, column: str) -> bool:
        """Whether the table has such a column, also dot-walked."""

    def meaning(self, script: str) -> str | None:
        """What a `javascript:` value stands for; None when it cannot be told."""


def _folded(text: str) -> list[str]:
    return [part.strip().casefold() for part in text.split(",")]


def _between(value: str, asked: str) -> bool:
    low, _, high = asked.partition("@")
    return bool(value) and _ordered(low) <= _ordered(value) <= _ordered(high)


def _on(value: str, asked: str) -> bool:
    """`Label@first moment@last moment`, as the filter builder writes a day."""
    return _between(value, asked.partition("@")[2])


def _equal(value: str, asked: str) -> bool:
    return value.casefold() == ("" if asked == "NULL" else asked.casefold())


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "=": _equal,
    "!=": lambda value, asked: not _equal(value, asked),
    ">": lambda value, asked: _ordered(value) > _ordered(asked),
    ">=": lambda value, asked: _ordered(value) >= _ordered(asked),
    "<": lambda value, asked: _ordered(value) < _ordered(asked),
    "<=": lambda value, asked: _ordered(value) <= _ordered(asked),
    "IN": lambda value, asked: value.casefold() in _folded(asked),
    "NOT IN": lambda value, asked: value.casefold() not in _folded(asked),
    "LIKE": lambda value, asked: asked.casefold() in value.casefold(),
    "CONTAINS": lambda value, asked: asked.casefold() in value.casefold(),
    "*": lambda value, asked: asked.casefold() in value.casefold(),
    "NOT LIKE": lambda value, asked: asked.casefold() not in value.casefold(),
    "DOES NOT CONTAIN": lambda value, asked: asked.casefold() not in value.casefold(),
    "!*": lambda value, asked: asked.casefold() not in value.casefold(),
    "STARTSWITH": lambda value, asked: value.casefold().startswith(asked.casefold()),
    "ENDSWITH": lambda value, asked: value.casefold().endswith(asked.casefold()),
    "%": lambda value, asked: value.casefold().endswith(asked.casefold()),
    "ISEMPTY": lambda value, _: value == "",
    "ISNOTEMPTY": lambda value, _: value != "",
    "EMPTYSTRING": lambda value, _: value == "",
    "ANYTHING": lambda *_: True,
    "BETWEEN": _between,
    "ON": _on,
    "NOTON": lambda value, asked: not _on(value, asked),
}
_AGAINST_COLUMN = {
    "SAMEAS": "=",
    "NSAMEAS": "!=",
    "GT_FIELD": ">",
    "GT_OR_EQUALS_FIELD": ">=",
    "LT_FIELD": "<",
    "LT_OR_EQUALS_FIELD": "<=",
}
"""Operators whose value is another column of the row."""

_LONGEST_FIRST = sorted((*_OPERATORS, *_AGAINST_COLUMN, "INSTANCEOF"), key=len, reverse=True)
_CONDITION = re.compile(rf"([a-z_][a-z0-9_.]*?)({'|'.join(map(re.escape, _LONGEST_FIRST))})(.*)", re.DOTALL)
_JOIN = re.compile(r"JOIN\w+\.(\w+)=(\w+)\.(\w+)!(.*)", re.DOTALL)
_RELATED = re.compile(r"RLQUERY(\w+)\.(\w+),(>=|<=|!=|=|>|<)(\d+)(?:,m2m)?")
_ENDS_A_JOIN = ("ORDERBY", "GROUPBY", "NQ", "JOIN", "RLQUERY")


@dataclass(frozen=True, slots=True)
class _Condition:
    table: str
    column: str
    operator: str
    asked: str

    def holds(self, row: Row, reader: Reader) -> bool:
        value = reader.value(self.table, row, self.column) or ""
        if self.operator == "INSTANCEOF":
            return value == self.asked
        if self.operator in _AGAINST_COLUMN:
            other = reader.value(self.table, row, self.asked) or ""
            return _OPERATORS[_AGAINST_COLUMN[self.operator]](value, other)
        return _OPERATORS[self.operator](value, self.asked)


@dataclass(frozen=True, slots=True)
class _Choice:
    conditions: list[_Condition]

    def holds(self, row: Row, reader: Reader) -> bool:
        return any(condition.holds(row, reader) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class _Join:
    """A row counts when a row of the other table that matches `inner` points at it."""

    table: str
    column: str
    other: str
    other_column: str
    inner: Query

    def holds(self, row: Row, reader: Reader) -> bool:
        mine = reader.value(self.table, row, self.column)
        others = self.inner.selected(reader)
        return any(reader.value(self.other, one, self.other_column) == mine for one in others)


@dataclass(frozen=True, slots=True)
class _Related:
    """A row counts by the number of rows of the other table that match `inner` and point at it."""

    other: str
    other_column: str
    operator: str
    count: str
    inner: Query

    def holds(self, row: Row, reader: Reader) -> bool:
        found = [
            one
            for one in self.inner.selected(reader)
            if reader.value(self.other, one, self.other_column) == row["sys_id"]
        ]
        return _OPERATORS[self.operator](str(len(found)), self.count)


_Term: TypeAlias = _Choice | _Join | _Related


@dataclass(slots=True)
class Query:
    """Alternatives (^NQ) of terms that must all hold."""

    table: str
    alternatives: list[list[_Term]] = field(default_factory=lambda: [[]])
    orders: list[tuple[str, bool]] = field(default_factory=list)
    """(column, descending), the first counts most."""
    groups: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    """The parts that made no sense."""

    def matches(self, row: Row, reader: Reader) -> bool:
        """Whether the row is among those selected."""
        return any(all(term.holds(row, reader) for term in alternative) for alternative in self.alternatives)

    def selected(self, reader: Reader) -> list[Row]:
        """The rows that match, in the order asked for, else in order of insertion."""
        found = [row for row in reader.rows(self.table) if self.matches(row, reader)]
        for column, descending in reversed(self.orders):
            found.sort(key=lambda row: _ordered(reader.value(self.table, row, column) or ""), reverse=descending)
        return found


def parsed(text: str, *, table: str, reader: Reader) -> Query:
    """A query on `table` from its encoded form; parts that cannot be used are kept aside in `ignored`."""
    query = Query(table)
    parts = [part.replace("\0", "^") for part in text.replace("^^", "\0").split("^")]
    at = 0
    while at < len(parts):
        part = parts[at]
        at += 1
        if part.startswith("NQ"):
            query.alternatives.append([])
            part = part[2:]
        if part.startswith("RLQUERY"):
            end = next((n for n in range(at, len(parts)) if parts[n] == "ENDRLQUERY"), len(parts))
            _take_related(query, part, "^".join(parts[at:end]), reader)
            at = end + 1
        elif part.startswith("JOIN"):
            end = next((n for n in range(at, len(parts)) if parts[n].startswith(_ENDS_A_JOIN)), len(parts))
            _take_join(query, "^".join((part, *parts[at:end])), reader)
            at = end
        elif part and part != "EQ":
            _take(query, part, reader)
    return query


def _take(query: Query, part: str, reader: Reader) -> None:
    """One condition, alternative condition, or order."""
    alternative = query.alternatives[-1]
    order = re.fullmatch(r"(ORDERBYDESC|ORDERBY|GROUPBY)(.*)", part)
    if order and reader.knows(query.table, order[2]):
        if order[1] == "GROUPBY":
            query.groups.append(order[2])
        else:
            query.orders.append((order[2], order[1] == "ORDERBYDESC"))
        return
    condition = None if order else _condition(part.removeprefix("OR"), query.table, reader)
    if condition is None:
        query.ignored.append(part)
    elif part.startswith("OR") and alternative and isinstance(alternative[-1], _Choice):
        alternative[-1].conditions.append(condition)
    else:
        alternative.append(_Choice([condition]))


def _take_join(query: Query, text: str, reader: Reader) -> None:
    match = _JOIN.fullmatch(text)
    if match is None:
        query.ignored.append(text)
        return
    inner = parsed(match[4], table=match[2], reader=reader)
    query.alternatives[-1].append(_Join(query.table, match[1], match[2], match[3], inner))


def _take_related(query: Query, head: str, conditions: str, reader: Reader) -> None:
    match = _RELATED.fullmatch(head)
    if match is None:
        query.ignored.append(head)
        return
    inner = parsed(conditions, table=match[1], reader=reader)
    query.alternatives[-1].append(_Related(match[1], match[2], match[3], match[4], inner))


def _condition(part: str, table: str, reader: Reader) -> _Condition | None:
    match = _CONDITION.fullmatch(part)
    if match is None or not reader.knows(table, match[1]):
        return None
    asked = evaluated(match[3], reader.meaning)
    return None if asked is None else _Condition(table, match[1], match[2], asked)


def _ordered(value: str) -> tuple[int, int, str]:
    """Numbers by size, the rest (dates too) by text."""
    return (0, int(value), "") if re.fullmatch(r"-?\d{1,15}", value) else (1, 0, value.casefold())
