"""Which addresses does the web process answer?"""

from __future__ import annotations

from pathlib import Path

from flask import Flask

from tocsin import sources
from tocsin.cli._reference.markdown import code, first_sentence, table

INTRO = """# Addresses

`tocsin web` answers these on `TOCSIN_BIND`.

## Hooks

Answered before anything else, see [ADR 3](../adr/0003-hooks-in-front-of-flask.md). `202` means that the message is
durable; `4xx` only says that credentials, size, encoding or the address are wrong (the refusals are in
[reasons](reasons.md)); `503` with `Retry-After` that neither database nor spool can be written.

"""

API = """
## API

`/api/v1` wants `Authorization: Bearer` with `TOCSIN_API_TOKEN` (or a console session) and speaks JSON. What changes
something is a job that a worker carries out: the answer is `202`.

"""

PEOPLE = """
## Console, health, metrics

The console asks for the API token once and remembers it for twelve hours in a signed cookie.

"""

SAID = {
    "/api/v1/figures": "How much waits, fires, is open, undelivered, dead; `unaccounted` must be 0.",
    "/api/v1/quarantine": "Messages that could not be understood and are not yet replayed.",
    "/healthz": "200 as long as the process answers.",
    "/metrics": "Prometheus' text format, see [metrics](metrics.md).",
    "/readyz": "200 while a message can be kept in database or spool, else 503.",
}
"""For views without words of their own."""


def page() -> str:
    """Hooks, API and pages."""
    hooks = [("`POST /hooks/<hook>`", "Any source: the hook's name decides.")]
    for name in sources.names():
        source = sources.find(name)
        why = f"{source.title}: the secret in the request names the hook."
        hooks += [(code(f"POST {route}"), why) for route in source.routes]
        asked = f"{source.title}: how a request ended; nothing is kept."
        hooks += [(code(f"GET {path}"), asked) for path in source.lookups]
    rows = _rows(_site())
    api = [row for row in rows if "/api/" in row[0]]
    people = [row for row in rows if "/api/" not in row[0] and "/static/" not in row[0]]
    head = ("address", "what it answers")
    return INTRO + table(head, hooks) + API + table(head, api) + PEOPLE + table(head, people)


def _site() -> Flask:
    """The web process's application, which no request ever reaches: nothing here connects to a database."""
    from tocsin.bootstrap import App
    from tocsin.config.settings import Settings
    from tocsin.receive import Receiver
    from tocsin.web.site import site

    settings = Settings(database_url="postgresql+psycopg://nobody@127.0.0.1/none", spool_dir=Path("spool"))
    return site(settings, Receiver(App(settings, env={})))


def _rows(app: Flask) -> list[tuple[str, str]]:
    found = []
    for rule in app.url_map.iter_rules():
        doc = first_sentence(app.view_functions[rule.endpoint].__doc__)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            found.append((rule.rule, method, SAID.get(rule.rule) or doc))
    return [(code(f"{method} {path}"), said) for path, method, said in sorted(found)]
