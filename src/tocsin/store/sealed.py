"""Raw bodies at rest: AES-256-GCM under TOCSIN_DATA_KEY, with older keys still able to open."""

from __future__ import annotations

import base64
import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tocsin.domain.errors import BadSetting

NONCE_BYTES = 12
KEY_ID_BYTES = 4


class Seal:
    """Seals with the first key, opens with any. Keys are 32 bytes, urlsafe base64."""

    def __init__(self, keys: list[str]) -> None:
        decoded = [_key(text) for text in keys if text]
        if not decoded:
            raise BadSetting(
                "TOCSIN_DATA_KEY is not set: raw messages are stored encrypted only. Make one: openssl rand -base64 32"
            )
        self._ciphers = {_key_id(key): AESGCM(key) for key in reversed(decoded)}
        self._current = _key_id(decoded[0])

    def seal(self, plain: bytes) -> bytes:
        """key id, nonce, ciphertext with tag."""
        nonce = os.urandom(NONCE_BYTES)
        return self._current + nonce + self._ciphers[self._current].encrypt(nonce, plain, None)

    def knows(self, sealed: bytes) -> bool:
        """Was this sealed with one of our keys? The first bytes tell."""
        return sealed[:KEY_ID_BYTES] in self._ciphers

    def open(self, sealed: bytes) -> bytes:
        """Raises BadSetting when the key that sealed it is not among ours."""
        cipher = self._ciphers.get(sealed[:KEY_ID_BYTES])
        if cipher is None:
            raise BadSetting(
                "a stored message was sealed under another TOCSIN_DATA_KEY; add the old key to TOCSIN_DATA_KEYS_OLD"
            )
        body = sealed[KEY_ID_BYTES:]
        try:
            return cipher.decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], None)
        except InvalidTag as error:
            raise BadSetting("a stored message does not open: it was altered or its key is wrong") from error


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip().translate(str.maketrans("-_", "+/")), validate=True)
    except ValueError as error:
        raise BadSetting("TOCSIN_DATA_KEY is not base64. Make one: openssl rand -base64 32") from error
    if len(key) != 32:
        raise BadSetting(f"TOCSIN_DATA_KEY has {len(key)} bytes, 32 are needed. Make one: openssl rand -base64 32")
    return key


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"tocsin key id" + key).digest()[:KEY_ID_BYTES]
