"""Which issues does a JQL query select? A bounded part of the language, with Jira's own refusals.

project = OPS AND labels in (a, b) AND statusCategory != Done AND created >= -15m ORDER BY created DESC
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tocsin.simulators.jira import adf
from tocsin.simulators.jira.site import CATEGORIES, Issue

_TOKEN = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\(|\)|,|!=|!~|>=|<=|=|~|>|<|[^\s()=!~<>,"']+)""")
_AGO = re.compile(r"([+-]?\d+)\s*([wdhm])")
_UNIT = {"w": timedelta(weeks=1), "d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
_MOMENTS = ("%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M", "%Y-%m-%d", "%Y/%m/%d")
UNBOUNDED = "Unbounded JQL queries are not allowed here. Please add a search restriction to your query."

Test = Callable[[Issue], bool]


class BadQuery(Exception):
    """400 with this text in errorMessages."""


@dataclass(frozen=True, slots=True)
class Found:
    """A read query: a test and an order."""

    test: Test
    order: tuple[tuple[str, bool], ...]
    """(field, descending)."""

    def select(self, issues: list[Issue]) -> list[Issue]:
        """The issues that match, newest first unless ordered otherwise."""
        found = [issue for issue in reversed(issues) if self.test(issue)]
        for name, descending in reversed(self.order):
            found.sort(key=_sort_key(name), reverse=descending)
        return found


_VALUES: dict[str, Callable[[Issue], list[str]]] = {
    "project": lambda one: [one.project.key, one.project.id, one.project.name],
    "key": lambda one: [one.key],
    "id": lambda one: [one.id],
    "labels": lambda one: one.labels,
    "status": lambda one: [one.state.name, one.state.id],
    "statuscategory": lambda one: [
        str(CATEGORIES[one.state.category]["name"]),
        one.state.category,
        str(CATEGORIES[one.state.category]["id"]),
    ],
    "resolution": lambda one: [one.resolution] if one.resolution else [],
    "issuetype": lambda one: [_named(one.fields.get("issuetype"))],
    "priority": lambda one: [_named(one.fields.get("priority"))] if one.fields.get("priority") else [],
    "component": lambda one: [_named(part) for part in _listed(one.fields.get("components"))],
    "summary": lambda one: [one.summary],
    "description": lambda one: [adf.to_text(one.fields.get("description"))],
    "text": lambda one: [one.summary, adf.to_text(one.fields.get("description"))],
}
_ALIASES = {"issuekey": "key", "issue": "key", "type": "issuetype", "createddate": "created", "updateddate": "updated"}
_TIMES: dict[str, Callable[[Issue], datetime]] = {
    "created": lambda one: one.created,
    "updated": lambda one: one.updated,
}


def read(text: str, *, now: datetime, projects: frozenset[str]) -> Found:
    """A query from its text. BadQuery: unreadable, unknown field or project, or without any restriction."""
    restriction, _, order = re.split(r"(?i)(\border\s+by\b)", text, maxsplit=1) if _has_order(text) else (text, "", "")
    if not restriction.strip():
        raise BadQuery(UNBOUNDED)
    reader = _Reader(_tokens(restriction), now, projects)
    test = reader.either()
    if reader.left:
        raise BadQuery(f"Error in the JQL Query: Expecting either 'OR' or 'AND' but got '{reader.left[0]}'.")
    return Found(test, tuple(_orders(order)))


def _has_order(text: str) -> bool:
    return re.search(r"(?i)\border\s+by\b", text) is not None


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadQuery(f"Error in the JQL Query: The character '{text[at]}' is a reserved JQL character.")
        tokens.append(match[1])
        at = match.end()
    return tokens


def _orders(text: str) -> list[tuple[str, bool]]:
    orders = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, direction = part.partition(" ")
        orders.append((_field(name), direction.strip().lower() == "desc"))
    return orders


class _Reader:
    """Reads tokens from left to right: OR of AND of NOT of comparisons."""

    def __init__(self, tokens: list[str], now: datetime, projects: frozenset[str]) -> None:
        self.left = tokens
        self._now = now
        self._projects = projects

    def either(self) -> Test:
        tests = [self.both()]
        while self._skips("or"):
            tests.append(self.both())
        return lambda issue: any(test(issue) for test in tests)

    def both(self) -> Test:
        tests = [self.one()]
        while self._skips("and"):
            tests.append(self.one())
        return lambda issue: all(test(issue) for test in tests)

    def one(self) -> Test:
        if self._skips("not"):
            negated = self.one()
            return lambda issue: not negated(issue)
        if self._skips("("):
            inner = self.either()
            self._expect(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Test:
        name = _field(self._next())
        operator = self._next().lower()
        if operator == "not":
            self._expect("in")
            operator = "not in"
        if operator == "is":
            return self._emptiness(name)
        values = self._values() if operator in ("in", "not in") else [_bare(self._next())]
        unknown = [value for value in values if name == "project" and value.lower() not in self._projects]
        if unknown:
            raise BadQuery(f"The value '{unknown[0]}' does not exist for the field 'project'.")
        if name in _TIMES:
            return self._moment(name, operator, values[0])
        return _matching(name, operator, values)

    def _emptiness(self, name: str) -> Test:
        wanted = not self._skips("not")
        if self._next().lower() not in ("empty", "null"):
            raise BadQuery("Error in the JQL Query: Expecting EMPTY or NULL after 'is'.")
        return lambda issue: (not _VALUES[name](issue)) is wanted

    def _moment(self, name: str, operator: str, text: str) -> Test:
        moment = _moment_of(text, self._now)
        compare: dict[str, Callable[[datetime], bool]] = {
            ">": lambda at: at > moment,
            ">=": lambda at: at >= moment,
            "<": lambda at: at < moment,
            "<=": lambda at: at <= moment,
            "=": lambda at: at == moment,
            "!=": lambda at: at != moment,
        }
        if operator not in compare:
            raise BadQuery(f"The operator '{operator}' is not supported by the '{name}' field.")
        return lambda issue: compare[operator](_TIMES[name](issue))

    def _values(self) -> list[str]:
        self._expect("(")
        values = [_bare(self._next())]
        while self._skips(","):
            values.append(_bare(self._next()))
        self._expect(")")
        return values

    def _next(self) -> str:
        if not self.left:
            raise BadQuery("Error in the JQL Query: the query ends too early.")
        return self.left.pop(0)

    def _skips(self, word: str) -> bool:
        if self.left and self.left[0].lower() == word:
            self.left.pop(0)
            return True
        return False

    def _expect(self, word: str) -> None:
        if not self._skips(word):
            raise BadQuery(
                f"Error in the JQL Query: Expecting '{word}' but got '{self.left[0] if self.left else 'EOF'}'."
            )


def _matching(name: str, operator: str, values: list[str]) -> Test:
    wanted = {value.lower() for value in values}
    # Labels are compared as they are written; names of things are not.
    exact = set(values)

    def has(issue: Issue) -> bool:
        held = _VALUES[name](issue)
        return bool(exact & set(held)) if name == "labels" else bool(wanted & {value.lower() for value in held})

    def contains(issue: Issue) -> bool:
        words = values[0].lower().replace("*", "").split()
        text = " ".join(_VALUES[name](issue)).lower()
        return all(word in text for word in words)

    tests: dict[str, Test] = {
        "=": has,
        "in": has,
        "!=": lambda issue: bool(_VALUES[name](issue)) and not has(issue),  # as in Jira, empty is not unequal
        "not in": lambda issue: bool(_VALUES[name](issue)) and not has(issue),
        "~": contains,
        "!~": lambda issue: not contains(issue),
    }
    if operator not in tests:
        raise BadQuery(f"Error in the JQL Query: The operator '{operator}' is not supported by the '{name}' field.")
    return tests[operator]


def _field(token: str) -> str:
    name = _bare(token).lower()
    name = _ALIASES.get(name, name)
    if name not in _VALUES and name not in _TIMES:
        raise BadQuery(f"Field '{_bare(token)}' does not exist or you do not have permission to view it.")
    return name


def _bare(token: str) -> str:
    quoted = len(token) >= 2 and token[0] == token[-1] and token[0] in "\"'"
    return re.sub(r"\\(.)", r"\1", token[1:-1]) if quoted else token


def _moment_of(text: str, now: datetime) -> datetime:
    if match := _AGO.fullmatch(text):
        return now + int(match[1]) * _UNIT[match[2]]
    for form in _MOMENTS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise BadQuery(f"Date value '{text}' is invalid. Valid formats include: 'yyyy-MM-dd HH:mm', 'yyyy-MM-dd', '-5d'.")


def _sort_key(name: str) -> Callable[[Issue], tuple[datetime | str, int]]:
    if name in _TIMES:
        return lambda issue: (_TIMES[name](issue), int(issue.id))
    if name == "key":
        return lambda issue: (issue.project.key, int(issue.key.rpartition("-")[2]))
    return lambda issue: (" ".join(_VALUES[name](issue)[:1]), int(issue.id))


def _named(value: object) -> str:
    return str(value.get("name", "")) if isinstance(value, dict) else ""


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []
