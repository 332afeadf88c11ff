"""``stack cluster``: make, join and leave a cluster."""

from __future__ import annotations

import json

import click

from stack.cli.cluster_copies import backup, restore
from stack.cli.cluster_doctor import doctor
from stack.cli.cluster_identity import ca, lock, unlock, unlock_key
from stack.cli.node_options import node_options
from stack.cli.session import client_of, say
from stack.cli.tables import object_format_option, show_objects
from stack.engine.client import EngineClient
from stack.engine.payloads import Json
from stack.errors import StackError


@click.group()
def cluster() -> None:
    """Make, join and leave a cluster."""


for _command in (ca, lock, unlock, unlock_key, backup, restore, doctor):
    cluster.add_command(_command)


@cluster.command("init")
@node_options
@click.option("--autolock", is_flag=True, help="Managers that restart need an unlock key.")
@click.option(
    "--force-new-cluster",
    is_flag=True,
    help="On a manager whose majority is lost for good: go on as the only manager, with everything"
    " it knows. The lost managers must not come back as such.",
)
@click.pass_context
def init(
    ctx: click.Context,
    *,
    advertise_addr: str,
    listen_addr: str,
    availability: str,
    autolock: bool,
    force_new_cluster: bool,
) -> None:
    """Make this node the first manager of a new cluster."""
    client = client_of(ctx)
    node_id = client.init_cluster(
        {
            "ListenAddr": listen_addr,
            "AdvertiseAddr": advertise_addr,
            "Availability": availability,
            "AutoLockManagers": autolock,
            "ForceNewCluster": force_new_cluster,
            "Spec": {},
        }
    )
    say(f"Cluster initialized: this node ({node_id}) is now a manager.\n")
    say("To add a worker, run this on the other node:\n")
    say(f"    {_join_command(client, 'Worker')}\n")
    say("To add a manager, run 'stack cluster token manager' here and follow its answer.")
    if autolock:
        say("")
        ctx.invoke(unlock_key, rotate=False, quiet=False)


@cluster.command("join")
@click.argument("managers", nargs=-1, required=True, metavar="ADDRESS[:PORT]...")
@click.option("--token", required=True, metavar="TOKEN", help="From 'stack cluster token'.")
@node_options
@click.pass_context
def join(
    ctx: click.Context,
    managers: tuple[str, ...],
    *,
    token: str,
    advertise_addr: str,
    listen_addr: str,
    availability: str,
) -> None:
    """Make this node a member of the cluster at the managers' addresses.

    The token says whether as a worker or as a manager.
    """
    client = client_of(ctx)
    client.join_cluster(
        {
            "ListenAddr": listen_addr,
            "AdvertiseAddr": advertise_addr,
            "RemoteAddrs": [_with_port(address) for address in managers],
            "JoinToken": token,
            "Availability": availability,
        }
    )
    swarm = client.info().get("Swarm") or {}
    role = "manager" if swarm.get("ControlAvailable") else "worker"
    say(f"This node joined the cluster as a {role}.")


@cluster.command("leave")
@click.option("--force", is_flag=True, help="Leave even as a manager; its state is deleted.")
@click.pass_context
def leave(ctx: click.Context, *, force: bool) -> None:
    """Take this node out of its cluster; its tasks stop."""
    client_of(ctx).leave_cluster(force=force)
    say("This node left the cluster.")


@cluster.command("token")
@click.argument("role", type=click.Choice(["worker", "manager"]))
@click.option("--rotate", is_flag=True, help="Make a new token; the old one is void at once.")
@click.option("-q", "--quiet", is_flag=True, help="Only the token.")
@click.pass_context
def token(ctx: click.Context, role: str, *, rotate: bool, quiet: bool) -> None:
    """Show the command that lets a node join as worker or manager."""
    client = client_of(ctx)
    if rotate:
        _rotate(client, role)
    if quiet:
        say(client.cluster()["JoinTokens"][role.capitalize()])
        return
    command = _join_command(client, role.capitalize())
    say(f"To add a {role}, run this on the other node:\n")
    say(f"    {command}")


@cluster.command("inspect")
@object_format_option
@click.pass_context
def inspect(ctx: click.Context, *, form: str) -> None:
    """Show the cluster as JSON; join tokens are left out ('stack cluster token' shows them)."""
    found = client_of(ctx).cluster()
    found.pop("JoinTokens", None)
    if form == "json":
        click.echo(json.dumps(found, indent=2))  # there is only one: no array
    else:
        show_objects([found], form)


def _rotate(client: EngineClient, role: str) -> None:
    found = client.cluster()
    name = "rotateWorkerToken" if role == "worker" else "rotateManagerToken"
    client.update_cluster(found["Version"]["Index"], found["Spec"], **{name: True})


def _join_command(client: EngineClient, role: str) -> str:
    join_token = client.cluster()["JoinTokens"][role]
    return f"stack cluster join --token {join_token} {_manager_address(client.info())}"


def _manager_address(info: Json) -> str:
    swarm = info.get("Swarm") or {}
    managers = {one["NodeID"]: one["Addr"] for one in swarm.get("RemoteManagers") or []}
    address = managers.get(swarm.get("NodeID", "")) or next(iter(managers.values()), "")
    if not address and swarm.get("NodeAddr"):
        address = f"{swarm['NodeAddr']}:2377"
    if not address:
        raise StackError("the node does not say at which address its managers are")
    return str(address)


def _with_port(address: str) -> str:
    if address.rpartition("]")[2].count(":") == 1:
        return address
    if address.count(":") > 1 and "[" not in address:
        address = f"[{address}]"
    return f"{address}:2377"
