"""Pages for people: incidents and the story of one."""

from __future__ import annotations

from flask import Blueprint

console = Blueprint("console", __name__)
