"""What does /metrics show? Every metric that is declared anywhere in the package."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tocsin.cli._reference.markdown import code, modules, table, text_of
from tocsin.web.site import _Queues

KINDS = {"Counter": "counter", "Gauge": "gauge", "Histogram": "histogram", "Summary": "summary"}

INTRO = """# Metrics

`GET /metrics` of the web process answers in Prometheus' text format, without a token: keep it behind your own proxy.
With `PROMETHEUS_MULTIPROC_DIR` (one directory that all processes of a host can write; `tocsin up` sets it) it also
shows what workers count. Without it `tocsin web` joins its own processes only, and workers on other hosts show nothing.

"""

OUTRO = """
A histogram also has `_bucket`, `_sum` and `_count`. Values of `reason` are explained in [reasons](reasons.md).
"""


def page() -> str:
    """Every metric with its labels and where it is counted."""
    rows = sorted([*found(), *_gauges()])
    return INTRO + table(("metric", "kind", "labels", "what it says", "counted in"), rows) + OUTRO


def found() -> Iterator[tuple[str, str, str, str, str]]:
    """Name, kind, labels, help and module of each metric."""
    for path, module in modules():
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
                texts = [text_of(argument) for argument in node.args[:2]]
                if texts and texts[0].startswith("tocsin_"):
                    labels = ", ".join(code(label) for label in _labels(node))
                    yield code(texts[0]), KINDS[node.func.id], labels, texts[1], code(path)


def _gauges() -> Iterator[tuple[str, str, str, str, str]]:
    """What is read from the database at each scrape."""
    for name, words in _Queues.HELP.items():
        yield code(f"tocsin_{name}"), "gauge", "", words, code("web/site.py")
    for name, (labels, words) in _Queues.LABELLED.items():
        yield code(f"tocsin_{name}"), "gauge", ", ".join(code(label) for label in labels), words, code("web/site.py")


def _labels(call: ast.Call) -> list[str]:
    given = [*call.args[2:3], *(keyword.value for keyword in call.keywords if keyword.arg == "labelnames")]
    return [text_of(name) for names in given if isinstance(names, ast.List | ast.Tuple) for name in names.elts]
