"""The nftables rules of a network's virtual addresses, as text; others load them.

One map leads from a virtual address to its service's chain, so that a packet costs the same with
one service and with a thousand. A chain takes the backends in turn (`numgen inc`). Replacing a
chain starts the turn anew, so that a service whose tasks change all the time would favour its
first backend; hence each replacement begins at another one (`rotation`).

Each chain has a counter of its name. Only the first packet of a connection meets it, so that it
counts connections and costs the others nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import msgspec

from cluster.model.network_view import NetworkView
from cluster.network.names import TABLE


class Backends(msgspec.Struct, frozen=True, kw_only=True):
    """A virtual address and who answers for it, sorted."""

    vip: str
    addresses: tuple[str, ...] = ()


class Balancing(msgspec.Struct, frozen=True, kw_only=True):
    """All virtual addresses of a network that have somebody behind them, by service ID.

    `own` are this node's own tasks: what one of them sends to a virtual address may come back to
    itself, which works only if it seems to come from the router.
    """

    services: Mapping[str, Backends] = {}
    own: frozenset[str] = frozenset()


def plan_balancing(network: NetworkView, own_index: int) -> Balancing:
    """Return who answers for what: tasks that serve, and nobody else."""
    serving: dict[str, list[str]] = {}
    for task in network.tasks:
        if task.state == "serving" and task.service_id:
            serving.setdefault(task.service_id, []).append(task.address)
    return Balancing(
        services={
            service.service_id: Backends(
                vip=service.vip, addresses=tuple(sorted(serving[service.service_id], key=_order))
            )
            for service in network.services
            if service.vip and service.service_id in serving
        },
        own=frozenset(task.address for task in network.tasks if task.node_index == own_index),
    )


def render_table(wanted: Balancing, rotations: Mapping[str, int]) -> str:
    """Return the whole table, to take the place of what is there in one transaction."""
    lines = [
        f"add table ip {TABLE}",
        f"delete table ip {TABLE}",
        f"table ip {TABLE} {{",
        "  map vips { type ipv4_addr : verdict; }",
        "  set own { type ipv4_addr . ipv4_addr; }",
    ]
    names = [chain_name(service_id) for service_id in sorted(wanted.services)]
    lines += [f"  {kind} {name} {{ }}" for name in names for kind in ("counter", "chain")]
    lines += [
        "  chain prerouting {",
        "    type nat hook prerouting priority dstnat;",
        "    ip daddr vmap @vips",
        "  }",
        "  chain postrouting {",
        "    type nat hook postrouting priority srcnat;",
        "    ct status dnat ip saddr . ip daddr @own masquerade",
        "  }",
        "}",
    ]
    for service_id, backends in sorted(wanted.services.items()):
        lines += _fill(service_id, backends.addresses, rotations.get(service_id, 0))
        lines.append(_element("add", "vips", f"{backends.vip} : goto {chain_name(service_id)}"))
    lines += [_element("add", "own", f"{a} . {a}") for a in sorted(wanted.own, key=_order)]
    return "\n".join(lines) + "\n"


def render_change(have: Balancing, wanted: Balancing, rotations: Mapping[str, int]) -> str:
    """Return the commands from one state to another; empty if they are equal.

    Services that do not change are not touched, and keep their turn.
    """
    lines: list[str] = []
    for service_id, backends in sorted(wanted.services.items()):
        before = have.services.get(service_id)
        name = chain_name(service_id)
        if before is None:
            lines += [f"add counter ip {TABLE} {name}", f"add chain ip {TABLE} {name}"]
        if before is None or before.addresses != backends.addresses:
            lines += _fill(service_id, backends.addresses, rotations.get(service_id, 0))
        if before is not None and before.vip != backends.vip:
            lines.append(_element("delete", "vips", before.vip))
        if before is None or before.vip != backends.vip:
            lines.append(_element("add", "vips", f"{backends.vip} : goto {name}"))
    for service_id in sorted(have.services.keys() - wanted.services.keys()):
        name = chain_name(service_id)
        lines.append(_element("delete", "vips", have.services[service_id].vip))
        lines += [f"flush chain ip {TABLE} {name}", f"delete chain ip {TABLE} {name}"]
        lines.append(f"delete counter ip {TABLE} {name}")
    for verb, addresses in (("add", wanted.own - have.own), ("delete", have.own - wanted.own)):
        lines += [_element(verb, "own", f"{a} . {a}") for a in sorted(addresses, key=_order)]
    return "".join(f"{line}\n" for line in lines)


def changed_services(have: Balancing, wanted: Balancing) -> list[str]:
    """Return the services whose chain a change replaces, sorted."""
    return sorted(
        service_id
        for service_id, backends in wanted.services.items()
        if service_id not in have.services
        or have.services[service_id].addresses != backends.addresses
    )


def chain_name(service_id: str) -> str:
    """Return the name of a service's chain and counter."""
    return f"s_{service_id}"


def begin_of_turn(node_index: int, key: str, change: int) -> int:
    """Return where a turn begins: differently on each node, and after each change.

    A mere count would begin at the same backend each time where one of two comes and goes.
    """
    return zlib.crc32(f"{node_index} {key} {change}".encode())


def in_turn(addresses: Sequence[str], rotation: int, suffix: str = "") -> str:
    """Return a map for `numgen`: each position with its address, begun at another one each time."""
    count = len(addresses)
    elements = ", ".join(
        f"{position} : {addresses[(position + rotation) % count]}{suffix}"
        for position in range(count)
    )
    return f"numgen inc mod {count} map {{ {elements} }}"


def _fill(service_id: str, addresses: Sequence[str], rotation: int) -> list[str]:
    name = chain_name(service_id)
    choice = f"dnat to {in_turn(addresses, rotation)}"
    rule = f'add rule ip {TABLE} {name} counter name "{name}" {choice}'
    return [f"flush chain ip {TABLE} {name}", rule]


def _element(verb: str, name: str, text: str) -> str:
    return f"{verb} element ip {TABLE} {name} {{ {text} }}"


def _order(address: str) -> tuple[int, ...]:
    return tuple(int(part) for part in address.split("."))
