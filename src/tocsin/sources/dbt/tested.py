"""Which table and column does a dbt test check? From its name, the tables around it and its compiled SQL.

A generic test is called `<test>_<table>_<column>__<arguments>`, with underscores everywhere; only a table that is known
tells where the parts meet. https://docs.getdbt.com/reference/resource-properties/data-tests
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

_RELATION = re.compile(r"\b(?:from|join)\s+([\w$\"`\[\]-]+(?:\s?\.\s?[\w$\"`\[\]-]+)+)", re.I)
"""A table with its schema: what has no dot is a common table expression."""
_QUOTES = str.maketrans("", "", '"`[]')
_GENERIC = re.compile(
    r"(source_)?(unique|not_null|accepted_values|relationships|dbt_utils|dbt_expectations|elementary)_"
)
_OF_COLUMN = re.compile(
    r"^(unique|not_null|accepted_values|relationships)$|expect_column_|elementary_column_"
    r"|dbt_utils_(accepted_range|at_least_one|relationships_where|sequential_values|not_(constant|null_proportion|empty))"
)
"""Tests of one column: its name comes first after the table's. Others have other arguments there."""
MAX_SQL = 20_000


class Tested(NamedTuple):
    name: str
    """The test's own name, without the hash."""
    kind: str
    """`not_null`, `accepted_values`, `dbt_utils_expression_is_true` …; a singular test's whole name."""
    dataset: str
    column: str
    relation: str


def tested(resource_type: str, names: Sequence[str], sql: str, known: frozenset[str]) -> Tested:
    """What the test is about; `dataset` is empty when nothing tells. `names` are its id's parts after the project."""
    if resource_type == "unit_test":
        model, name = (names[0], names[-1]) if len(names) > 1 else ("", names[0] if names else "unit test")
        return Tested(name=name, kind="unit_test", dataset=model, column="", relation="")
    name = names[0] if names else "test"
    relations = list(_relations(sql))
    tables = {relation[-1]: relation for relation in reversed(relations)}
    table = _first_in(name, tables) or _first_in(name, known)
    singular = len(names) < 2 and not _GENERIC.match(name)
    if singular or not table:
        first = relations[0] if relations else ()
        return Tested(name=name, kind=name, dataset=first[-1] if first else table, column="", relation=".".join(first))
    kind, _, rest = name.partition(f"_{table}")
    relation = tables.get(table, ())
    kind, dataset = _of_source(kind, table, relation) if kind.startswith("source_") else (kind, table)
    column = rest.removeprefix("_").partition("__")[0] if _OF_COLUMN.search(kind) else ""
    return Tested(name=name, kind=kind, dataset=dataset, column=column, relation=".".join(relation))


def _relations(sql: str) -> Iterator[tuple[str, ...]]:
    for found in _RELATION.finditer(sql[:MAX_SQL]):
        yield tuple(part.strip() for part in found[1].translate(_QUOTES).split("."))


def _first_in(name: str, tables: Iterable[str]) -> str:
    """The table that stands first in the test's name as a part of its own, after the test's kind, the longest of those
    that begin there: a later one is the test's argument (`relationships_orders_customer_id__id__ref_customers_`)."""
    places = [(f"{name}_".find(f"_{table}_"), -len(table), table) for table in tables if table]
    return min((place for place in places if place[0] >= 0), default=(0, 0, ""))[2]


def _of_source(kind: str, table: str, relation: tuple[str, ...]) -> tuple[str, str]:
    """`source_not_null_raw` over table orders → (`not_null`, `raw.orders`), when the schema is called as the source."""
    kind = kind.removeprefix("source_")
    schema = relation[-2] if len(relation) > 1 else ""
    if schema and kind.endswith(f"_{schema}"):
        return kind.removesuffix(f"_{schema}"), f"{schema}.{table}"
    return kind, table
