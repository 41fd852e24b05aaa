"""A file that is not plain, bounded YAML is refused with its line."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.config.trees import errors_of
from tocsin.config.files import EntryIn, MappingFile, PoliciesIn, WindowIn
from tocsin.config.marks import MAX_BYTES, Unreadable, documents, read


def test_billion_laughs_are_refused() -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
    )
    with pytest.raises(Unreadable, match=r"^laughs.yaml:\d+: aliases \(\*name\) unfold into too much; write the"):
        read(laughs, "laughs.yaml")


def test_an_alias_to_itself_is_refused() -> None:
    with pytest.raises(Unreadable, match="unfold into too much"):
        read("a: &a [*a]", "x.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "x.yaml:3: a: the key stands twice, first on line 1; keep one of them"),
        ("teams:\n  a: {x: 1, x: 2}\n", "x.yaml:2: teams.a.x: the key stands twice, first on line 2; keep one of them"),
        ("a:\n - !!python/object:os.system x\n", "x.yaml:2: the tag !!python/object:os.system is not allowed"),
        ("a: !!binary aGk=\n", "x.yaml:1: the tag !!binary is not allowed; write a plain value"),
        ("a: &a {x: 1}\nb:\n  <<: *a\n", "x.yaml:3: merge keys (<<) are not supported; write the fields out"),
        ("? [a, b]\n: 1\n", "x.yaml:1: a key is not plain text; write `name: value`"),
        ("a: 1\n---\nb: 2\n", "x.yaml:3: a second YAML document starts here; one file, one document"),
        ("a: [1, 2\nb: 3\n", "x.yaml:2: is not YAML: did not find expected ',' or ']'; mend the syntax"),
        ("a: \x00\n", "x.yaml:1: is not YAML: "),
        ("[" * 100 + "]" * 100, "x.yaml:1: is nested deeper than 40; flatten it"),
        ("x" * (MAX_BYTES + 1), "x.yaml:1: the file is larger than 2,000,000 bytes; split it into several files"),
        ("a: &a x\nb: [" + "*a, " * 300 + "]", "x.yaml:2: more than 200 aliases (*name); write the values out"),
    ],
)
def test_what_is_not_plain_yaml_is_refused(text: str, said: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(text, "x.yaml")
    assert str(refused.value).startswith(said)


def test_text_stays_as_it_was_written() -> None:
    document = read("version: 4.10\nmode: off\nopens: 17:00\nday: 2026-01-01\nnothing:\n", "x.yaml")
    assert document.data == {"version": "4.10", "mode": "off", "opens": "17:00", "day": "2026-01-01", "nothing": None}


def test_an_empty_file_says_nothing() -> None:
    assert read("# only a comment\n", "x.yaml").data == {}
    assert errors_of("services:\nteams:\n") == []


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(Unreadable):
        list(documents(text, "x.yaml"))


_SECTIONS = st.sampled_from(sorted(MappingFile.model_fields))
_KEYS = st.sampled_from(sorted({*EntryIn.model_fields, *PoliciesIn.model_fields, *WindowIn.model_fields, "x", "kind"}))
_WORDS = st.sampled_from(["job:x", "a", "5m", "*", "job:*", "true", "9999-12-31T23:59", "UTC", "page", "0.5", ""])
_VALUES = st.recursive(
    st.none() | _WORDS | st.text(max_size=8),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(_KEYS, inside, max_size=4),
    max_leaves=12,
)


@given(
    st.dictionaries(
        _SECTIONS, st.none() | st.dictionaries(_KEYS | st.text(max_size=5), _VALUES, max_size=3), max_size=4
    )
)
def test_any_tree_is_read_or_told_with_its_place(tree: dict[str, object]) -> None:
    for said in errors_of(json.dumps(tree)):
        assert said.startswith("x.yaml:1: ")
