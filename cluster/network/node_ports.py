"""Ports that this node alone publishes, for containers whose way out is the ingress network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from cluster.errors import InvalidArgument
from cluster.network.ingress_rules import PortRule
from cluster.network.stored_state import EngineEndpoint

ALL_ADDRESSES: Final = ("", "0.0.0.0")  # noqa: S104 - what the engine says


def local_ports(endpoints: Mapping[str, EngineEndpoint]) -> dict[str, PortRule]:
    """Return the ports that containers publish on this node alone, beside ports of the cluster.

    The engine publishes ports of containers that have its own bridge as their way out. Where that
    is the ingress network, nobody else does it.

    Raises:
        InvalidArgument: a port is of a kind that only the engine's bridge can publish.
    """
    gateways = {e.sandbox: e.address for e in endpoints.values() if e.is_gateway and e.sandbox}
    rules: dict[str, PortRule] = {}
    for endpoint in endpoints.values():
        if endpoint.sandbox not in gateways:
            continue
        for port in endpoint.ports:
            if port.protocol not in {"tcp", "udp"} or not port.published_port:
                raise InvalidArgument(
                    f"port {port.target_port}/{port.protocol or '?'} in host mode beside ingress"
                    " ports: want tcp or udp and a fixed published port"
                )
            rule = PortRule(
                protocol=port.protocol,
                published_port=port.published_port,
                target_port=port.target_port,
                host_ips=() if port.host_ip in ALL_ADDRESSES else (port.host_ip,),
                backends=(gateways[endpoint.sandbox],),
            )
            known = rules.get(rule.key)
            if known is not None:  # one binding for each address
                is_all = not known.host_ips or not rule.host_ips
                addresses = () if is_all else tuple(sorted({*known.host_ips, *rule.host_ips}))
                rule = msgspec.structs.replace(rule, host_ips=addresses)
            rules[rule.key] = rule
    return rules
