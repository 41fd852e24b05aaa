"""The command line: `tocsin <name>` runs the click command `<name>` of cli/<name>.py, found by its file."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import click

from tocsin.cli.embedded.running import join
from tocsin.domain.errors import TocsinError

# In help's order; a command's module names its own with SECTION = "…", and without one it is for operators.
SECTIONS = ("run it", "first hour", "decide", "operate")


class Refused(click.ClickException):
    """A TocsinError on its way to the terminal: its text in red, no traceback."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message on standard error."""
        click.secho(f"tocsin: {self.message}", fg="red", err=True, file=file)


class CommandsByFile(click.Group):
    """A group whose commands are the public files of this folder, imported only when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command's name, sorted."""
        names = (path.stem for path in Path(__file__).parent.glob("*.py"))
        return sorted(name.replace("_", "-") for name in names if not name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import cli/<name>.py and take its attribute of the same name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        name = cmd_name.replace("-", "_")
        command = getattr(import_module(f"tocsin.cli.{name}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Help's list of commands, a section for each stage of use."""
        rows: dict[str, list[tuple[str, str]]] = {section: [] for section in SECTIONS}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is None or command.hidden:
                continue
            module = import_module(f"tocsin.cli.{name.replace('-', '_')}")
            rows[getattr(module, "SECTION", SECTIONS[-1])].append((name, command.get_short_help_str(80)))
        for section, commands in rows.items():
            if commands:
                with formatter.section(section.capitalize()):
                    formatter.write_dl(commands)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; an error of ours becomes a message and exit status 2."""
        try:
            return super().invoke(ctx)
        except TocsinError as error:
            raise Refused(str(error)) from error


@click.group(cls=CommandsByFile, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(version("tocsin"), prog_name="tocsin")
@click.pass_context
def main(ctx: click.Context) -> None:
    """One outage, one enriched ticket: from monitors' webhooks to the right team's service desk."""
    if ctx.invoked_subcommand != "up":  # which brings its own
        join()
