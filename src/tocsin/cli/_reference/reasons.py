"""Which words name a decision, a result or a kind? They stand in the audit trail, in metrics and in mappings."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tocsin.cli._reference.markdown import code, first_sentence, modules, table, text_of

INTRO = """# Reasons and other fixed words

Every decision names a reason: in the audit trail (`GET /api/v1/audit`, the story of an incident in the console), in
metrics and in what `tocsin explain` prints.

## Audit actions

"""

ACTIONS: dict[str, tuple[str, str]] = {
    "message.understood": (
        "A message was read.",
        "`normalized`, `ignored` (well-formed, nothing in it for us), `duplicate` (the sender's own id was seen), "
        "`quarantined` (cannot be understood), `refused` (the signature that a worker had to check is wrong)",
    ),
    "alert.joined": (
        "A new or re-fired alert joined an incident.",
        "`opened` (a new one), `grouped` (shares a cause with its members), `former_incident` (its last occurrence's, "
        "still open), `reopened` (resolved a short time ago, or a check of hours tells of it late)",
    ),
    "alert.deduplicated": ("A report was folded into an alert that we know.", "a [transition](#transition)"),
    "alert.expired": ("Nobody said that it ended, and its time is over.", "`expired`"),
    "incident.decided": (
        "Gate, owner and route were decided.",
        "a [gate's reason](#gate-reasons) when it is muted or waits, else a [want](#want)",
    ),
    "picture.failed": (
        "The incident's timeline could not be drawn; its tickets and pages go out all the same.",
        "`drawing_failed`, `library_missing` (matplotlib cannot be loaded by `tocsin worker --attribute`)",
    ),
    "message.read": ("Somebody had stored raw messages read.", "`replay`"),
    "message.replayed": ("Somebody had a quarantined message put back.", "`quarantine`"),
    "record.revived": ("Somebody had dead records tried again.", "`asked`"),
    "record.dropped": ("Somebody gave dead records up for good.", "`asked`"),
    "record.capped": ("It gets no record of its own for now: a storm's parent stands for it.", "`max_new_per_hour`"),
    "record.warned": ("A vendor's answer shows something that an operator should mend.", "`set_up`"),
    "destination.paused": ("Somebody stopped sending there.", "`asked`"),
    "destination.resumed": ("Somebody ended the pause.", "`asked`"),
    "destination.adopted": ("Somebody had open incidents leave the shadow.", "`asked`"),
    "destination.rested": ("It does not answer, or refuses our credentials: it is only probed.", "a [reason](#reason)"),
    "destination.recovered": ("It answers again.", "`ok`"),
    "cause.confirmed": (
        "A person said what the cause was, here or in a record.",
        "`confirmed`, `not_the_cause`, `unknown_change` (named by a number that no change bears: nothing is learned)",
    ),
    "record.reconciled": ("A record does not stand at its desk as we left it.", "a [drift](#drift)"),
    "record.confirmed": ("The vendor holds the record as wanted.", "a [reason](#reason)"),
    "record.attempted": ("A try that did not get there; it is tried again.", "a [reason](#reason)"),
    "record.dead": ("It needs a person.", "a [reason](#reason)"),
}
"""Action → meaning, reasons; of others the page says where they are written. A service desk's own `record.<action>`
lines come from RecordAction."""

UPDATES = (
    "A service desk told us what somebody did to a record, see [recordaction](#recordaction).",
    "`taken`, `ignored_by_policy`, `own_write` (it was us), `duplicate` (the same act came before, posted or polled), "
    "`out_of_order` (older than what we know), `nothing_new` (it stands so already), `nothing_to_do`, "
    "`earlier_generation` (a later record stands for the incident), `another_record` (a copy that carries our key), "
    "`unknown_record`",
)

GATES: dict[str, str] = {
    "active": "Nothing holds it back.",
    "flapping": "All that fires flaps: active, but a page becomes a ticket.",
    "chronic": "All that fires opens many times a day, or flaps: active, but a page becomes a ticket.",
    "in_window": "A maintenance window covers it.",
    "known_outage": "A known outage lies upstream of all that alerts.",
    "not_persistent": "Its symptom must last longer, or fail more of its checks, and too few subjects alert.",
    "recovered_before_persisting": "It ended before it had lasted long enough.",
}

REFUSALS: dict[str, str] = {
    "too_large": "413: the body is larger than `TOCSIN_MAX_BODY_BYTES`, also after gunzip.",
    "unauthorized": "401: the credential or signature is wrong or missing.",
    "unknown_encoding": "415: a Content-Encoding other than gzip.",
    "unknown_hook": "404: no hook has this name.",
}

ENUMS = ("domain", "simulators")
"""Folders whose StrEnums are words that people meet."""


def page() -> str:
    """Audit actions, gate reasons, refusals, and every fixed set of words."""
    actions = [
        (code(action), *said)
        for action, said in (ACTIONS | {a: w for a, w in written_actions() if a not in ACTIONS}).items()
    ]
    actions.append((code("record.<action>"), *UPDATES))
    gates = [(code(reason), said) for reason, said in (dict.fromkeys(_gate_reasons(), "") | GATES).items()]
    refusals = [(code(reason), said) for reason, said in REFUSALS.items()]
    return (
        INTRO
        + table(("action", "what happened", "reasons"), actions)
        + "\n## Gate reasons\n\n"
        + table(("reason", "what it says"), gates)
        + "\n## Refusals of the receiver\n\n"
        + table(("reason", "answer"), refusals)
        + "".join(_enum(node) for node in enums())
    )


def written_actions() -> Iterator[tuple[str, tuple[str, str]]]:
    """Actions of audit lines that the code spells out, with where and why."""
    for path, call in _calls("AuditEntry", ""):
        given = {keyword.arg: text_of(keyword.value) for keyword in call.keywords}
        if action := given.get("action"):
            yield action, (f"Written by {code(path)}.", code(given.get("reason", "")))


def _gate_reasons() -> list[str]:
    found = [
        keyword for name in ("Gate", "_Verdict") for _, call in _calls(name, "decide") for keyword in call.keywords
    ]
    return sorted({text_of(keyword.value) for keyword in found if keyword.arg == "reason"} - {""})


def _calls(name: str, folder: str) -> Iterator[tuple[str, ast.Call]]:
    """Every call of this name below a folder of the package."""
    for path, module in modules(folder):
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                yield path, node


def enums() -> Iterator[ast.ClassDef]:
    """Every StrEnum of ENUMS, by name."""
    found = [
        node
        for folder in ENUMS
        for _, module in modules(folder)
        for node in module.body
        if isinstance(node, ast.ClassDef) and any(isinstance(b, ast.Name) and b.id == "StrEnum" for b in node.bases)
    ]
    return iter(sorted(found, key=lambda node: node.name))


def words(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """The enum's values, each with the words that stand below it."""
    for at, statement in enumerate(node.body):
        if isinstance(statement, ast.Assign):
            below = node.body[at + 1] if at + 1 < len(node.body) else None
            said = text_of(below.value) if isinstance(below, ast.Expr) else ""
            yield text_of(statement.value), first_sentence(said)


def _enum(node: ast.ClassDef) -> str:
    rows = [(code(value), said) for value, said in words(node)]
    about = first_sentence(ast.get_docstring(node))
    head = f"\n## {node.name}\n\n" + (f"{about}\n\n" if about else "")
    if any(said for _, said in rows):
        return head + table(("value", "what it says"), rows)
    return head + ", ".join(value for value, _ in rows) + "\n"
