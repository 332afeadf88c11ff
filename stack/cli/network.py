"""``stack network``: networks of the cluster."""

from __future__ import annotations

import click

from stack.cli.cluster_doctor import NETWORK_CHECKS, diagnose
from stack.cli.session import client_of, say, warn_all
from stack.cli.tables import (
    label_list,
    list_options,
    object_format_option,
    short_id,
    show,
    show_objects,
)
from stack.engine.payloads import Json
from stack.errors import NotFound, UsageError

_COLUMNS = {"ID": "NETWORK ID", "Name": "NAME", "Driver": "DRIVER", "Scope": "SCOPE"}


@click.group()
def network() -> None:
    """List, create, inspect and remove networks."""


@network.command("ls")
@list_options
@click.pass_context
def ls(ctx: click.Context, *, form: str, quiet: bool) -> None:
    """List the cluster's networks."""
    found = client_of(ctx).networks({"scope": "swarm"})
    rows = [
        {
            "ID": short_id(one["Id"]),
            "Name": one["Name"],
            "Driver": one.get("Driver", ""),
            "Scope": one.get("Scope", ""),
            "Internal": str(bool(one.get("Internal"))).lower(),
            "IPv6": str(bool(one.get("EnableIPv6"))).lower(),
            "Labels": label_list(one.get("Labels")),
        }
        for one in sorted(found, key=lambda one: one["Name"])
    ]
    show(rows, _COLUMNS, form=form, quiet=quiet)


@network.command("create")
@click.argument("name")
@click.option("-d", "--driver", default="overlay", show_default=True, help="Driver.")
@click.option("--subnet", "subnets", multiple=True, metavar="CIDR", help="Address range.")
@click.option("--gateway", default="", metavar="ADDRESS", help="Gateway of the one subnet.")
@click.option("--attachable", is_flag=True, help="Let plain containers join.")
@click.option("--internal", is_flag=True, help="No way out of it.")
@click.option("-l", "--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label.")
@click.option("-o", "--opt", "options", multiple=True, metavar="KEY=VALUE", help="A driver option.")
@click.pass_context
def create(  # noqa: PLR0913 - one for each option
    ctx: click.Context,
    name: str,
    *,
    driver: str,
    subnets: tuple[str, ...],
    gateway: str,
    attachable: bool,
    internal: bool,
    labels: tuple[str, ...],
    options: tuple[str, ...],
) -> None:
    """Create a network of the cluster; prints its ID."""
    if gateway and len(subnets) != 1:
        raise UsageError("--gateway needs just one --subnet")
    ranges: list[Json] = [{"Subnet": subnet} for subnet in subnets]
    if gateway:
        ranges[0]["Gateway"] = gateway
    request: Json = {
        "Name": name,
        "Driver": driver,
        "Scope": "swarm",
        "CheckDuplicate": True,
        "Attachable": attachable,
        "Internal": internal,
        "Labels": dict(_pair("--label", text) for text in labels),
        "Options": dict(_pair("--opt", text) for text in options),
    }
    if ranges:
        request["IPAM"] = {"Driver": "default", "Config": ranges}
    network_id, warnings = client_of(ctx).create_network(request)
    warn_all(warnings)
    say(network_id)


@network.command("inspect")
@click.argument("names", nargs=-1, required=True, metavar="NETWORK...")
@click.option("--check", is_flag=True, help="Look for trouble as well; takes about five seconds.")
@object_format_option
@click.pass_context
def inspect(ctx: click.Context, names: tuple[str, ...], *, check: bool, form: str) -> None:
    """Show networks as JSON: as the API gives them, with services, tasks and nodes.

    With --check, Findings holds what is wrong between nodes and with what they made of networks.
    """
    client = client_of(ctx)
    found = []
    for name in names:
        one = client.network(name, scope="swarm", verbose=True)
        if one is None:
            raise NotFound(404, f"network {name} not found")
        found.append(dict(one))
    if check:
        findings = [f for f in diagnose(client) if f["Check"] in NETWORK_CHECKS]
        for shown in found:
            shown["Findings"] = findings
    show_objects(found, form, may_lack=("Findings", "Services", "Peers"))


@network.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="NETWORK...")
@click.pass_context
def rm(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Remove networks that no service uses."""
    client = client_of(ctx)
    for name in names:
        client.remove_network(name)
        say(name)


def _pair(option: str, text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    if not key:
        raise UsageError(f"{option} {text!r}: write KEY=VALUE")
    return key, value
