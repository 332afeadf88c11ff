"""``stack system``: what other programs use of this one."""

from __future__ import annotations

import os

import click

from stack.engine.dial import connect_streams
from stack.engine.endpoint import find_address
from stack.engine.transport import open_socket
from stack.errors import EngineUnreachable, UsageError


@click.group()
def system() -> None:
    """Commands that other programs use."""


@system.command("dial-stdio")
@click.pass_context
def dial_stdio(ctx: click.Context) -> None:
    """Connect standard input and output with the API.

    'stack -H ssh://HOST' and Docker's client run such a command on the other host.
    """
    endpoint = find_address(ctx.obj or "", os.environ)
    if endpoint.scheme == "ssh" or endpoint.tls:
        raise UsageError(
            f"{endpoint.url}: dial-stdio connects to unix:// and to tcp:// without TLS"
        )
    try:
        with open_socket(endpoint) as opened:
            connect_streams(0, 1, opened)
    except OSError as error:
        raise EngineUnreachable(
            f"no answer from {endpoint.url}: {error.strerror or error} (is stackd running there?)"
        ) from None
