"""Which rows does an encoded query select, and in what order?

As on a real instance, a part that makes no sense (unknown column or operator) is ignored, so that a typo selects more
rows, not fewer (glide.invalid_query.returns_no_rows=false; reference vendors.md §3.1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Row = dict[str, str]
ValueOf = Callable[[Row, str], str | None]
"""The value of a column of a row, also dot-walked; None when there is no such column."""

_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "ISNOTEMPTY": lambda value, _: value != "",
    "ISEMPTY": lambda value, _: value == "",
    "NOT LIKE": lambda value, asked: asked.lower() not in value.lower(),
    "NOT IN": lambda value, asked: value not in asked.split(","),
    "STARTSWITH": lambda value, asked: value.lower().startswith(asked.lower()),
    "ENDSWITH": lambda value, asked: value.lower().endswith(asked.lower()),
    "LIKE": lambda value, asked: asked.lower() in value.lower(),
    "IN": lambda value, asked: value in asked.split(","),
    "!=": lambda value, asked: value != asked,
    ">=": lambda value, asked: _ordered(value) >= _ordered(asked),
    "<=": lambda value, asked: _ordered(value) <= _ordered(asked),
    ">": lambda value, asked: _ordered(value) > _ordered(asked),
    "<": lambda value, asked: _ordered(value) < _ordered(asked),
    "=": lambda value, asked: value == asked,
}
_CONDITION = re.compile(rf"([a-z_][a-z0-9_.]*?)({'|'.join(map(re.escape, _OPERATORS))})(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Condition:
    column: str
    operator: str
    value: str

    def holds(self, row: Row, value_of: ValueOf) -> bool:
        return _OPERATORS[self.operator](value_of(row, self.column) or "", self.value)


@dataclass(frozen=True, slots=True)
class _Order:
    column: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Query:
    """Alternatives (^NQ) of conditions that must all hold, each a choice of conditions (^OR)."""

    alternatives: tuple[tuple[tuple[_Condition, ...], ...], ...]
    orders: tuple[_Order, ...]

    def selected(self, rows: Iterable[Row], value_of: ValueOf) -> list[Row]:
        """The rows that match, in the order asked for, else in order of insertion."""
        found = [row for row in rows if self._matches(row, value_of)]
        for order in reversed(self.orders):
            found.sort(key=lambda row: _ordered(value_of(row, order.column) or ""), reverse=order.descending)
        return found

    def _matches(self, row: Row, value_of: ValueOf) -> bool:
        return any(
            all(any(condition.holds(row, value_of) for condition in choice) for choice in alternative)
            for alternative in self.alternatives
        )


def parsed(text: str, *, known: Callable[[str], bool]) -> Query:
    """A query from its encoded form; parts whose column is not `known` or that cannot be read are left out."""
    alternatives: list[tuple[tuple[_Condition, ...], ...]] = []
    orders: list[_Order] = []
    for alternative in text.split("^NQ"):
        choices: list[list[_Condition]] = []
        # ^OR before a capital ORDERBY is not an alternative: "^ORDERBYnumber" is a part of its own.
        for part in re.split(r"\^(?!OR(?!DERBY))", alternative):
            if part.startswith("ORDERBY"):
                orders += _order(part, known)
                continue
            conditions = [found for piece in re.split(r"\^OR(?!DERBY)", part) if (found := _condition(piece, known))]
            if conditions:
                choices.append(conditions)
        alternatives.append(tuple(map(tuple, choices)))
    return Query(tuple(alternatives), tuple(orders))


def _condition(part: str, known: Callable[[str], bool]) -> _Condition | None:
    match = _CONDITION.fullmatch(part)
    if match is None or not known(match[1]) or match[3].startswith("javascript:"):
        return None
    return _Condition(match[1], match[2], match[3])


def _order(part: str, known: Callable[[str], bool]) -> Sequence[_Order]:
    descending = part.startswith("ORDERBYDESC")
    column = part.removeprefix("ORDERBYDESC" if descending else "ORDERBY")
    return [_Order(column, descending)] if known(column) else []


def _ordered(value: str) -> tuple[int, int, str]:
    """Numbers by size, the rest (dates too) by text."""
    return (0, int(value), "") if re.fullmatch(r"-?\d{1,15}", value) else (1, 0, value)
