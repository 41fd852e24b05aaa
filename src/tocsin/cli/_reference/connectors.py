"""Which ways out are there, and what may be said of each?"""

from __future__ import annotations

from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from tocsin import connectors
from tocsin.cli._reference.mappings import taken
from tocsin.cli._reference.markdown import code, default_of, first_sentence, table
from tocsin.config.files import ConnectorIn
from tocsin.connectors import Connector

INTRO = """# Connectors

A destination is an entry of `connectors:` in the mappings: its name, a `kind`, and the keys below. Fields of type
*secret* are `{env: NAME}` or `{file: path}`; any other plain text may be such a reference too.

"""
HEAD = ("key", "what it takes", "default", "what it is")


def page() -> str:
    """What every connector takes, and the own keys of each."""
    every = table(HEAD, (_row(name, field) for name, field in ConnectorIn.model_fields.items()))
    return f"{INTRO}## Every connector\n\n{every}" + "".join(_one(connectors.find(kind)) for kind in connectors.names())


def _one(connector: Connector[Any]) -> str:
    rows = table(HEAD, (_row(name, field) for name, field in connector.Config.model_fields.items()))
    asks = ", ".join(code(name) for name in connector.expects)
    address = f"A team's `destinations` may give here: {asks}." if asks else "It needs no address of a team."
    again = (
        "An outage that fires again reopens its record."
        if connector.reopens
        else "A record that was resolved stays so: an outage that fires again gets the next one."
    )
    about = first_sentence(connector.Config.__doc__)
    return f"\n## `{connector.kind}`\n\n{connector.title}. {about} {address} {again}\n\n{rows}"


def _row(name: str, field: FieldInfo) -> tuple[str, str, str, str]:
    secret = SecretStr in (field.annotation, *_leaves(field.annotation))
    words = taken(field.annotation).replace("secretstr", "secret") if secret else taken(field.annotation)
    default = "required" if field.is_required() else default_of(field.get_default(call_default_factory=True))
    return code(name), words, default, field.description or ""


def _leaves(annotation: Any) -> list[Any]:  # noqa: ANN401 types as values
    return [leaf for argument in get_args(annotation) for leaf in (argument, *_leaves(argument))]
