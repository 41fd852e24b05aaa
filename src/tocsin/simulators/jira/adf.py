"""Atlassian Document Format: is this a valid document, and how does it read as text and as HTML?

Follows the published schema (npm @atlaskit/adf-schema, json-schema/v1/full.json) for the nodes that integrations use.
"""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

Node = Mapping[str, object]

TEXT_BLOCKS = {"paragraph", "heading", "codeBlock"}
CHILDREN: Mapping[str, frozenset[str]] = {
    "doc": frozenset(
        {
            *("paragraph", "heading", "codeBlock", "bulletList", "orderedList", "rule", "blockquote", "panel", "table"),
            *("expand", "mediaSingle", "mediaGroup", "taskList", "decisionList", "blockCard"),
        }
    ),
    "bulletList": frozenset({"listItem"}),
    "orderedList": frozenset({"listItem"}),
    "listItem": frozenset({"paragraph", "bulletList", "orderedList", "codeBlock", "mediaSingle"}),
    "blockquote": frozenset({"paragraph", "bulletList", "orderedList", "codeBlock"}),
    "panel": frozenset({"paragraph", "heading", "bulletList", "orderedList", "codeBlock", "rule"}),
    "expand": frozenset({"paragraph", "heading", "bulletList", "orderedList", "codeBlock", "rule", "panel", "table"}),
    "table": frozenset({"tableRow"}),
    "tableRow": frozenset({"tableHeader", "tableCell"}),
    "tableHeader": frozenset({"paragraph", "heading", "bulletList", "orderedList", "codeBlock", "panel", "rule"}),
    "tableCell": frozenset({"paragraph", "heading", "bulletList", "orderedList", "codeBlock", "panel", "rule"}),
    "paragraph": frozenset({"text", "hardBreak", "mention", "emoji", "date", "status", "inlineCard"}),
    "heading": frozenset({"text", "hardBreak", "mention", "emoji", "date", "status", "inlineCard"}),
    "codeBlock": frozenset({"text"}),
}
"""What may stand inside what; nodes that are not listed may hold anything."""
NOT_EMPTY = frozenset({"bulletList", "orderedList", "listItem", "table", "tableRow", "blockquote", "panel"})
MARKS = frozenset(
    {
        *("strong", "em", "code", "link", "strike", "underline", "subsup", "textColor", "backgroundColor"),
        *("annotation", "border"),
    }
)
WITH_CODE = frozenset({"code", "link", "annotation"})


def is_document(value: object) -> bool:
    """Whether this claims to be a document at all: an object of type doc and version 1 with content."""
    return (
        isinstance(value, Mapping)
        and value.get("type") == "doc"
        and value.get("version") == 1
        and isinstance(value.get("content"), list)
    )


def fault(value: object) -> str:
    """Why this is no valid document; empty when it is one."""
    return _fault_of(value) if is_document(value) else "not an Atlassian Document"


def _fault_of(node: object) -> str:
    if not isinstance(node, Mapping):
        return "a node must be an object"
    kind = str(node.get("type"))
    if kind == "text":
        return _text_fault(node)
    if kind == "heading" and _attrs(node).get("level") not in range(1, 7):
        return "heading level must be 1 to 6"
    content = _content(node)
    if kind in NOT_EMPTY and not content:
        return f"{kind} must not be empty"
    allowed = CHILDREN.get(kind)
    for child in content:
        child_kind = child.get("type") if isinstance(child, Mapping) else None
        if allowed is not None and child_kind not in allowed:
            return f"{child_kind} must not stand in {kind}"
        if kind == "codeBlock" and isinstance(child, Mapping) and child.get("marks"):
            return "no marks in codeBlock"
        if found := _fault_of(child):
            return found
    return ""


def _text_fault(node: Node) -> str:
    text = node.get("text")
    if not isinstance(text, str) or not text:
        return "text must not be empty"
    kinds = {str(mark.get("type")) for mark in _marks(node)}
    if kinds - MARKS:
        return f"unknown mark {min(kinds - MARKS)}"
    if "code" in kinds and kinds - WITH_CODE:
        return "code goes with links only"
    if any(mark.get("type") == "link" and not _attrs(mark).get("href") for mark in _marks(node)):
        return "a link needs href"
    return ""


def of_text(text: str) -> dict[str, object]:
    """A document with one paragraph per line: how Cloud shows what /rest/api/2 wrote."""
    lines = [{"type": "paragraph", "content": [{"type": "text", "text": line}]} for line in text.splitlines() if line]
    return {"type": "doc", "version": 1, "content": lines}


def to_text(value: object) -> str:
    """The readable text of a document (a plain text stays as it is)."""
    if not isinstance(value, Mapping):
        return str(value or "")
    kind = value.get("type")
    if kind == "text":
        return str(value.get("text", ""))
    if kind == "hardBreak":
        return "\n"
    inner = "".join(to_text(child) for child in _content(value))
    if kind in ("inlineCard", "blockCard"):
        return str(_attrs(value).get("url", ""))
    if kind in ("status", "mention", "emoji"):
        return str(_attrs(value).get("text", ""))
    prefix = "* " if kind == "listItem" else ""
    return prefix + inner + ("\n" if kind in TEXT_BLOCKS or kind == "rule" else "")


_TAGS = {
    "paragraph": "p",
    "bulletList": "ul",
    "orderedList": "ol",
    "listItem": "li",
    "blockquote": "blockquote",
    "table": "table",
    "tableRow": "tr",
    "tableHeader": "th",
    "tableCell": "td",
    "codeBlock": "pre",
    "panel": "aside",
    "expand": "section",
}
_MARK_TAGS = {"strong": "strong", "em": "em", "code": "code", "strike": "s", "underline": "u"}


def to_html(value: object) -> Markup:
    """The document as HTML; every text is escaped and only http(s) and mailto links are links."""
    if not isinstance(value, Mapping):
        return Markup("<p class='plain'>{}</p>").format(str(value or ""))
    kind = str(value.get("type"))
    if kind == "text":
        return _text_html(value)
    if kind == "hardBreak":
        return Markup("<br>")
    if kind == "rule":
        return Markup("<hr>")
    inner = Markup("").join(to_html(child) for child in _content(value))
    if not _content(value) and kind not in _TAGS:
        return Markup("{}").format(to_text(value))
    tag = f"h{_attrs(value).get('level')}" if kind == "heading" else _TAGS.get(kind, "div")
    return Markup("<{0}>{1}</{0}>").format(Markup(tag), inner)  # noqa: S704  tags come from the table above


def _text_html(node: Node) -> Markup:
    shown = Markup("{}").format(str(node.get("text", "")))
    for mark in _marks(node):
        href = str(_attrs(mark).get("href", ""))
        if mark.get("type") == "link" and href.startswith(("https://", "http://", "mailto:")):
            shown = Markup('<a href="{}" rel="noopener">{}</a>').format(href, shown)
        elif tag := _MARK_TAGS.get(str(mark.get("type"))):
            shown = Markup("<{0}>{1}</{0}>").format(Markup(tag), shown)  # noqa: S704
    return shown


def _content(node: Node) -> list[object]:
    content = node.get("content")
    return content if isinstance(content, list) else []


def _marks(node: Node) -> list[Node]:
    marks = node.get("marks")
    return [mark for mark in marks if isinstance(mark, Mapping)] if isinstance(marks, list) else []


def _attrs(node: Node) -> Mapping[str, object]:
    attrs = node.get("attrs")
    return attrs if isinstance(attrs, Mapping) else {}
