"""The ``stack`` command and its groups.

A command's module is imported when the command is used, so that ``stack --help`` and completion
stay fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_EXIT_CODES = """\b
Exit codes:
  0  done
  1  the cluster said no, does not answer, or does not run what was asked
  2  wrong usage or a wrong compose file
"""


class LazyGroup(click.Group):
    """A group that knows its commands by name, place and summary, and imports them on use."""

    def __init__(self, *args: Any, lazy: dict[str, tuple[str, str]], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """Names in the order of the table."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in self._lazy:
            return None
        module, _, name = self._lazy[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete commands without importing them."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=entry[1])
            for name, entry in self._lazy.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry[1]) for name, entry in self._lazy.items()])


_COMMANDS = {
    "deploy": ("stack.cli.deploy:deploy", "Bring the cluster to the stack of a compose file."),
    "diff": ("stack.cli.diff:diff", "Show what a deployment would change."),
    "status": ("stack.cli.status:status", "Show how far each service of a stack is."),
    "wait": ("stack.cli.status:wait", "Wait until all services of a stack run."),
    "history": ("stack.cli.history:history", "List the revisions of a stack."),
    "rollback": ("stack.cli.history:rollback", "Return to a revision of a stack."),
    "unlock": ("stack.cli.unlock:unlock", "Let others change a stack that is being deployed."),
    "import": ("stack.cli.import_stack:import_stack", "Write a running stack as compose files."),
    "config": ("stack.cli.config:config", "Show a compose file as it is understood."),
    "check": ("stack.cli.check:check", "Tell what a compose file needs to run on several nodes."),
    "ls": ("stack.cli.ls:ls", "List stacks."),
    "ps": ("stack.cli.ps:ps", "List the tasks of a stack."),
    "logs": ("stack.cli.logs:stack_logs", "Show what a stack, a service or a task printed."),
    "services": ("stack.cli.services:services", "List the services of a stack."),
    "rm": ("stack.cli.remove:rm", "Remove stacks and wait until their tasks are gone."),
    "cluster": ("stack.cli.cluster:cluster", "Make, join and leave a cluster."),
    "node": ("stack.cli.node:node", "List and change nodes."),
    "secret": ("stack.cli.attached_files:secret", "List, create and remove secrets."),
    "configs": ("stack.cli.attached_files:configs", "List, create and remove configs of services."),
    "token": ("stack.cli.token:token", "Make, list and take back deploy tokens."),
    "audit": ("stack.cli.audit:audit", "List who changed what of the cluster."),
    "network": ("stack.cli.network:network", "List, create and remove networks."),
    "service": ("stack.cli.service:service", "Create, change, list and remove services."),
    "system": ("stack.cli.system:system", "Connect other programs with the API."),
    "completion": ("stack.cli.completion:completion", "Print what completes commands in a shell."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS, epilog=_EXIT_CODES)
@click.option(
    "-H",
    "--host",
    default="",
    help="Engine API to talk to: unix:///path, tcp://address:port or ssh://user@host. "
    "Default: $DOCKER_HOST, else stackd's socket, else the Docker Engine's.",
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False),
    help="File with a deploy token to act with. Default: $STACK_TOKEN.",
)
@click.version_option(package_name="stackyard", prog_name="stack")
@click.pass_context
def cli(ctx: click.Context, host: str, token_file: str | None) -> None:
    """Deploy Compose files over several hosts, and look after the cluster that runs them."""
    ctx.obj = host
    if token_file is not None:
        ctx.meta["stack.credential"] = token_file
