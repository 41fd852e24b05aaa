"""What must not leave is taken out of a text or a mapping, and outside text is made harmless to print."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tocsin.domain.errors import BadMapping
from tocsin.domain.policy import Redaction

ALWAYS_KEYS = (
    "authorization",
    "token",
    "secret",
    "password",
    "passwd",
    "cookie",
    "api_key",
    "apikey",
    "api-key",
    "private_key",
    "credential",
)
"""Substrings, in any case, of keys whose values always go; the policy adds its own."""

MAX_PATTERN = 500
"""Longest policy pattern, in characters."""
MAX_CHUNK = 4_000
"""A policy pattern sees at most so many characters at once, so that a slow one stays bounded."""
SHORT = 200
REMEMBERED = 20_000
"""Labels repeat: the answers for this many texts of at most SHORT characters are kept."""
MAX_DEPTH = 20
"""Mappings nested deeper than this lose what lies below."""

_MARK = re.compile(r"(\[redacted:[a-z0-9_]{1,32}\])")
_NESTED_REPEAT = re.compile(r"[+*}]\)(?:[+*]|\{\d*,)")
"""`(a+)+` and its like take exponential time; a heuristic is enough because chunks are short."""


def printable(text: str) -> str:
    """Without what forges or hides text: controls, bidirectional and invisible marks, lone surrogates. Newlines and
    tabs stay, odd blanks become plain ones."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else " " if c.isspace() and c != "\r" else "" for c in text)


def clean(text: str, limit: int) -> str:
    """Outside text as one printable line of at most `limit` characters (… marks a cut)."""
    line = " ".join(printable(text).split())
    return line if len(line) <= limit else line[: max(limit - 1, 0)].rstrip() + "…"[:limit]


@dataclass(frozen=True, slots=True)
class _Pattern:
    name: str
    regex: re.Pattern[str]
    keep: bool = False
    """Group 1 stays in front of the mark."""
    confirms: Callable[[str], bool] | None = None
    signs: tuple[str, ...] = ("",)
    """In lower case: an ASCII text with none of these cannot match."""


def _is_card(text: str) -> bool:
    """Luhn over the digits, whole or without trailing groups (`4111 1111 1111 1111 22`)."""
    groups = re.split(r"[ -]", text)
    return any(_luhn("".join(groups[:size])) for size in range(len(groups), 0, -1))


def _luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    if not 13 <= len(digits) <= 19:
        return False
    doubled = [int(d) * (1 + place % 2) for place, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def _is_iban(text: str) -> bool:
    """ISO 13616: the rearranged number modulo 97 is 1."""
    packed = text.replace(" ", "").upper()
    return 15 <= len(packed) <= 34 and int("".join(str(int(c, 36)) for c in packed[4:] + packed[:4])) % 97 == 1


def _is_basic(text: str) -> bool:
    """RFC 7617: base64 of `user:password`; plain words such as "basic monitoring" are not."""
    encoded = text.rsplit(maxsplit=1)[-1]
    try:
        return b":" in b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False


_SECRET_WORD = (
    r"(?:authorization|[\w-]{0,40}token|[\w-]{0,40}secret|passw(?:or)?d|passwd|pwd|[\w-]{0,40}api[_-]?key|credentials?)"
)
_BLOCK = _Pattern(
    "private_key",
    re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)", re.S),
)
"""Runs over the whole text, marks included: a block that holds a mark is still one block."""

_BUILT_IN = (
    _Pattern("userinfo", re.compile(r"((?<=[A-Za-z0-9])://)[^/\s?#]{1,256}(?=@)"), keep=True, signs=("@",)),
    _Pattern(
        "query_token",
        re.compile(
            r"([?&;#][\w.%-]{0,40}?(?:token|secret|passw(?:or)?d|signature|sig|key|credential|auth|session|jwt|code)"
            r"[\w.%-]{0,20}=)[^&#;\s\"'<>]+",
            re.IGNORECASE,
        ),
        keep=True,
        signs=("=",),
    ),
    _Pattern("jwt", re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"), signs=("eyj",)),
    _Pattern(
        "access_token",
        re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|xox[abeprs]-[A-Za-z0-9-]{10,})"),
        signs=("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "xox"),
    ),
    _Pattern(
        "credential",
        re.compile(r"\b(bearer\s+)(?=\S{0,200}\d)[\w+/.~=-]{8,}", re.IGNORECASE),
        keep=True,
        signs=("bearer",),
    ),
    _Pattern(
        "credential",
        re.compile(r"\b(basic\s+)[A-Za-z0-9+/]{6,}={0,2}", re.IGNORECASE),
        keep=True,
        confirms=_is_basic,
        signs=("basic",),
    ),
    _Pattern("aws_key", re.compile(r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA|AIPA|ANPA|ANVA|ABIA|ACCA)[A-Z0-9]{16}\b")),
    _Pattern(
        "secret",
        re.compile(
            rf"(\b{_SECRET_WORD}[\"']?\s{{0,3}}[=:]\s{{0,3}})(?:\"[^\"\n]+\"|'[^'\n]+'|[^\s,;&\"']+)", re.IGNORECASE
        ),
        keep=True,
        signs=("authorization", "token", "secret", "passw", "pwd", "apikey", "api_key", "api-key", "credential"),
    ),
    _Pattern("email", re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[\w-]{1,63}\.)+[^\W\d_]{2,24}"), signs=("@",)),
    _Pattern("iban", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), confirms=_is_iban),
    # Card numbers start with 2 to 6 (ISO/IEC 7812 industry digits), which leaves epoch milliseconds alone.
    _Pattern("card", re.compile(r"(?<![\w.-])[2-6](?:[ -]?\d){12,18}(?!\w)"), confirms=_is_card),
)


_SIGNS = ("-----begin", *(sign for pattern in _BUILT_IN for sign in pattern.signs if sign))
_NUMBERS = re.compile(r"\d[\d -]{10}|[A-Z]{2}\d{2}|A[A-Z]{3}[A-Z0-9]{16}")
"""Without any sign or number of these no built-in pattern can match: the fast path."""


def _is_harmless(text: str) -> bool:
    if not (text.isascii() and text.isprintable()):
        return False
    lowered = text.lower()
    return not any(sign in lowered for sign in _SIGNS) and not _NUMBERS.search(text)


class Redactor:
    """The policy's deny-list and patterns over the built-in ones, compiled once.

    Redacting twice is redacting once. Raises BadMapping for a pattern that does not compile or may run away.
    """

    def __init__(self, redaction: Redaction) -> None:
        self._keys = tuple(k.lower() for k in (*ALWAYS_KEYS, *redaction.keys) if k)
        findings: list[str] = []
        self._policy = tuple(
            pattern for name, text in redaction.patterns.items() if (pattern := _compiled(name, text, findings))
        )
        if findings:
            raise BadMapping(findings)
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._redacted)
        self._denied = lru_cache(maxsize=REMEMBERED)(self._names_a_secret)

    def text(self, text: str) -> str:
        """The text without unprintable characters; whatever must not leave is now `[redacted:<what>]`."""
        return self._remembered(text) if len(text) <= SHORT else self._redacted(text)

    def _redacted(self, text: str) -> str:
        if not self._policy and _is_harmless(text):
            return text
        before, after = "", printable(text)
        while after != before:
            # Each round that changes anything shrinks what lies outside the marks, so this ends.
            before = after
            after = self._round(after)
        return after

    def mapping(self, values: Mapping[str, object]) -> dict[str, object]:
        """A deep copy, keys and values redacted; the value of a denied key goes whole, whatever it is."""
        return self._mapping(values, MAX_DEPTH)

    def _round(self, text: str) -> str:
        text = _BLOCK.regex.sub("[redacted:private_key]", text)
        lowered = text.lower() if text.isascii() else ""
        for pattern in _BUILT_IN:
            if not lowered or any(sign in lowered for sign in pattern.signs):
                text = "".join(_apply(pattern, piece) for piece in _MARK.split(text))
        for pattern in self._policy:
            text = "".join(
                piece if _MARK.fullmatch(piece) else "".join(_apply(pattern, chunk) for chunk in _chunks(piece))
                for piece in _MARK.split(text)
            )
        return text

    def _names_a_secret(self, key: str) -> bool:
        lowered = key.lower()
        return any(word in lowered for word in self._keys)

    def _mapping(self, values: Mapping[str, object], depth: int) -> dict[str, object]:
        redacted: dict[str, object] = {}
        for key, value in values.items():
            shown = self.text(str(key))
            denied = self._denied(str(key)) or self._denied(shown)
            redacted[shown] = "[redacted:secret]" if denied else self._value(value, depth)
        return redacted

    def _value(self, value: object, depth: int) -> object:
        if isinstance(value, str):
            return self.text(value)
        if depth == 0 and isinstance(value, Mapping | Sequence):
            return "[redacted:depth]"
        if isinstance(value, Mapping):
            return self._mapping(value, depth - 1)
        if isinstance(value, bytes | bytearray):
            return "[redacted:bytes]"
        if isinstance(value, Sequence | set | frozenset):
            return [self._value(item, depth - 1) for item in value]
        return value


def _compiled(name: str, text: str, findings: list[str]) -> _Pattern | None:
    """The policy's pattern, or None with a finding added."""
    where = f"redaction.patterns.{name}"
    if len(text) > MAX_PATTERN:
        findings.append(f"{where}: {len(text)} characters, at most {MAX_PATTERN}: split it into several")
        return None
    if _NESTED_REPEAT.search(text):
        findings.append(f"{where}: a repeat inside a repeat can run for ever: write it without the outer one")
        return None
    try:
        regex = re.compile(text)
    except re.error as error:
        findings.append(f"{where}: not a regular expression: {error}")
        return None
    mark = re.sub(r"[^a-z0-9_]", "_", name.lower())[:32] or "policy"
    return _Pattern(mark, regex)


def _apply(pattern: _Pattern, piece: str) -> str:
    """The piece with every confirmed match marked; marks themselves and empty matches stay as they are."""
    if not piece or _MARK.fullmatch(piece):
        return piece

    def marked(found: re.Match[str]) -> str:
        if not found.group() or (pattern.confirms and not pattern.confirms(found.group())):
            return found.group()
        return f"{found.group(1) if pattern.keep else ''}[redacted:{pattern.name}]"

    return pattern.regex.sub(marked, piece)


def _chunks(piece: str) -> list[str]:
    """The piece in parts of at most MAX_CHUNK characters, cut at a blank where there is one."""
    chunks: list[str] = []
    while len(piece) > MAX_CHUNK:
        cut = piece.rfind(" ", 1, MAX_CHUNK)
        cut = cut if cut > 0 else MAX_CHUNK
        chunks.append(piece[:cut])
        piece = piece[cut:]
    return [*chunks, piece]
