"""Which of several alike does an alert of a metrics monitor concern, once its subject is known?"""

from __future__ import annotations

from collections.abc import Mapping

from tocsin.domain.subject import Subject


def resource_beside(about: Subject, tags: Mapping[str, str], found: str) -> str:
    """The resource that belongs to the alert's identity: a feature's is its model (two models read one feature),
    anything else's is what was found unless it is the subject itself."""
    if about.kind == "feature" and (model := tags.get("model") or tags.get("model_name", "")):
        return f"model:{model}"[:255]
    return "" if found == about.name else found[:255]
