"""PostgreSQL is the truth: the questions and writes of each step, one file a step."""

from tocsin.store.database import Database, migrate

__all__ = ["Database", "migrate"]
