"""What would another scorer have said to our past incidents? Case files of them: `tocsin export-cases FILE`."""

from __future__ import annotations

from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

import click

from tocsin.cli._terminal import MOMENT, echo_json, progress_screen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin.bootstrap import App
    from tocsin.domain.catalog import Catalog
    from tocsin.store.exporting import Past, Span

SECTION = "decide"
NAMED = 20


@click.command("export-cases")
@click.option("--since", type=MOMENT, help="Incidents opened from then on: a span back, or a time; default: all.")
@click.option("--until", type=MOMENT, help="Incidents opened before; default: now.")
@click.option("--environment", default="production", show_default=True, help="Each learns for itself.")
@click.option(
    "--catalog",
    type=click.Choice(["was", "is"]),
    default="was",
    show_default=True,
    help="What depends on what: as it was when the incident was decided last, or as it is now.",
)
@click.option("--json", "as_json", is_flag=True, help="The summary as one JSON object.")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
def export_cases(
    *, since: datetime | None, until: datetime | None, environment: str, catalog: str, as_json: bool, file: str
) -> None:
    """Write past incidents to FILE (`-`: standard output) as cases for `tocsin backtest`, one JSON object a line.

    A case holds what was known at the incident's last score and nothing later; `truth` is what a person confirmed, and
    is absent where nobody did. Texts are redacted as in tickets. Each case is scored once more by the cold model: the
    summary says how many answer as they did then, and names those that cannot (their alerts, changes or mappings are
    no longer as they were). The file also serves as HISTORY of `tocsin backtest --learn`."""
    from tocsin.cli._connected import connected
    from tocsin.store.exporting import Span

    with connected() as app:
        span = Span(environment=environment, since=since, until=until or app.database.now())
        with click.open_file(file, "wb", atomic=file != "-") as cases:
            told = _exported(app, span, cases, as_it_was=catalog == "was", quiet=as_json)
    told = {"environment": environment, "since": since, "until": span.until, "catalog": catalog, **told}
    if as_json:
        echo_json(told, err=file == "-")
    else:
        _say(told, err=file == "-")


def _exported(app: App, span: Span, file: IO[bytes], *, as_it_was: bool, quiet: bool) -> dict[str, Any]:
    from rich.progress import track

    from tocsin.cli._backtest.cases import Reader
    from tocsin.cli._backtest.export import answers_as_then, line
    from tocsin.store.exporting import count, past

    incidents, scored = count(app.database, span)
    catalogs, reader, shown = _Catalogs(app, as_it_was=as_it_was), Reader(), progress_screen()
    checked: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    with_truth = 0
    found: Iterator[Past] = past(app.database, span)
    for one in track(found, "exporting", total=scored, console=shown, disable=quiet or not shown.is_terminal):
        written = line(one, catalogs.of(one, span.environment), app.active().redactor.text)
        file.write(written)
        with_truth += bool(one.confirmed_change)
        checked[answers_as_then(one, written, reader)].append(one.display)
    return {
        "cases": scored,
        "with_truth": with_truth,
        "not_scored": incidents - scored,
        "answer_as_then": len(checked[True]),
        "answer_otherwise": len(checked[False]),
        "otherwise": checked[False][:NAMED],
        "not_checked": len(checked[None]),
        "catalog_lost": len(catalogs.lost),
    }


class _Catalogs:
    """The catalogue of each version of the mappings, loaded once; a version that can no longer be read counts as the
    active one."""

    def __init__(self, app: App, *, as_it_was: bool) -> None:
        self._app, self._as_it_was, self._now = app, as_it_was, app.database.now()
        self._kept: dict[int, Catalog] = {}
        self.lost: set[int] = set()

    def of(self, past: Past, environment: str) -> Catalog:
        """With what runs had told of lineage at the score, or until now."""
        catalog, at = self._of(past.mapping_version), past.attribution.lineage_at
        if not self._as_it_was:
            return self._app.lineage.of(environment, catalog, self._now)
        return self._app.lineage.of(environment, catalog, at) if at else catalog

    def _of(self, version: int) -> Catalog:
        active = self._app.active()
        if not self._as_it_was or version in (0, active.version):
            return active.mappings.catalog
        if version not in self._kept:
            self._kept[version] = self._loaded(version) or active.mappings.catalog
        return self._kept[version]

    def _loaded(self, version: int) -> Catalog | None:
        from tocsin.config.mappings import loads
        from tocsin.domain.errors import BadMapping
        from tocsin.store import mappings

        files = mappings.stored(self._app.database, version).files
        try:
            return loads(files, env=self._app.env, root=self._app.mappings_dir, secrets_optional=True).catalog
        except BadMapping:
            self.lost.add(version)
            return None


def _say(told: dict[str, Any], *, err: bool) -> None:
    from rich.console import Console

    from tocsin.cli._terminal import screen

    console = Console(stderr=True, highlight=False, soft_wrap=True) if err else screen()
    console.print(
        f"{told['cases']} cases, {told['with_truth']} with a confirmed cause; {told['not_scored']} never scored"
    )
    console.print(f"{told['answer_as_then']} answer as they did then", style="green")
    if told["answer_otherwise"]:
        names = ", ".join(told["otherwise"])
        console.print(f"{told['answer_otherwise']} answer otherwise, for what they rested on has changed: {names}")
    if told["not_checked"]:
        console.print(f"{told['not_checked']} cannot be checked: an older release scored them")
    if told["catalog_lost"]:
        console.print(
            f"{told['catalog_lost']} versions of the mappings can no longer be read: theirs is the active one"
        )
