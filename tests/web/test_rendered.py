"""A vendor's body reads as names and texts."""

from tocsin.web.rendered import document_text, fields


def test_short_values_come_apart_from_texts() -> None:
    short, texts = fields({"impact": "2", "description": "What: broken.\nOwner: ML.", "empty": "", "none": None})
    assert short == [("impact", "2")]
    assert texts == [("description", "What: broken.\nOwner: ML.")]


def test_a_nested_body_has_dotted_names() -> None:
    body = {"payload": {"severity": "error", "custom_details": {"team": "ml"}}, "labels": ["tocsin", "ml"]}
    assert fields(body)[0] == [
        ("payload.severity", "error"),
        ("payload.custom_details.team", "ml"),
        ("labels", "tocsin, ml"),
    ]


def test_links_are_one_line_each() -> None:
    assert fields({"links": [{"text": "Runbook", "href": "https://r.example"}]})[0] == [
        ("links", "Runbook https://r.example")
    ]


def test_an_atlassian_document_reads_as_its_lines() -> None:
    document = {
        "type": "doc",
        "version": 1,
        "content": [
            {"type": "paragraph", "content": [{"type": "text", "text": "What: "}, {"type": "text", "text": "drift"}]},
            {"type": "bulletList", "content": [{"type": "listItem", "content": [
                {"type": "paragraph", "content": [{"type": "text", "text": "one"}]}]}]},
        ],
    }  # fmt: skip
    assert document_text(document) == "What: drift\none\n"
    assert fields({"description": document})[1] == [("description", "What: drift\none\n")]


def test_a_document_without_end_does_not_end_us() -> None:
    node: dict[str, object] = {"type": "doc"}
    for _ in range(500):
        node = {"type": "doc", "content": [node, {"type": "text", "text": "x"}]}
    assert document_text(node).count("x") < 100
