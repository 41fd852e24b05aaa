"""What the docs say is there: commands parse, names are in the reference, links lead somewhere, mappings read well."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tocsin import connectors, sources
from tocsin.cli import _reference, main
from tocsin.cli._reference import metrics, reasons
from tocsin.cli._reference.markdown import anchor
from tocsin.config.files import MappingFile
from tocsin.config.findings import check
from tocsin.config.mappings import examined
from tocsin.config.marks import Level
from tocsin.config.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "changelog.d").glob("*.md"), *ROOT.glob("docs/**/*.md")]
)
WRITTEN = [page for page in PAGES if REFERENCE not in page.parents]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]

FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
INLINE = re.compile(r"`([^`\n]+)`")


def told(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def lines_of_code(text: str) -> Iterator[str]:
    """Every line of a code block, and every piece of inline code."""
    plain = FENCE.sub("", text)
    blocks = [body for language, body in FENCE.findall(text) if language in ("", "sh")]
    indented = [line for line in plain.splitlines() if line.startswith("    ")]
    for line in [*"\n".join(blocks).splitlines(), *indented, *INLINE.findall(plain)]:
        yield line.partition(" #")[0].strip()


def commands_of(page: Path) -> list[str]:
    """The words after `tocsin` of each command that a page prints."""
    found = (
        re.fullmatch(r"(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?tocsin ([a-z].*)", line) for line in lines_of_code(told(page))
    )
    return sorted({match[1] for match in found if match})


# --- commands ---


def test_the_make_targets_that_docs_name_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", told(ROOT / "Makefile"), re.MULTILINE))
    named = {
        name for page in WRITTEN for line in lines_of_code(told(page)) for name in re.findall(r"^make ([a-z]+)", line)
    }
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_commands_that_a_page_prints_exist_with_their_options(page: Path) -> None:
    for line in commands_of(page):
        words = line.split()
        command: click.Command = main
        context = click.Context(main)
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            found = command.get_command(context, words.pop(0))
            assert found is not None, f"{line}: there is no such command"
            command = found
        options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        unknown = {word.partition("=")[0] for word in words if word.startswith("--")} - options - {"--help"}
        assert not unknown, f"{line}: {unknown}"


def test_every_command_answers_help() -> None:
    for name in main.list_commands(click.Context(main)):
        answer = CliRunner().invoke(main, [name, "--help"])
        assert answer.exit_code == 0, answer.output
        assert f"## `tocsin {name}`" in told(REFERENCE / "cli.md")


def test_sources_that_hooks_add_names_are_there() -> None:
    named = {line.split()[2] for page in WRITTEN for line in commands_of(page) if line.startswith("hooks add ")}
    assert named - {"SOURCE"} <= set(sources.names())


# --- the reference is whole ---


def test_the_reference_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # examples are taken from tests/sources
    assert _reference.stale(REFERENCE) == []


def test_a_stale_page_is_named_and_ends_with_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    target = str(tmp_path / "pages")
    assert CliRunner().invoke(main, ["reference", "--write", target]).exit_code == 0
    assert CliRunner().invoke(main, ["reference", "--check", "--write", target]).exit_code == 0
    (tmp_path / "pages" / "settings.md").write_text("old")
    answer = CliRunner().invoke(main, ["reference", "--check", "--write", target])
    assert (answer.exit_code, "settings.md: stale" in answer.output) == (1, True)


def test_every_setting_is_in_the_reference() -> None:
    page = told(REFERENCE / "settings.md")
    assert [name for name in Settings.model_fields if f"`{PREFIX}{name.upper()}`" not in page] == []


def test_every_variable_that_compose_and_image_use_is_documented() -> None:
    pages = told(REFERENCE / "settings.md") + told(ROOT / "docs" / "operations.md")
    used = re.findall(r"\bTOCSIN_[A-Z_]+\b", told(ROOT / "docker-compose.yml") + told(ROOT / "Dockerfile"))
    assert sorted({name for name in used if name not in pages}) == []


def test_every_metric_is_in_the_reference() -> None:
    page = told(REFERENCE / "metrics.md")
    declared = {
        name
        for path in (ROOT / "src").rglob("*.py")
        for name in re.findall(r'"(tocsin_[a-z_]+_(?:total|seconds))"', told(path))
    }
    assert declared
    assert {name for name in declared if f"`{name}`" not in page} == set()
    assert {row[0] for row in metrics.found()} <= set(re.findall(r"`tocsin_[a-z_]+`", page))


def test_every_source_and_connector_is_in_the_reference() -> None:
    assert [name for name in sources.names() if f"\n## {name}\n" not in told(REFERENCE / "sources.md")] == []
    assert [name for name in connectors.names() if f"\n## `{name}`\n" not in told(REFERENCE / "connectors.md")] == []


def test_every_top_level_key_of_mappings_is_in_the_reference_and_the_tutorial_shows_the_common_ones() -> None:
    page, tutorial = told(REFERENCE / "mappings.md"), told(ROOT / "docs" / "mappings.md")
    assert [name for name in MappingFile.model_fields if f"| `{name}` |" not in page] == []
    seldom = {"hosts", "queues", "providers"}
    assert [name for name in MappingFile.model_fields if f"\n{name}:" not in tutorial and name not in seldom] == []


def test_every_reason_is_in_the_reference() -> None:
    page = told(REFERENCE / "reasons.md")
    assert {word for node in reasons.enums() for word, _ in reasons.words(node) if f"`{word}`" not in page} == set()
    refusals = re.findall(r'_refused\(\d{3}, "(\w+)"', told(ROOT / "src" / "tocsin" / "receive.py"))
    gates = re.findall(r'reason="(\w+)"', told(ROOT / "src" / "tocsin" / "decide" / "suppress.py"))
    assert {word for word in (*refusals, *gates) if f"| `{word}` |" not in page} == set()
    assert set(gates) == set(reasons.GATES)


def test_every_audit_action_is_in_the_reference() -> None:
    page = told(REFERENCE / "reasons.md")
    fold = told(ROOT / "src" / "tocsin" / "decide" / "fold.py")
    spelt = re.findall(r'"(alert\.[a-z]+)"', fold) + [action for action, _ in reasons.written_actions()]
    assert len(spelt) > 5
    assert [action for action in spelt if f"| `{action}` |" not in page] == []


def test_every_dependency_has_its_why() -> None:
    named = tomllib.loads(told(ROOT / "pyproject.toml"))["project"]["dependencies"]
    page = told(ROOT / "docs" / "architecture.md")
    assert [line for line in named if not re.search(rf"\| [^|]*\b{re.escape(line.partition('==')[0])}", page)] == []


def test_every_table_is_in_the_architecture() -> None:
    versions = ROOT / "src" / "tocsin" / "store" / "migrations" / "versions"
    tables = {name for path in versions.glob("*.py") for name in re.findall(r"CREATE TABLE (\w+) \(", told(path))}
    assert tables
    assert {name for name in tables if f"`{name}`" not in told(ROOT / "docs" / "architecture.md")} == set()


# --- links and examples ---


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for link in LINK.findall(FENCE.sub("", told(page))):
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name}: {link}"
        if fragment:
            headings = [anchor(head) for head in re.findall(r"^#+ (.+)$", FENCE.sub("", told(target)), re.MULTILINE)]
            assert fragment in headings, f"{name}: {link}"


def test_every_page_is_reached_from_another() -> None:
    linked = {(page.parent / link.partition("#")[0]).resolve() for page in PAGES for link in LINK.findall(told(page))}
    fragments = ROOT / "changelog.d"
    assert [p.name for p in WRITTEN if p.parent not in (ROOT, fragments) and p not in linked] == []


@pytest.mark.parametrize("name", NAMES)
def test_no_page_names_a_machine(name: str) -> None:
    assert re.findall(r"/(?:home|root|Users|work)/\S*", told(ROOT / name)) == []


def test_the_tutorials_mappings_read_well() -> None:
    blocks = [body for language, body in FENCE.findall(told(ROOT / "docs" / "mappings.md")) if language == "yaml"]
    files = {re.findall(r"^# (\S+\.yaml)$", body, re.MULTILINE)[0]: body for body in blocks}
    assert len(files) == len(blocks)
    mappings, wrong = examined({**files, "runbooks/churn.md": "# Churn"}, env={}, root=ROOT, secrets_optional=True)
    errors = wrong or [finding for finding in check(mappings) if finding.level is Level.ERROR]
    assert errors == []


@pytest.mark.parametrize("name", ["README.md", "docs/simulators.md"])
def test_other_mappings_in_pages_have_known_keys(name: str) -> None:
    blocks = [body for language, body in FENCE.findall(told(ROOT / name)) if language == "yaml"]
    files = {f"{number}.yaml": body for number, body in enumerate(blocks)}
    assert files
    assert examined(files, env={}, root=ROOT, secrets_optional=True)[1] == []


def test_the_readme_counts_the_sources() -> None:
    assert f"reads [{len(sources.names())} producers]" in told(ROOT / "README.md")
