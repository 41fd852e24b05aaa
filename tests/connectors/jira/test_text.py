"""Our plain text as an Atlassian document, and in wiki notation."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.connectors.jira.adf import MAX_SERIALIZED, document
from tocsin.connectors.jira.wiki import MAX_TEXT, wiki

TEXTS = st.text(max_size=400) | st.text(alphabet="aé\n \t漢/:.htps", max_size=400)


@given(text=TEXTS)
def test_any_text_becomes_a_document(text: str) -> None:
    found: Any = document(text)
    assert len(orjson.dumps(found)) < MAX_SERIALIZED
    for block in found["content"]:
        assert block["type"] in ("paragraph", "codeBlock")
        assert all(node["type"] == "hardBreak" or node["text"] for node in block["content"])


@given(text=st.text(alphabet=st.characters(categories=["Cc", "Cs", "Cf", "Zl", "Zs", "Ll"]), max_size=60))
def test_what_jira_cannot_store_is_left_out(text: str) -> None:
    sent = orjson.dumps(document(text)).decode() + wiki(text)
    assert not [sign for sign in sent if ord(sign) < 32 and sign != "\n"]


def test_a_long_text_is_cut_to_the_fields_limit() -> None:
    assert len(orjson.dumps(document("漢字\n" * 20_000))) < MAX_SERIALIZED
    assert len(wiki("[x] " * 20_000)) <= MAX_TEXT


def test_columns_stay_aligned_in_one_code_block() -> None:
    told = "WHAT      checkout is slow\nHIT       shop, and\n          app\n\nTOC-7"
    blocks: Any = document(told)["content"]
    assert [block["type"] for block in blocks] == ["codeBlock", "paragraph"]
    assert blocks[0]["content"] == [{"type": "text", "text": told.partition("\n\n")[0]}]


def test_addresses_in_paragraphs_are_links() -> None:
    blocks: Any = document("See https://runbooks.example.com/drift?a=1, then call.")["content"]
    words, link, rest = blocks[0]["content"]
    assert (words["text"], rest["text"]) == ("See ", ", then call.")
    assert link["marks"] == [{"type": "link", "attrs": {"href": "https://runbooks.example.com/drift?a=1"}}]


@pytest.mark.parametrize(
    ("plain", "notation"),
    [
        ("feature basket_size_total of model:returns", "feature basket_size_total of model:returns"),
        ("[toc:1a2b3c4d]", "\\[toc:1a2b3c4d\\]"),
        ("{code} and *bold* and -gone-", "\\{code\\} and \\*bold* and \\-gone-"),
        ("- one\n# two\nh1. three", "\\- one\n\\# two\n\\h1. three"),
        ("a | b", "a \\| b"),
        ("p99 4.1 s > 1.5 s, 12 %", "p99 4.1 s > 1.5 s, 12 %"),
        ("First:\n    kubectl get pods", "First:\n\n{noformat}\nkubectl get pods\n{noformat}"),
        ("rolled-back at 12:20!", "rolled-back at 12:20!"),
    ],
)
def test_what_looks_like_markup_is_escaped(plain: str, notation: str) -> None:
    assert wiki(plain) == notation
