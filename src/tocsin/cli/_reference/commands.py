"""What does each command of `tocsin` take? Its own --help."""

from __future__ import annotations

from collections.abc import Iterator

import click

from tocsin.cli._reference.markdown import code, table

WIDTH = 100

INTRO = """# Commands

An error of ours ends with exit status 2 and one message on standard error. Commands that need a running installation
find one that `tocsin up` runs in `./tocsin-data` (or `TOCSIN_DATA_DIR`) by themselves; elsewhere they want
`TOCSIN_DATABASE_URL`.

"""


def page() -> str:
    """Every command and subcommand with its help."""
    from tocsin.cli import main

    root = click.Context(main, info_name="tocsin", terminal_width=WIDTH)
    return INTRO + "\n".join(_one(name, command) for name, command in commands(main, root) if not command.hidden)


def commands(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Every command below a group with its full name, sorted, groups before their commands."""
    for name in sorted(group.list_commands(context)):
        command = group.get_command(context, name)
        if command is None:
            continue
        yield f"{context.command_path} {name}", command
        if isinstance(command, click.Group):
            below = click.Context(command, info_name=name, parent=context, terminal_width=WIDTH)
            yield from commands(command, below)


def _one(name: str, command: click.Command) -> str:
    settings = {"help_option_names": ["-h", "--help"], **command.context_settings, "terminal_width": WIDTH}
    context = click.Context(command, info_name=name, **settings)
    variables = [
        (code(max(parameter.opts, key=len)), code(parameter.envvar))
        for parameter in command.params
        if isinstance(parameter.envvar, str)
    ]
    also = f"\n{table(('option', 'also by'), variables)}" if variables else ""
    return f"## {code(name)}\n\n```text\n{context.get_help()}\n```\n{also}"
