"""``stack completion``: the script that lets a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from stack.cli.session import say
from stack.errors import StackError

VARIABLE = "_STACK_COMPLETE"
"""What the script sets when it asks this program; click reads it."""


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    r"""Print the script for SHELL.

    \b
    bash  eval "$(stack completion bash)"     in ~/.bashrc
    zsh   eval "$(stack completion zsh)"      in ~/.zshrc
    fish  stack completion fish | source      in ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise StackError(f"{shell}: this version of click cannot complete in it")
    root = ctx.find_root()
    # the template alone: click's own method would run the shell to ask for its version
    made = kind(root.command, {}, "stack", VARIABLE)
    say(made.source_template % made.source_vars())
