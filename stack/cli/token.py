"""``stack token``: identities that may deploy some stacks and nothing else."""

from __future__ import annotations

import re

import click

from stack.cli.session import client_of, now_s, say
from stack.cli.tables import age, list_options, show
from stack.engine.payloads import Json
from stack.errors import UsageError

_COLUMNS = {
    "Name": "NAME",
    "Stacks": "STACKS",
    "Allow": "ALLOW",
    "Networks": "NETWORKS",
    "Created": "CREATED",
    "Expires": "EXPIRES",
}
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@click.group()
def token() -> None:
    """Make, list, rotate and remove deploy tokens.

    A token may deploy, change, roll back, remove and watch the stacks it names. It cannot reach
    into the nodes, use what is of other stacks, or change anything else of the cluster.
    """


@token.command("create")
@click.argument("name")
@click.option(
    "--stack",
    "stacks",
    multiple=True,
    required=True,
    metavar="NAME",
    help="A stack it may deploy; * stands for any characters. May be repeated.",
)
@click.option("--expires", metavar="TIME", help="How long it holds, as 90d or 12h. Default: ever.")
@click.option(
    "--allow",
    multiple=True,
    metavar="WORD",
    help="Let its services reach further: privileged, host-binds, host-namespaces, devices, "
    "capabilities, unconfined, volumes, log-drivers, ports. May be repeated.",
)
@click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="NAME",
    help="A network of no stack of it that its services may join. May be repeated.",
)
@click.pass_context
def create(
    ctx: click.Context,
    name: str,
    *,
    stacks: tuple[str, ...],
    expires: str | None,
    allow: tuple[str, ...],
    networks: tuple[str, ...],
) -> None:
    """Make a token; prints it, this once. Keep it where only the deploying job can read it."""
    request: Json = {"Name": name, "Stacks": stacks, "Allow": allow, "Networks": networks}
    if expires is not None:
        request["Until"] = _moment(expires)
    say(client_of(ctx).create_token(request))


@token.command("ls")
@list_options
@click.pass_context
def ls(ctx: click.Context, *, form: str, quiet: bool) -> None:
    """List tokens, without what proves them."""
    found = client_of(ctx).tokens()
    if form == "json":
        show(found, _COLUMNS, form=form, quiet=quiet, identity="Name")
        return
    rows = [
        {
            "Name": one["Name"],
            "Stacks": ", ".join(one["Stacks"]),
            "Allow": ", ".join(one["Allow"]),
            "Networks": ", ".join(one["Networks"]),
            "Created": age(one["CreatedAt"], now_s()),
            "Expires": one["ExpiresAt"][:19].replace("T", " ") or "never",
        }
        for one in found
    ]
    show(rows, _COLUMNS, form=form, quiet=quiet, identity="Name")


@token.command("rotate")
@click.argument("name")
@click.option("--expires", metavar="TIME", help="How long it holds from now. Default: as before.")
@click.pass_context
def rotate(ctx: click.Context, name: str, *, expires: str | None) -> None:
    """Print a new text of a token; the one of before is worth nothing from now on."""
    request: Json = {} if expires is None else {"Until": _moment(expires)}
    say(client_of(ctx).rotate_token(name, request))


@token.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.pass_context
def rm(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Take tokens back: they are worth nothing from now on."""
    client = client_of(ctx)
    for name in names:
        client.remove_token(name)
        say(name)


def _moment(duration: str) -> int:
    """When a duration from now is over, in seconds since 1970."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})([smhdw])", duration)
    if match is None:
        raise UsageError(f"--expires: {duration!r} is no time such as 90d, 12h or 30m")
    return int(now_s()) + int(match[1]) * _UNITS_S[match[2]]
