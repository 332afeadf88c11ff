"""``stack node``: the members of the cluster."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import click

from stack.cli.listings import node_name, show_tasks, task_rows
from stack.cli.session import client_of, now_s, say
from stack.cli.tables import list_options, object_format_option, show, show_objects
from stack.deploy.moving import ask_to_rebalance, wait_until_balanced, wait_until_empty
from stack.engine.client import EngineClient
from stack.engine.payloads import Json, Node
from stack.errors import EngineError, OutOfSequence, StackError, UsageError

_COLUMNS = {
    "ID": "ID",
    "Hostname": "HOSTNAME",
    "Status": "STATUS",
    "Availability": "AVAILABILITY",
    "ManagerStatus": "MANAGER STATUS",
    "EngineVersion": "ENGINE VERSION",
    "TLSStatus": "TLS",
}


@click.group()
def node() -> None:
    """List and change nodes."""


@node.command("ls")
@list_options
@click.pass_context
def ls(ctx: click.Context, *, form: str, quiet: bool) -> None:
    """List nodes; the one that answers is marked with '*'."""
    client = client_of(ctx)
    nodes = client.nodes()
    swarm = _swarm_of(client)
    rows = [_row(one, swarm) for one in sorted(nodes, key=node_name)]
    if form == "table" and not quiet:
        for row in rows:
            row["ID"] = f"{row['ID']} *" if row["Self"] else row["ID"]
    show(rows, _COLUMNS, form=form, quiet=quiet)


def _swarm_of(client: EngineClient) -> Json:
    try:
        return client.info().get("Swarm") or {}
    except EngineError:
        return {}


def _row(one: Node, swarm: Json) -> dict[str, object]:
    spec, description = one.get("Spec") or {}, one.get("Description") or {}
    manager = one.get("ManagerStatus") or {}
    reachability = str(manager.get("Reachability", "")).capitalize()
    return {
        "ID": one["ID"],
        "Hostname": node_name(one),
        "Status": str((one.get("Status") or {}).get("State", "")).capitalize(),
        "Availability": str(spec.get("Availability", "")).capitalize(),
        "ManagerStatus": "Leader" if manager.get("Leader") else reachability,
        "EngineVersion": str((description.get("Engine") or {}).get("EngineVersion", "")),
        "TLSStatus": _tls_status(description, swarm),
        "Labels": spec.get("Labels") or {},
        "Self": one["ID"] == swarm.get("NodeID"),
    }


def _tls_status(description: Json, swarm: Json) -> str:
    """Whether the node's certificate is of the root that signs now."""
    wanted = (swarm.get("Cluster") or {}).get("TLSInfo")
    shown = description.get("TLSInfo")
    if not wanted or not shown:
        return "Unknown"
    return "Ready" if shown == wanted else "Needs Rotation"


@node.command("inspect")
@click.argument("names", nargs=-1, required=True, metavar="NODE...")
@object_format_option
@click.pass_context
def inspect(ctx: click.Context, names: tuple[str, ...], *, form: str) -> None:
    """Show nodes as JSON, as the API gives them; 'self' is the node that answers."""
    client = client_of(ctx)
    found = [_find(client, name) for name in names]
    show_objects(found, form, may_lack=("Description", "ManagerStatus"))


@node.command("ps")
@click.argument("names", nargs=-1, metavar="NODE...")
@list_options
@click.pass_context
def ps(ctx: click.Context, names: tuple[str, ...], *, form: str, quiet: bool) -> None:
    """List the tasks of nodes; of the node that answers when none is named."""
    client = client_of(ctx)
    ids = [_find(client, name)["ID"] for name in names or ("self",)]
    rows = task_rows(client, client.tasks({"node": ids}), now_s())
    show_tasks(rows, form=form, quiet=quiet)


@node.command("update")
@click.argument("name", metavar="NODE")
@click.option(
    "--availability",
    type=click.Choice(["active", "pause", "drain"]),
    help="active takes tasks, pause takes no new ones, drain gives all away.",
)
@click.option("--label-add", "added", multiple=True, metavar="KEY[=VALUE]", help="Set a label.")
@click.option("--label-rm", "removed", multiple=True, metavar="KEY", help="Take a label away.")
@click.pass_context
def update(
    ctx: click.Context,
    name: str,
    *,
    availability: str | None,
    added: tuple[str, ...],
    removed: tuple[str, ...],
) -> None:
    """Change a node's availability and labels."""
    if not (availability or added or removed):
        raise UsageError("nothing to change: give --availability, --label-add or --label-rm")
    client = client_of(ctx)
    _change(client, name, lambda found: _changed(found, availability, added, removed))
    say(name)


@node.command("promote")
@click.argument("names", nargs=-1, required=True, metavar="NODE...")
@click.pass_context
def promote(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Make nodes managers, as soon as they have caught up with the others."""
    for name in names:
        _set_role(client_of(ctx), name, "manager")


@node.command("demote")
@click.argument("names", nargs=-1, required=True, metavar="NODE...")
@click.pass_context
def demote(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Make managers workers; refused when the others could not go on without them."""
    for name in names:
        _set_role(client_of(ctx), name, "worker")


def _set_role(client: EngineClient, name: str, role: str) -> None:
    def once() -> bool:
        found = _find(client, name)
        spec = {**deepcopy(found.get("Spec") or {}), "Role": role}
        if (found.get("Spec") or {}).get("Role") == role:
            return False
        client.update_node(found["ID"], found["Version"]["Index"], spec)
        return True

    try:
        changed = once()
    except OutOfSequence:  # a status report came in between: once more
        changed = once()
    say(f"{name}: {'shall be' if changed else 'is already'} a {role}")


@node.command("drain")
@click.argument("names", nargs=-1, required=True, metavar="NODE...")
@click.option("--wait", is_flag=True, help="Wait until no task is left on the nodes.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait.",
)
@click.pass_context
def drain(ctx: click.Context, names: tuple[str, ...], *, wait: bool, timeout_s: float) -> None:
    """Let nodes give all their tasks away.

    A task stops once its replacement elsewhere is prepared, or runs where the update policy of its
    service says start-first; where there is nowhere to go it stops all the same.
    """
    client = client_of(ctx)
    found = [_find(client, name) for name in names]
    for one in found:
        _change(client, one["ID"], lambda node: _changed(node, "drain", (), ()))
        say(node_name(one))
    if wait:
        wait_until_empty(client, found, timeout_s=timeout_s, say=say)


@node.command("rebalance")
@click.option("--stop", is_flag=True, help="Take the wish back; what was moved stays.")
@click.option("-d", "--detach", is_flag=True, help="Do not wait until it is done.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait; the cluster goes on after that.",
)
@click.pass_context
def rebalance(ctx: click.Context, *, stop: bool, detach: bool, timeout_s: float) -> None:
    """Spread running tasks anew, as after a node has come back.

    Few tasks move, one at a time, and the next only when the last one runs in its new place.
    """
    client = client_of(ctx)
    if stop:
        ask_to_rebalance(client, "")
        return
    request = ask_to_rebalance(client, f"{now_s():.3f}")
    if not detach:
        wait_until_balanced(client, request, timeout_s=timeout_s, say=say)


@node.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="NODE...")
@click.option("-f", "--force", is_flag=True, help="Also a node that is not down.")
@click.pass_context
def remove(ctx: click.Context, names: tuple[str, ...], *, force: bool) -> None:
    """Remove nodes that left the cluster, or will not come back.

    A node is to leave first, by 'stack cluster leave' on it; a removed one must join anew.
    """
    client = client_of(ctx)
    for one in [_find(client, name) for name in names]:
        client.remove_node(one["ID"], force=force)
        say(one["ID"])


def _change(client: EngineClient, name: str, new_spec: Callable[[Node], Json]) -> None:
    def once() -> None:
        found = _find(client, name)
        client.update_node(found["ID"], found["Version"]["Index"], new_spec(found))

    try:
        once()
    except OutOfSequence:  # a status report came in between: once more
        once()


def _find(client: EngineClient, name: str) -> Node:
    """A node by ID, its beginning, host name, or the one that answers ("self")."""
    if name == "self":
        name = str(_swarm_of(client).get("NodeID") or name)
    try:
        return client.node(name)
    except EngineError as error:
        if "ambiguous" not in str(error):
            raise
        raise StackError(f"{error}; {_choices(client, name)}") from None


def _choices(client: EngineClient, name: str) -> str:
    rows = [_row(one, {}) for one in sorted(client.nodes(), key=lambda one: one["ID"])]
    found = [row for row in rows if name == row["Hostname"] or str(row["ID"]).startswith(name)]
    shown = ", ".join(f"{row['ID']} ({row['Hostname']}, {row['Status']})" for row in found)
    return f"name one by its ID: {shown}"


def _changed(
    found: Node, availability: str | None, added: tuple[str, ...], removed: tuple[str, ...]
) -> Json:
    spec = deepcopy(found.get("Spec") or {})
    labels = spec.get("Labels") or {}
    for text in added:
        key, _, value = text.partition("=")
        if not key:
            raise UsageError(f"--label-add {text!r}: a label needs a name")
        labels[key] = value
    for key in removed:
        if labels.pop(key, None) is None:
            raise StackError(f"node {node_name(found)} has no label {key!r}")
    spec["Labels"] = labels
    if availability:
        spec["Availability"] = availability
    return spec
