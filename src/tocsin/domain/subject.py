"""What a signal is about: `service:checkout`, `model:churn`, `feature:age_days`, `dataset:orders`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

KINDS = frozenset({"service", "model", "feature", "dataset", "job", "host", "queue", "provider", "unknown"})
"""Kinds that the catalogue knows; `unknown` keeps a raw name that no mapping resolves yet."""


class Subject(str):
    """`kind:name`, a plain string so that it travels through JSON, SQL and YAML unchanged."""

    __slots__ = ()

    @classmethod
    def of(cls, kind: str, name: str) -> Subject:
        """The subject of this kind and name; blanks around either are dropped."""
        return cls(f"{kind.strip()}:{name.strip()}")

    @property
    def kind(self) -> str:
        return self.partition(":")[0]

    @property
    def name(self) -> str:
        return self.partition(":")[2]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:  # noqa: ANN401
        @lru_cache(maxsize=4096)  # thousands of changes and alerts are about the same few hundred
        def parse(text: str) -> Subject:
            kind, colon, name = text.partition(":")
            if not colon or kind not in KINDS or not name.strip():
                raise ValueError(f"{text!r} is not kind:name with a kind of {', '.join(sorted(KINDS))}")
            return cls.of(kind, name)

        return core_schema.no_info_after_validator_function(parse, core_schema.str_schema())
