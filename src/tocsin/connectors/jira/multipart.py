"""How does one file look as a multipart form? https://www.rfc-editor.org/rfc/rfc7578"""

from __future__ import annotations

from hashlib import sha256

from tocsin.domain.record import Attachment


def file_name(file: Attachment) -> str:
    """The file's name as a form can carry it without quoting."""
    return "".join(sign for sign in file.name if sign.isprintable()).replace("\\", "_").replace('"', "'")


def multipart(part: str, file: Attachment) -> tuple[str, bytes]:
    """Content type and body of a form with one file; the boundary follows from the content and cannot occur in it by
    accident."""
    boundary = f"tocsin-{sha256(file.content).hexdigest()[:32]}"
    kind = (
        file.media_type if file.media_type.isascii() and file.media_type.isprintable() else "application/octet-stream"
    )
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="{part}"; filename="{file_name(file)}"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    )
    return (
        f"multipart/form-data; boundary={boundary}",
        head.encode() + file.content + f"\r\n--{boundary}--\r\n".encode(),
    )
