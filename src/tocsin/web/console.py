"""Pages for people: incidents, the story of one, destinations, what shadows would send, the question for the cause."""

from __future__ import annotations

import hmac
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, Response, abort, current_app, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from tocsin.config.settings import Settings
from tocsin.domain.incident import Incident
from tocsin.domain.timeline import FILE
from tocsin.receive import Receiver
from tocsin.store import Database, destinations, health, jobs, mappings, mending, pictures, reading, review
from tocsin.store.scorecards import scorecards
from tocsin.web import rendered
from tocsin.web.session import COOKIE, SESSION_S, allowed, opened, same_origin

DEAD_SHOWN = 200
RULES_SINCE = timedelta(days=30)
RULES_SHOWN = 200

console = Blueprint("console", __name__, template_folder="templates", static_folder="static")


def _database() -> Database:
    found: Database = current_app.extensions["tocsin.database"]
    return found


def _settings() -> Settings:
    found: Settings = current_app.extensions["tocsin.settings"]
    return found


def _token() -> str:
    return _settings().api_token.get_secret_value()


@console.before_request
def _guard() -> AnyResponse | None:
    if request.endpoint in ("console.login", "console.static") or allowed(request, _token()):
        return None
    return redirect(url_for("console.login", to=request.path))


@console.after_request
def _headers(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = "default-src 'self'; style-src 'self'; form-action 'self'"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = "same-origin"
    return response


@console.route("/login", methods=["GET", "POST"])
def login() -> AnyResponse:
    """Ask for the API token once; a signed cookie remembers it."""
    to = request.values.get("to", "/")
    target = to if to.startswith("/") and not to.startswith("//") else "/"
    if request.method == "GET":
        return make_response(render_template("login.html", to=target, wrong=False))
    if not (same_origin(request) and hmac.compare_digest(request.form.get("token", "").encode(), _token().encode())):
        return make_response(render_template("login.html", to=target, wrong=True), 401)
    response = redirect(target)
    response.set_cookie(
        COOKIE,
        opened(_token(), now=time.time()),
        max_age=SESSION_S,
        httponly=True,
        samesite="Strict",
        secure=request.is_secure or _settings().public_url.startswith("https://"),
    )
    return response


@console.get("/")
def incidents() -> str:
    """All incidents, newest first, with what became of each."""
    state = request.args.get("state", "")
    return render_template(
        "incidents.html",
        incidents=reading.incident_list(_database(), state=state, limit=100),
        figures=reading.figures(_database()),
        state=state,
    )


@console.get("/incidents/<display>")
def incident(display: str) -> str:
    """One incident: the ticket, its likely causes, members, records and story."""
    found = _found(display)
    story = reading.incident_story(_database(), found.number)
    return render_template(
        "incident.html",
        incident=found,
        members=found.members[:100],
        ticket=_ticket(story),
        picture=pictures.of_incident(_database(), found.number),
        **story,
    )


@console.get(f"/incidents/<display>/{FILE}")
def timeline(display: str) -> AnyResponse:
    """The incident's timeline as a picture; its page, which says why, while there is none."""
    found = _found(display)
    picture = pictures.of_incident(_database(), found.number)
    if picture is None or picture.content is None:
        return redirect(url_for("console.incident", display=found.display))
    response = Response(picture.content, mimetype=pictures.MEDIA_TYPE)
    response.headers["Cache-Control"] = "private, no-cache"
    response.add_etag()
    return response.make_conditional(request)


@console.route("/incidents/<display>/cause", methods=["GET", "POST"])
def cause(display: str) -> AnyResponse:
    """Ask a person what the cause was; the answer is a job that a worker carries out."""
    found = _found(display)
    if request.method == "GET":
        return make_response(render_template("cause.html", incident=found, said=""))
    if not same_origin(request):
        abort(403)
    chosen = request.form.get("change", "")
    person = request.form.get("person", "").strip()[:80]
    if not chosen or not person:
        return make_response(
            render_template("cause.html", incident=found, said="Choose an answer and say who you are.")
        )
    jobs.add(_database(), "confirm_cause", {"number": found.number, "change": chosen}, actor=person)
    return redirect(url_for("console.incident", display=found.display))


@console.get("/destinations")
def ways_out() -> str:
    """How each destination stands, and the records that were given up there with the vendor's words."""
    chosen = request.args.get("destination", "")
    return render_template(
        "destinations.html",
        destinations=destinations.overview(_database()),
        succeeded=health.successes(_database()),
        dead=mending.dead_records(_database(), chosen)[:DEAD_SHOWN],
        chosen=chosen,
    )


@console.get("/shadow")
def shadow() -> str:
    """What destinations in shadow would have been sent, beside what stands."""
    chosen, asked = request.args.get("destination", ""), request.args.get("incident", "")
    number = _number(asked)
    if asked and number is None:
        abort(404)
    return render_template(
        "shadow.html",
        incidents=review.side_by_side(_database(), chosen, number=number),
        counts=review.counted(_database()),
        chosen=chosen,
        asked=asked,
    )


@console.get("/rules")
def rules() -> str:
    """Scorecards of the alert rules over the last thirty days, worst first."""
    receiver: Receiver = current_app.extensions["tocsin.receiver"]
    until, team = _database().now(), request.args.get("team", "")
    found = scorecards(_database(), receiver.catalog, since=until - RULES_SINCE, until=until, team=team)
    return render_template("rules.html", cards=found[:RULES_SHOWN], team=team, days=RULES_SINCE.days)


@console.get("/quarantine")
def quarantine() -> str:
    """Messages that could not be understood."""
    return render_template("quarantine.html", messages=reading.quarantined(_database()))


@console.get("/runbooks/<path:name>")
def runbook(name: str) -> str:
    """A runbook of the active mappings, as written."""
    text = mappings.active_file(_database(), f"runbooks/{name}")
    if text is None:
        abort(404)
    return render_template("runbook.html", name=name, text=text)


@console.app_template_filter("clock")
def _clock(moment: datetime | None) -> str:
    """A moment in UTC as people read it; empty when there is none."""
    return moment.astimezone(UTC).strftime("%d %b %H:%M:%S UTC") if moment else ""


@console.app_template_filter("percent")
def _percent(probability: float | None) -> str:
    return "" if probability is None else f"{probability:.0%}".replace("%", " %")


console.add_app_template_filter(rendered.fields, "fields")


def _number(display: str) -> int | None:
    digits = display.upper().removeprefix("TOC-")
    return int(digits) if digits.isdecimal() and len(digits) < 18 else None


def _found(display: str) -> Incident:
    number = _number(display)
    found = reading.incident(_database(), number) if number is not None else None
    if found is None:
        abort(404)
    return found


def _ticket(story: dict[str, list[dict[str, Any]]]) -> dict[str, Any] | None:
    """The text as it went out: the first record's."""
    return story["records"][0]["wanted"] if story["records"] else None
