"""What does an instance show to somebody who only looks: rows of any table, and who bears a name?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from tocsin.connectors._http import Failure
from tocsin.connectors._inspect import Look
from tocsin.connectors.servicenow import login
from tocsin.connectors.servicenow.config import Config
from tocsin.connectors.servicenow.table import MAX_NAME
from tocsin.domain.record import Reason

Row: TypeAlias = Mapping[str, str]
Named: TypeAlias = Mapping[str, Sequence[Row]]
"""Name → the rows that bear it, in whatever case."""

AT_ONCE = 40
"""Names in one query: the address stays under 2,000 characters for usual names."""
MAX_QUERY = 1_500
_PLAIN = {
    "sysparm_exclude_reference_link": "true",
    "sysparm_display_value": "false",
    "sysparm_suppress_pagination_header": "true",
}
_SYS_ID = re.compile(r"[0-9a-f]{32}")


def is_sys_id(name: str) -> bool:
    """A name may be written as its sys_id."""
    return _SYS_ID.fullmatch(name) is not None


class Instance:
    """One instance, looked at through the Table API with GET only. `headers` are those of the last answer."""

    def __init__(self, config: Config, look: Look) -> None:
        self.config = config
        self.look = look
        self.headers: Mapping[str, str] = {}

    def rows(self, table: str, query: str = "", *, fields: str, limit: int) -> list[Row] | Failure:
        """Rows as texts. The API ignores query parts that it cannot use: whoever asks checks each row again."""
        params = {**_PLAIN, "sysparm_query": query, "sysparm_fields": fields, "sysparm_limit": str(limit)}
        proof = login.headers(self.config, self.look.attempt())
        if isinstance(proof, Failure):
            return proof
        answer = self.look.get(f"{self.config.root}/api/now/table/{table}", headers=proof, params=params)
        if isinstance(answer, Failure):
            return [] if answer.status == 404 else answer
        self.headers = answer.headers
        result = answer.body.get("result") if isinstance(answer.body, dict) else None
        if not isinstance(result, list):
            return Failure("retry", Reason.BAD_ANSWER, answer.status, "the answer holds no result of the Table API")
        return [_texts(row) for row in result if isinstance(row, dict)]

    def named(self, table: str, column: str, names: Iterable[str]) -> Named | Failure:
        """The rows that bear each of these names (or sys_ids), many names a call. A name that would change the
        meaning of the query is not asked for: it has no rows."""
        found: dict[str, list[Row]] = {name: [] for name in names}
        for by, some in (("sys_id", [n for n in found if is_sys_id(n)]), (column, [n for n in found if _askable(n)])):
            for query, asked in _queries(by, some):
                rows = self.rows(table, query, fields=f"sys_id,{column},active", limit=len(asked) * 20)
                if isinstance(rows, Failure):
                    return rows
                for name in asked:
                    found[name] += _bearing(rows, by, name)
        return found


def _bearing(rows: Sequence[Row], column: str, name: str) -> list[Row]:
    """The rows of this name: written just so, else in another case (as the connector itself decides)."""
    alike = [row for row in rows if row.get(column, "").casefold() == name.casefold()]
    return [row for row in alike if row.get(column) == name] or alike


def _askable(name: str) -> bool:
    return not is_sys_id(name) and "^" not in name and not name.startswith("javascript:") and 0 < len(name) <= MAX_NAME


def _queries(column: str, names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Encoded queries for these names: with IN for many at once, alone for a name that holds a comma."""
    batch: list[str] = []
    for name in names:
        if "," in name:
            yield f"{column}={name}", [name]
            continue
        if len(batch) == AT_ONCE or sum(map(len, batch)) + len(name) > MAX_QUERY:
            yield f"{column}IN{','.join(batch)}", batch
            batch = []
        batch.append(name)
    if batch:
        yield f"{column}IN{','.join(batch)}", batch


def _texts(row: Mapping[str, object]) -> Row:
    """Every value as text; a reference in its long form is its value."""
    return {
        name: str(value.get("value", "") if isinstance(value, dict) else value if value is not None else "")
        for name, value in row.items()
    }
