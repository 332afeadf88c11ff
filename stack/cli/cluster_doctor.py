"""``stack cluster doctor``: what is wrong with the cluster, as its nodes see it."""

from __future__ import annotations

import click

from stack.cli.session import client_of, say
from stack.cli.tables import list_options, show
from stack.engine.client import EngineClient
from stack.engine.payloads import Json
from stack.errors import StackError

_COLUMNS = {
    "Severity": "SEVERITY",
    "Check": "CHECK",
    "Node": "NODE",
    "Text": "FINDING",
    "Remedy": "REMEDY",
}

NETWORK_CHECKS = frozenset({"stack-netd", "data port", "mtu", "leftovers", "networks"})
"""The checks that concern networks."""


@click.command("doctor")
@list_options
@click.pass_context
def doctor(ctx: click.Context, *, form: str, quiet: bool) -> None:
    """Look for trouble on all nodes and between them; takes about five seconds.

    Nodes that are away, ports 2377 and 4789 that are closed, sizes of packets that get lost, clocks
    that differ, certificates that were not renewed, leftovers of networks, nodes without
    stack-netd.

    Exit codes: 0 nothing, or warnings only; 1 errors were found, or the cluster cannot be asked.
    """
    found = diagnose(client_of(ctx))
    if form == "table" and not quiet and not found:
        say("Nothing is wrong.")
        return
    show(found, _COLUMNS, form=form, quiet=quiet, identity="Node")
    errors = sum(1 for one in found if one["Severity"] == "error")
    if errors:
        raise StackError(f"{errors} {'error' if errors == 1 else 'errors'} found")


def diagnose(client: EngineClient) -> list[Json]:
    """Everything that is wrong, in the order of the checks."""
    return client.diagnose()
