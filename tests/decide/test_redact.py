"""What must not leave does not, and redacting twice is redacting once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.decide.redact import Redactor, clean
from tocsin.domain.errors import BadMapping
from tocsin.domain.policy import Redaction

PLAIN = Redactor(Redaction())
HOUSE = Redactor(Redaction(keys=("passport",), patterns={"customer id": r"CUST-\d{6}", "self": "redacted"}))

SECRETS = [
    ("mail ann.lee+ops@mail.example.org now", "mail [redacted:email] now"),
    ("card 4111 1111 1111 1111 used", "card [redacted:card] used"),
    ("card 4111 1111 1111 1111 22", "card [redacted:card]"),
    ("header Bearer abc123def456ghi", "header Bearer [redacted:credential]"),
    ("Basic YW5uOmh1bnRlcjI=", "Basic [redacted:credential]"),
    ("key AKIAQ3EGTEST00000001 leaked", "key [redacted:aws_key] leaked"),
    ("amqp://ann:p@ss@broker:5672/v", "amqp://[redacted:userinfo]@broker:5672/v"),
    (
        "https://x.example/r?id=7&access_token=abc#top",
        "https://x.example/r?id=7&access_token=[redacted:query_token]#top",
    ),
    ("pay GB82 WEST 1234 5698 7654 32 today", "pay [redacted:iban] today"),
    ("db password=hunter2, retrying", "db password=[redacted:secret], retrying"),
    ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY----- x", "[redacted:private_key] x"),
    ("-----BEGIN PRIVATE KEY-----\nnever ends", "[redacted:private_key]"),
    ("hidden an\u200bn@mail.exam\u202eple.org", "hidden [redacted:email]"),
]

HARMLESS = [
    "checkout p99 latency 2.3 s over 800 ms",
    "basic monitoring is on; bearer of news",
    "run 1760000000000 took 12 min",
    "image registry.example/api@sha256:0a1b2c",
    "order 4111 1111 1111 1112",
    "feature age_days: nulls 0.4 % → 31 %",
]


@pytest.mark.parametrize(("text", "expected"), SECRETS)
def test_a_secret_is_replaced_by_its_kind(text: str, expected: str) -> None:
    assert PLAIN.text(text) == expected


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert PLAIN.text(text) == text


def test_values_of_denied_keys_go_whole_at_any_depth() -> None:
    found = HOUSE.mapping(
        {"X-Api-Key": 7, "a": [{"Passport No": {"n": 1}, "ok": 3, "who": "ann@mail.example.org"}], "raw": b"x"}
    )
    assert found == {
        "X-Api-Key": "[redacted:secret]",
        "a": [{"Passport No": "[redacted:secret]", "ok": 3, "who": "[redacted:email]"}],
        "raw": "[redacted:bytes]",
    }


def test_the_policy_adds_patterns_of_its_own() -> None:
    assert HOUSE.text("for CUST-123456 only") == "for [redacted:customer_id] only"


@pytest.mark.parametrize(
    ("pattern", "finding"),
    [
        ("(", "redaction.patterns.p: not a regular expression"),
        ("(a+)+$", "redaction.patterns.p: a repeat inside a repeat"),
        ("a" * 501, "redaction.patterns.p: 501 characters"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused(pattern: str, finding: str) -> None:
    with pytest.raises(BadMapping, match="redaction") as caught:
        Redactor(Redaction(patterns={"p": pattern}))
    assert caught.value.findings[0].startswith(finding)


def test_a_long_text_is_searched_to_its_end() -> None:
    assert HOUSE.text("word " * 2_000 + "CUST-123456").endswith("[redacted:customer_id]")


def test_clean_makes_one_printable_line() -> None:
    assert clean("a\x1b[31m\r\nb\t\u202ec\ud800 ", 80) == "a[31m b c"
    assert clean("abcdefgh", 5) == "abcd…"


PIECES = st.sampled_from([s for s, _ in SECRETS] + HARMLESS + ["[redacted:email]", "token", "=", ":", "@", "4111", " "])


@given(st.lists(st.one_of(PIECES, st.text(max_size=12)), max_size=8).map("".join))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    for redactor in (PLAIN, HOUSE):
        once = redactor.text(text)
        assert redactor.text(once) == once


@given(st.lists(st.one_of(PIECES, st.text("aA4 kK", max_size=6)), max_size=5).map("".join))
def test_the_fast_path_misses_nothing(text: str) -> None:
    never_matches = Redactor(Redaction(patterns={"slow": "(?!)"}))
    assert PLAIN.text(text) == never_matches.text(text)


JSON = st.recursive(
    st.one_of(PIECES, st.integers(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(PIECES, inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(PIECES, JSON, max_size=4))
def test_redacting_a_mapping_twice_is_redacting_it_once(values: dict[str, object]) -> None:
    once = HOUSE.mapping(values)
    assert HOUSE.mapping(once) == once


@given(st.text(max_size=200), st.integers(min_value=1, max_value=50))
def test_clean_text_is_short_and_printable(text: str, limit: int) -> None:
    line = clean(text, limit)
    assert len(line) <= limit
    assert line.isprintable()
