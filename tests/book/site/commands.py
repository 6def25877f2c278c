"""Command lines of prunekit as pages and README print them, parsed but not run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import click

from prunekit import cli
from prunekit.book import paths
from prunekit.book.runs.notebooks import coerce, parse_value, parse_values, read


def command_lines(markdown: str) -> Iterator[list[str]]:
    """Yield the arguments of every ``prunekit …`` command in code blocks and inline code."""
    blocks = re.findall(r"^```[\w-]*\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", markdown, flags=re.MULTILINE | re.DOTALL))
    for line in [*"\n".join(blocks).replace("\\\n", " ").splitlines(), *inline]:
        name = next(iter(line.split()), "")
        words = shlex.split(line, comments=True) if name.removeprefix(".venv/bin/") == "prunekit" else []
        if len(words) > 1:
            yield words[1:]


def understand(arguments: list[str], page: Path | None = None) -> str:
    """Return the name of the command that `arguments` call, after refusing what it does not know.

    Parameters
    ----------
    arguments
        What follows ``prunekit``.
    page
        The notebook that ``…`` stands for.

    Raises
    ------
    click.ClickException
        For an unknown command, option or value.
    prunekit.book.runs.notebooks.Refused
        For a notebook that does not exist, or a parameter that it lacks or that is of another type.
    """
    arguments = [str(page) if word == "…" and page else word for word in arguments]
    command: click.Command = cli.main
    context, rest = click.Context(command), list(arguments)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        _, command, rest = command.resolve_command(context, rest)
        context = click.Context(command, parent=context)
    if rest:  # prose names a command by its name alone
        with mock.patch.object(click.Path, "convert", lambda self, value, *_: Path(value)):  # reader's folders
            command.parse_args(context, list(rest))
        if command is cli.run:
            _parameters(context)
    return command.name or ""


def _parameters(context: click.Context) -> None:
    """Parse the parameters of a ``prunekit run``."""
    notebook = read(paths.ROOT / context.params["notebook"])
    fixed = cli._pairs(context.params["given"], "-p")
    coerce(notebook, {name: parse_value(notebook, name, text) for name, text in fixed.items()})
    for name, text in cli._pairs(context.params["axes"], "--grid").items():
        parse_values(notebook, name, text)
