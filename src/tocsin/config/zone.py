"""A time zone as people write it: an IANA name."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError; a folder's name is an OSError
        raise ValueError(f"{text!r} is not a time zone; write an IANA name such as Europe/Berlin or UTC") from None
    return text


Zone = Annotated[str, AfterValidator(_zone)]
