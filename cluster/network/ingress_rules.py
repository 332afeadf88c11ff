"""The nftables rules of published ports, as text: in the host, and in the ingress namespace.

A packet for a published port enters at any node. The host's rules send it, port unchanged, over
the uplink into the ingress namespace, whose rules choose a task and send it there, to another node
if need be, with the client's address untouched. The answer must leave through the node where the
packet came in: the task's node recognizes that node by the hardware address of its tunnel end,
keeps it as the connection's mark, and routes what the task answers by that mark.

One client may come in through several nodes from one port; a conntrack zone per entry node tells
these connections apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from cluster.model.network_view import IngressView, NodeView
from cluster.network.balancer_rules import in_turn
from cluster.network.names import (
    TABLE,
    TUNNEL,
    UPLINK_HOST,
    UPLINK_HOST_ADDRESS,
    UPLINK_INSIDE,
    UPLINK_INSIDE_ADDRESS,
    UPLINK_SUBNET,
    tunnel_mac,
)

REFUSED = "refused"
"""Counter of packets to the tunnels' port that no node of the cluster sent."""

OWN_ZONE = 65535
INDEX_MASK = 0xFFFF
HIDING_MARK = 0x10000
"""Mark of connections whose server is to see the entry node instead of the client."""


class PortRule(msgspec.Struct, frozen=True, kw_only=True):
    """A published port on this node and the tasks behind it."""

    protocol: str
    published_port: int
    target_port: int
    backends: tuple[str, ...] = ()
    host_ips: tuple[str, ...] = ()
    keeps_source: bool = True

    @property
    def key(self) -> str:
        """Protocol and port as a word."""
        return f"{self.protocol}_{self.published_port}"


class IngressRules(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the rules depend on; ports are by key."""

    own_address: str
    peers: tuple[int, ...] = ()
    ports: Mapping[str, PortRule] = {}


def plan_ports(ingress: IngressView) -> dict[str, PortRule]:
    """Return the published ports with the tasks that serve now; of equal ports the first counts."""
    serving: dict[str, list[str]] = {}
    for task in ingress.network.tasks:
        if task.state == "serving":
            serving.setdefault(task.service_id, []).append(task.address)
    rules: dict[str, PortRule] = {}
    for port in ingress.ports:
        if port.protocol not in {"tcp", "udp"}:
            continue
        rule = PortRule(
            protocol=port.protocol,
            published_port=port.published_port,
            target_port=port.target_port,
            backends=tuple(sorted(serving.get(port.service_id, ()))),
            host_ips=port.host_ips,
            keeps_source=port.keeps_source,
        )
        rules.setdefault(rule.key, rule)
    return rules


def unserved_ports(ingress: IngressView) -> list[str]:
    """Return why ports of a view are not served: one line each."""
    problems, taken = [], set()
    for port in ingress.ports:
        name = f"{port.published_port}/{port.protocol}"
        if port.protocol not in {"tcp", "udp"}:
            problems.append(f"port {name}: only tcp and udp can be published in ingress mode")
        elif name in taken:
            problems.append(f"port {name}: published twice; only the first is served")
        taken.add(name)
    return problems


def plan_rules(ingress: IngressView, view: NodeView, ports: Mapping[str, PortRule]) -> IngressRules:
    """Return what the ingress namespace's rules depend on."""
    return IngressRules(
        own_address=ingress.own_address,
        peers=tuple(sorted(n.index for n in view.nodes if n.index != view.own_index)),
        ports=dict(ports),
    )


def render_ingress(wanted: IngressRules, rotations: Mapping[str, int]) -> str:
    """Return the ingress namespace's table, to take the place of what is there at once."""
    zones = ", ".join(f"{tunnel_mac(i)} : {i}" for i in wanted.peers)
    lines = [
        f"add table ip {TABLE}",
        f"delete table ip {TABLE}",
        f"table ip {TABLE} {{",
        "  map ports { type inet_proto . inet_service : verdict; }",
        "  set hiding { type inet_proto . inet_service; }",
        "  map entries { type ether_addr : mark; }",
        *(
            f"  {kind} {chain_name(key)} {{ }}"
            for key in sorted(wanted.ports)
            for kind in ("counter", "chain")
        ),
        "  chain zones {",
        "    type filter hook prerouting priority raw;",
        f'    iifname "{UPLINK_INSIDE}" ct original zone set {OWN_ZONE}',
        *(
            [f'    iifname "{TUNNEL}" ct original zone set ether saddr map {{ {zones} }}']
            if zones
            else []
        ),
        "  }",
        "  chain marks {",
        "    type filter hook prerouting priority mangle;",
        f'    iifname "{TUNNEL}" ct state new ct mark set ether saddr map @entries',
        (
            f'    iifname "{UPLINK_INSIDE}" ct state new meta l4proto . th dport @hiding'
            f" ct mark set {HIDING_MARK:#x}"
        ),
        (
            f'    iifname != {{ "{TUNNEL}", "{UPLINK_INSIDE}" }} ct direction reply'
            f" ct mark & {INDEX_MASK:#x} != 0 meta mark set ct mark & {INDEX_MASK:#x}"
        ),
        "  }",
        "  chain prerouting {",
        "    type nat hook prerouting priority dstnat;",
        f'    iifname "{UPLINK_INSIDE}" meta l4proto . th dport vmap @ports',
        "  }",
        "  chain forward {",
        "    type filter hook forward priority filter;",
        # Tasks of different stacks share this network for their clients, not for each other.
        (
            f'    iifname != {{ "{TUNNEL}", "{UPLINK_INSIDE}" }} oifname != "{UPLINK_INSIDE}"'
            " ct state new drop"
        ),
        "  }",
        "  chain postrouting {",
        "    type nat hook postrouting priority srcnat;",
        (
            f'    ip saddr {UPLINK_HOST_ADDRESS} oifname != "{UPLINK_INSIDE}"'
            f" snat to {wanted.own_address}"
        ),
        f'    oifname != "{UPLINK_INSIDE}" ct mark {HIDING_MARK:#x} snat to {wanted.own_address}',
        (
            f'    iifname != "{TUNNEL}" oifname "{UPLINK_INSIDE}" ct direction original'
            f" snat to {UPLINK_INSIDE_ADDRESS}"
        ),
        "  }",
        "}",
    ]
    lines += [_element("add", "entries", f"{tunnel_mac(i)} : {i}") for i in wanted.peers]
    for _, rule in sorted(wanted.ports.items()):
        lines += _fill(rule, rotations.get(rule.key, 0))
        lines += _register(rule)
    return "\n".join(lines) + "\n"


def render_ingress_change(
    have: IngressRules, wanted: IngressRules, rotations: Mapping[str, int]
) -> str:
    """Return the commands from one state to another; empty if they are equal."""
    if (have.own_address, have.peers) != (wanted.own_address, wanted.peers):
        return render_ingress(wanted, rotations)
    lines: list[str] = []
    for key, before in sorted(have.ports.items()):
        after = wanted.ports.get(key)
        if after is None or _registration(after) != _registration(before):
            lines += _unregister(before)
        if after is None:
            lines += [f"flush chain ip {TABLE} {chain_name(key)}"]
            lines += [f"delete chain ip {TABLE} {chain_name(key)}"]
            lines += [f"delete counter ip {TABLE} {chain_name(key)}"]
    for key, rule in sorted(wanted.ports.items()):
        known = have.ports.get(key)
        if known is None:
            lines.append(f"add counter ip {TABLE} {chain_name(key)}")
            lines.append(f"add chain ip {TABLE} {chain_name(key)}")
        if known is None or _content(known) != _content(rule):
            lines += _fill(rule, rotations.get(key, 0))
        if known is None or _registration(known) != _registration(rule):
            lines += _register(rule)
    return "".join(f"{line}\n" for line in lines)


def changed_ports(have: IngressRules, wanted: IngressRules) -> list[str]:
    """Return the ports whose chain a change replaces, sorted."""
    return sorted(
        key
        for key, rule in wanted.ports.items()
        if key not in have.ports or _content(have.ports[key]) != _content(rule)
    )


def render_host(ports: Mapping[str, PortRule]) -> str:
    """Return the host's table for published ports, to take the place of what is there."""
    anywhere = _elements(
        f"{p.protocol} . {p.published_port}" for p in _sorted(ports) if not p.host_ips
    )
    somewhere = _elements(
        f"{address} . {p.protocol} . {p.published_port}"
        for p in _sorted(ports)
        for address in p.host_ips
    )
    to_ingress = f"dnat to {UPLINK_INSIDE_ADDRESS}"
    translation = [
        f"    fib daddr type local meta l4proto . th dport @published {to_ingress}",
        f"    fib daddr type local ip daddr . meta l4proto . th dport @published_at {to_ingress}",
    ]
    return "\n".join(
        [
            f"add table ip {TABLE}",
            f"delete table ip {TABLE}",
            f"table ip {TABLE} {{",
            f"  set published {{ type inet_proto . inet_service;{anywhere} }}",
            f"  set published_at {{ type ipv4_addr . inet_proto . inet_service;{somewhere} }}",
            "  chain prerouting {",
            "    type nat hook prerouting priority -105;",  # Docker's own are at -100
            *translation,
            "  }",
            "  chain output {",
            "    type nat hook output priority -105;",
            *translation,
            "  }",
            "  chain postrouting {",
            "    type nat hook postrouting priority 95;",
            f'    oifname "{UPLINK_HOST}" ip saddr {{ 127.0.0.0/8, {UPLINK_SUBNET} }} masquerade',
            f'    oifname != "{UPLINK_HOST}" ip saddr {UPLINK_SUBNET} masquerade',
            "  }",
            "  chain forward {",
            "    type filter hook forward priority -1;",
            # Only what was published, where it was published: nobody writes to the uplink directly.
            f'    oifname "{UPLINK_HOST}" ct direction original ct status & dnat == 0 drop',
            "  }",
            "  chain input {",
            "    type filter hook input priority -1;",
            # The uplink lets addresses of the loopback through for answers, and only for them.
            f'    iifname "{UPLINK_HOST}" ip daddr 127.0.0.0/8 ct state new drop',
            "  }",
            "}",
            "",
        ]
    )


def render_guard(view: NodeView) -> str:
    """Return the host's table that lets only nodes of the cluster into the tunnels."""
    addresses = sorted(n.address for n in view.nodes if n.index != view.own_index)
    v4 = _elements(a for a in addresses if ":" not in a)
    v6 = _elements(a for a in addresses if ":" in a)
    return "\n".join(
        [
            f"add table inet {TABLE}",
            f"delete table inet {TABLE}",
            f"table inet {TABLE} {{",
            f"  set nodes {{ type ipv4_addr;{v4} }}",
            f"  set nodes6 {{ type ipv6_addr;{v6} }}",
            f"  counter {REFUSED} {{ }}",
            "  chain input {",
            "    type filter hook input priority -1;",
            f'    udp dport {view.data_port} ip saddr != @nodes counter name "{REFUSED}" drop',
            f'    udp dport {view.data_port} ip6 saddr != @nodes6 counter name "{REFUSED}" drop',
            "  }",
            "}",
            "",
        ]
    )


def chain_name(key: str) -> str:
    """Return the name of a port's chain and of the counter of its connections."""
    return f"p_{key}"


def _fill(rule: PortRule, rotation: int) -> list[str]:
    name = chain_name(rule.key)
    lines = [f"flush chain ip {TABLE} {name}"]
    if rule.backends:
        choice = in_turn(rule.backends, rotation)
        lines.append(
            f'add rule ip {TABLE} {name} counter name "{name}" meta l4proto {rule.protocol}'
            f" dnat to {choice} : {rule.target_port}"
        )
    return lines


def _content(rule: PortRule) -> tuple[int, tuple[str, ...]]:
    return rule.target_port, rule.backends


def _registration(rule: PortRule) -> bool:
    return rule.keeps_source


def _register(rule: PortRule) -> list[str]:
    port = f"{rule.protocol} . {rule.published_port}"
    lines = [_element("add", "ports", f"{port} : goto {chain_name(rule.key)}")]
    if not rule.keeps_source:
        lines.append(_element("add", "hiding", port))
    return lines


def _unregister(rule: PortRule) -> list[str]:
    port = f"{rule.protocol} . {rule.published_port}"
    lines = [_element("delete", "ports", port)]
    if not rule.keeps_source:
        lines.append(_element("delete", "hiding", port))
    return lines


def _element(verb: str, name: str, text: str) -> str:
    return f"{verb} element ip {TABLE} {name} {{ {text} }}"


def _elements(texts: Iterable[str]) -> str:
    joined = ", ".join(texts)
    return f" elements = {{ {joined} }};" if joined else ""


def _sorted(ports: Mapping[str, PortRule]) -> list[PortRule]:
    return [rule for _, rule in sorted(ports.items())]
