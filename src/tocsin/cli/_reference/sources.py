"""Which producers does Tocsin understand, how is each set up, and what does it make of a message?"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

from tocsin import sources
from tocsin.cli._reference.markdown import anchor, code, first_sentence, span, table
from tocsin.domain.alert import Resolves
from tocsin.domain.message import Source, no_message_id
from tocsin.sources._verify import shared_secret

FIXTURES = Path("tests/sources")
"""Of the repository; an installed package shows no examples."""
COMPANIONS = (".expected.json", ".headers.json", ".hook.json")
SHORT = 45
"""Lines that an example may have."""
ADDRESS = "https://tocsin.example.com/hooks/{name}"
SECRET = "THE-HOOKS-SECRET"

INTRO = """# Sources

A source reads the messages of one producer. `tocsin hooks add SOURCE` opens an address for it and prints the setup
below with your address and secret filled in; `tocsin normalize --source SOURCE FILE` shows what it reads in a body.

A *shared secret* is sent as `Authorization: Bearer …`, as the password of Basic, as `X-Tocsin-Token: …` or as
`?token=…`. A hook may have several secrets while one is being replaced; any of them verifies.

"""

ENDS = {
    Resolves.SENDER: "when the sender says so",
    Resolves.NEXT_PASS: "when the same check passes the next time",
    Resolves.EXPIRY: "by itself, some time after its last report",
}


def page() -> str:
    """A table of all, then each with setup and an example."""
    found = [sources.find(name) for name in sources.names()]
    rows = [(f"[`{s.name}`](#{anchor(s.name)})", s.title, ENDS[s.resolves]) for s in found]
    return INTRO + table(("source", "producer", "an alert ends"), rows) + "".join(_one(source) for source in found)


def _one(source: Source) -> str:
    name = source.name.replace("_", "-")
    facts = [
        ("verification", "; or ".join(verified_by(source.verify))),
        ("sender's message id", _message_id(source)),
        ("an alert ends", ENDS[source.resolves] + (f", {span(source.expires_after)}" if source.expires_after else "")),
        ("ignored on purpose", "; ".join(source.ignores) or "nothing"),
        ("other names", ", ".join(code(alias) for alias in source.aliases)),
        ("own addresses", ", ".join(code(route) for route in source.routes)),
    ]
    setup = source.setup.format(url=ADDRESS.format(name=name), secret=SECRET).strip()
    return (
        f"\n## {source.name}\n\n{source.title}.{_notes(source)}\n\n"
        + table(("", ""), [fact for fact in facts if fact[1]])
        + f"\n{setup}\n{_example(source.name)}"
    )


def _notes(source: Source) -> str:
    """What its module says of the producer: retries, traps, where the facts come from."""
    words = inspect.getdoc(import_module(f"{sources.__name__}.{source.name}")) or ""
    _, _, notes = words.partition("\n\n")
    return f"\n\n{notes.strip()}" if notes.strip() else ""


def verified_by(verify: Callable[..., Any]) -> list[str]:
    """How a sender proves itself, from the check and what it closes over."""
    if verify is shared_secret:
        return ["a shared secret"]
    inside = inspect.getclosurevars(verify).nonlocals
    if "checks" in inside:
        return [words for check in inside["checks"] for words in verified_by(check)]
    if "header" in inside and "prefix" not in inside:
        return [f"`{inside['header']}`: one of the hook's secrets"]
    if "header" in inside:
        prefix = f" after `{inside['prefix']}`" if inside["prefix"] else ""
        algorithm = str(inside["algorithm"]).upper().replace("SHA", "SHA-")
        return [f"`{inside['header']}`: the body's HMAC-{algorithm} in hex{prefix}"]
    return [first_sentence(verify.__doc__).rstrip(".")]


def _message_id(source: Source) -> str:
    if source.message_id is no_message_id:
        return "none"
    return first_sentence(source.message_id.__doc__) or "taken from the request: a message that comes again counts once"


def _example(name: str) -> str:
    """The fullest of the short fixtures, and what was read in it."""
    found = [case for case in map(_case, _bodies(name)) if case is not None]
    if not found:
        return ""
    _, stem, body, read = max(found)
    rows = [tuple(code(value) for value in row) for row in orjson.loads(read)]
    return f"\nExample, `tests/sources/{name}/{stem}.json`:\n\n```json\n{body}\n```\n\nis read as\n\n" + table(
        ("what", "about", "says", "state"), rows
    )


def _bodies(name: str) -> list[Path]:
    return sorted(p for p in (FIXTURES / name).glob("*.json") if not p.name.endswith(COMPANIONS))


def _case(path: Path) -> tuple[int, str, str, str] | None:
    """Lines, name, pretty body and the facts read, as sortable text; None for what shows nothing."""
    expected = path.with_name(f"{path.stem}.expected.json")
    if not expected.is_file():
        return None
    rows = list(_rows(orjson.loads(expected.read_bytes())))
    try:
        body = orjson.dumps(orjson.loads(path.read_bytes()), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return None
    lines = body.count("\n") + 1
    return (lines, path.stem, body, orjson.dumps(rows).decode()) if rows and lines <= SHORT else None


def _rows(said: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    alerts = [
        ("alert", a["subject"], f"{a['name']}: {a['symptom']}", f"{a['status']}, {a['severity']}")
        for a in said.get("alerts", ())
    ]
    changes = [
        ("change", c["subject"], f"{c['kind']} {c.get('version', '')}".strip(), c.get("outcome", ""))
        for c in said.get("changes", ())
    ]
    updates = [
        ("record", u.get("number") or u["external_id"], u["action"], u.get("status", ""))
        for u in said.get("record_updates", ())
    ]
    return [*alerts, *changes, *updates]
