"""Which TOCSIN_* variables are there?"""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from tocsin.cli._reference.markdown import code, default_of, table
from tocsin.config.settings import FROM_FILE, PREFIX, Settings

INTRO = """# Settings

What a process is told by its environment. An empty variable counts as not set; no `.env` file is read by Tocsin
itself. A setting marked `file` may also come from a file: `{prefix}DATA_KEY_FILE=/run/secrets/data_key` in place of
`{prefix}DATA_KEY` (both at once are refused). `tocsin up` fills in database, Redis, keys and directories by itself.

"""

OUTRO = """
Variables that mappings name as `{env: X}` are looked up in the environment of the process that loads them: web,
workers and beat all need them.

`PROMETHEUS_MULTIPROC_DIR` joins the metrics of several processes, see [metrics](metrics.md).
"""


def page() -> str:
    """Every setting, its default and what it is for."""
    rows = [
        (code(f"{PREFIX}{name.upper()}"), _default(field), _described(name, field))
        for name, field in Settings.model_fields.items()
    ]
    return INTRO.format(prefix=PREFIX) + table(("variable", "default", "what it is"), rows) + OUTRO


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None or isinstance(field.default, SecretStr):
        return ""
    return default_of(field.default)


def _described(name: str, field: FieldInfo) -> str:
    return " ".join([field.description or "", *_bounds(field), *(["`file`"] if name in FROM_FILE else [])])


def _bounds(field: FieldInfo) -> list[str]:
    if get_origin(field.annotation) is Literal:
        return [f"One of {', '.join(get_args(field.annotation))}."]
    limits: dict[str, Any] = {}
    for limit in field.metadata:
        limits |= {name: getattr(limit, name) for name in ("ge", "le") if hasattr(limit, name)}
    return [f"From {limits['ge']:,} to {limits['le']:,}."] if {"ge", "le"} <= limits.keys() else []
