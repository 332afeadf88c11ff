"""How a node comes into a cluster: the options of all commands that make it a member."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def node_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --advertise-addr, --listen-addr and --availability."""
    options = (
        click.option(
            "--advertise-addr",
            default="",
            metavar="ADDRESS[:PORT]",
            help="Address at which other nodes reach this one. Default: chosen by the node.",
        ),
        click.option(
            "--listen-addr",
            default="0.0.0.0:2377",
            show_default=True,
            metavar="ADDRESS[:PORT]",
            help="Address on which this node listens for other nodes.",
        ),
        click.option(
            "--availability",
            type=click.Choice(["active", "pause", "drain"]),
            default="active",
            help="Whether this node takes tasks.",
        ),
    )
    for add in reversed(options):
        command = add(command)
    return command
