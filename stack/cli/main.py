"""The start of ``stack``, and the one place where errors become exit codes."""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

from stack.errors import StackError

if TYPE_CHECKING:  # not every command needs the library
    import click

_OBJECTS_BETWEEN_COLLECTIONS = 100_000
"""Many: hardly a command makes garbage in cycles, and to look for it takes a tenth of its time."""


def main() -> None:
    """Run the command line; errors become one line on stderr and an exit code."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        code = code or 1
    os._exit(code)  # nothing is open: taking the interpreter apart would only take time


def run(arguments: list[str]) -> int:
    """Run one command; gives its exit code."""
    try:
        return _run_config(arguments[1:]) if arguments[:1] == ["config"] else _run(arguments)
    except StackError as error:
        for line in (f"error: {error}", *getattr(error, "__notes__", ())):
            sys.stderr.write(f"{line}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone; nothing is left to say
        return 1


def _run_config(arguments: list[str]) -> int:
    from stack.cli.quick_config import read_quickly
    from stack.cli.shown_project import show

    wanted = read_quickly(arguments)
    if wanted is None:
        return _run(["config", *arguments])
    show(wanted)
    return 0


def _run(arguments: list[str]) -> int:
    import click

    from stack.cli.commands import cli

    try:
        code = cli.main(args=arguments, prog_name="stack", standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        return _usage_error(error)
    except click.Abort:
        raise KeyboardInterrupt from None
    return code if isinstance(code, int) else 0  # click gives the code of an exit


def _usage_error(error: click.ClickException) -> int:
    context = getattr(error, "ctx", None)
    hint = f" (see '{context.command_path} --help')" if context else ""
    sys.stderr.write(f"error: {error.format_message()}{hint}\n")
    return error.exit_code
