"""A small file for a record."""

from __future__ import annotations

from uuid import UUID

from tocsin.domain.record import Attachment


def evidence(number: int) -> Attachment:
    """The n-th file, with a name that needs care in a form."""
    return Attachment(
        id=UUID(int=(0x01932F5E7C007000 << 64) + 1000 + number),
        name=f'evidence "{number}".json',
        media_type="application/json",
        content=b'{"suspects": []}\r\n--\r\n' * number,
    )
