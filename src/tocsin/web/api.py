"""/api/v1: what the CLI and other programs ask, with a bearer token."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response, current_app, request

from tocsin.config.settings import Settings
from tocsin.store import Database, destinations, jobs, reading, shadows
from tocsin.web.session import allowed, same_origin

api = Blueprint("api", __name__, url_prefix="/api/v1")


def _database() -> Database:
    found: Database = current_app.extensions["tocsin.database"]
    return found


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value, default=str), status=status, mimetype="application/json")


@api.before_request
def _authenticated() -> Response | None:
    settings: Settings = current_app.extensions["tocsin.settings"]
    if allowed(request, settings.api_token.get_secret_value()):
        return None
    words = "send Authorization: Bearer <TOCSIN_API_TOKEN>; `tocsin up` keeps it in <data>/api.token"
    return _json({"error": "unauthorized", "message": words}, 401)


@api.get("/incidents")
def incidents() -> Response:
    """Newest first; ?state=open|resolved, ?environment=, ?limit="""
    found = reading.incident_list(
        _database(),
        state=request.args.get("state", ""),
        environment=request.args.get("environment", ""),
        limit=request.args.get("limit", 50, type=int),
    )
    return _json({"incidents": found})


@api.get("/incidents/<display>")
def incident(display: str) -> Response:
    """One incident with its records, notes, attempts and audit lines."""
    digits = display.upper().removeprefix("TOC-")
    found = reading.incident(_database(), int(digits)) if digits.isdigit() else None
    if found is None:
        return _json({"error": "unknown_incident", "message": f"there is no incident {display[:40]}"}, 404)
    story: dict[str, Any] = reading.incident_story(_database(), found.number)
    return _json({"incident": found, **story})


@api.post("/incidents/<display>/cause")
def cause(display: str) -> Response:
    """A person confirms the cause: {"change": id or "none", "person": name}. Carried out by a worker."""
    body = request.get_json(silent=True)
    digits = display.upper().removeprefix("TOC-")
    if not same_origin(request) or not isinstance(body, dict) or not digits.isdigit():
        return _json({"error": "bad_request", "message": 'send {"change": "<id>" or "none", "person": "<name>"}'}, 400)
    change, person = str(body.get("change", "")), str(body.get("person", "")).strip()[:80]
    if not change or not person:
        return _json({"error": "bad_request", "message": "change and person are both needed"}, 400)
    job = jobs.add(_database(), "confirm_cause", {"number": int(digits), "change": change}, actor=person)
    return _json({"job": job}, 202)


@api.get("/audit")
def audit() -> Response:
    """Audit lines after an id, oldest first: what `tocsin tail` follows."""
    after = request.args.get("after", -1, type=int)
    return _json({"audit": reading.audit_after(_database(), after, limit=request.args.get("limit", 200, type=int))})


@api.get("/quarantine")
def quarantine() -> Response:
    return _json({"quarantine": reading.quarantined(_database())})


@api.get("/destinations")
def ways_out() -> Response:
    """How each destination stands: paused, resting and why, what waits, is under way, is dead."""
    return _json({"destinations": destinations.overview(_database())})


@api.get("/shadow")
def shadow() -> Response:
    """What destinations in shadow would have been sent, newest last; ?destination=, ?limit="""
    found = shadows.calls(
        _database(), request.args.get("destination", ""), limit=request.args.get("limit", 100, type=int)
    )
    return _json({"calls": found})


@api.get("/figures")
def figures() -> Response:
    return _json({**reading.figures(_database()), "unaccounted": len(reading.unaccounted(_database()))})
