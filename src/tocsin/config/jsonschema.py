"""What may stand in a mapping file and in a native body, as JSON Schemas for editors and senders.

Generated from the models that read them: `tocsin schema --write mappings/schema`, and `--check` in `make check`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tocsin import connectors
from tocsin.config.files import ConnectorIn, MappingFile
from tocsin.sources._alert_body import AlertBody
from tocsin.sources._change_body import ChangeBody

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DEFS = "#/$defs/{model}"
_SECRET = {"anyOf": [{"$ref": "#/$defs/EnvSecret"}, {"$ref": "#/$defs/FileSecret"}]}
_SCALARS = ("number", "integer", "boolean")

Schema = dict[str, Any]


def schemas() -> dict[str, Schema]:
    """Name → schema: `tocsin` for any mapping file, `alert` and `change` for native bodies."""
    return {
        "alert": {"$schema": DIALECT, **AlertBody.model_json_schema(ref_template=_DEFS)},
        "change": {"$schema": DIALECT, **ChangeBody.model_json_schema(ref_template=_DEFS)},
        "tocsin": _mapping_file(),
    }


def texts() -> dict[str, str]:
    """File name → text, as it is kept in mappings/schema."""
    return {f"{name}.schema.json": _text(schema) for name, schema in schemas().items()}


def write(directory: Path) -> list[str]:
    """Write every schema; answers the names of the files."""
    directory.mkdir(parents=True, exist_ok=True)
    written = texts()
    for name, text in written.items():
        (directory / name).write_text(text, encoding="utf-8")
    return sorted(written)


def stale(directory: Path) -> list[str]:
    """The schema files that are missing or differ from what the models say now."""
    return sorted(name for name, text in texts().items() if _kept(directory / name) != text)


def _kept(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _text(schema: Schema) -> str:
    return json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _mapping_file() -> Schema:
    schema = MappingFile.model_json_schema(ref_template=_DEFS)
    definitions = schema["$defs"]
    ours = _ours(definitions.pop("ConnectorIn"))
    kinds = []
    for kind in connectors.names():
        definitions[f"Connector_{kind}"] = _connector(kind, ours, definitions)
        kinds.append({"$ref": f"#/$defs/Connector_{kind}"})
    schema["properties"]["connectors"]["additionalProperties"] = {"oneOf": kinds}
    for section in schema["properties"].values():
        _allow_empty(section)
    return {"$schema": DIALECT, **schema, "title": "Tocsin mapping file"}


def _allow_empty(section: Schema) -> None:
    """A section with nothing below its name is an empty one."""
    if section.get("type") == "object":
        section["type"] = ["object", "null"]


def _ours(connector: Schema) -> Schema:
    return {name: field for name, field in connector["properties"].items() if name in ConnectorIn.model_fields}


def _connector(kind: str, ours: Schema, definitions: Schema) -> Schema:
    """One destination of this kind: our fields beside those of the connector's Config."""
    config: type[BaseModel] = connectors.find(kind).Config
    own = config.model_json_schema(ref_template=f"#/$defs/{kind}_{{model}}")
    for name, definition in own.pop("$defs", {}).items():
        definitions[f"{kind}_{name}"] = _each(definition, _as_reference)
    fields = {name: _each(field, _as_reference) for name, field in own.get("properties", {}).items()}
    for name, field in fields.items():
        if "SecretStr" not in str(config.model_fields[name].annotation):
            fields[name] = _or_reference(field)
    return {
        "type": "object",
        "title": connectors.find(kind).title,
        "description": own.get("description", ""),
        "properties": {**ours, **fields, "kind": {"const": kind, "description": ours["kind"]["description"]}},
        "required": ["kind", *own.get("required", [])],
        "additionalProperties": False,
    }


def _each(schema: Any, change: Callable[[Schema], Schema]) -> Any:  # noqa: ANN401 a JSON value
    """The schema with `change` applied to every object in it, innermost first."""
    if isinstance(schema, dict):
        return change({name: _each(value, change) for name, value in schema.items()})
    if isinstance(schema, list):
        return [_each(value, change) for value in schema]
    return schema


def _as_reference(schema: Schema) -> Schema:
    """A secret is written as a reference, never as text."""
    if schema.get("format") != "password":
        return schema
    kept: Schema = {name: schema[name] for name in ("description", "title", "default") if name in schema}
    return {**kept, **_SECRET}


def _or_reference(field: Schema) -> Schema:
    """An address may differ from place to place: any plain text field may also be a reference."""
    if field.get("type") != "string" or "enum" in field:
        return field
    told: Schema = {name: field[name] for name in ("description", "title", "default") if name in field}
    plain = {name: value for name, value in field.items() if name not in told}
    plain["type"] = ["string", *_SCALARS]
    return {**told, "anyOf": [plain, *_SECRET["anyOf"]]}
