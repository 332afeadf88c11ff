"""How things of the data plane are called: namespaces, links, hardware and tunnel addresses.

All of it is computed from identifiers, so that a restarted process finds what an earlier one made,
and nodes know each other's tunnel ends without telling.
"""

from __future__ import annotations

from typing import Final

from cluster.errors import InvalidArgument

NAMESPACE_PREFIX: Final = "stknet-"
TUNNEL: Final = "vx0"
"""The vxlan device in each network's namespace."""

UPLINK_HOST: Final = "stk-up"
"""The host's end of the link into the ingress network's namespace."""

UPLINK_INSIDE: Final = "up0"
UPLINK_HOST_ADDRESS: Final = "169.254.90.1"
UPLINK_INSIDE_ADDRESS: Final = "169.254.90.2"
UPLINK_PREFIX: Final = 30
UPLINK_SUBNET: Final = "169.254.90.0/30"

TABLE: Final = "stackyard"
"""Name of every nftables table of ours."""

ENDPOINT_ID_CHARACTERS: Final = 12
ROUTER_MAC: Final = "02:4e:ff:00:00:01"
"""Hardware address of the router's end of each container's link; the links never meet."""

MAX_NODE_INDEX: Final = 65534
"""65535 is the conntrack zone of what enters at this node itself."""

VXLAN_OVERHEAD_V4_BYTES: Final = 50
VXLAN_OVERHEAD_V6_BYTES: Final = 70


def namespace_name(network_id: str) -> str:
    """Return the name of a network's namespace."""
    return NAMESPACE_PREFIX + network_id[:8]


def tunnel_mac(index: int) -> str:
    """Return the hardware address of a node's tunnel devices."""
    _check(index)
    return f"02:4e:00:00:{index >> 8:02x}:{index & 255:02x}"


def tunnel_address(index: int) -> str:
    """Return the address of a node's tunnel devices, seen by nobody but traceroute.

    198.18.0.0/15 is reserved for measurements within a network (RFC 2544), and nothing leads
    there from inside a network's namespace.
    """
    _check(index)
    return f"198.18.{index >> 8}.{index & 255}"


def task_mac(address: str) -> str:
    """Return the hardware address of a container with an IPv4 address."""
    return "02:42:" + ":".join(f"{int(part):02x}" for part in address.split("."))


def container_link(endpoint_id: str) -> str:
    """Return the name of the container's end of its link, until the engine renames it."""
    return "sk" + endpoint_id[:ENDPOINT_ID_CHARACTERS]


def router_link(endpoint_id: str) -> str:
    """Return the name of the router's end of a container's link."""
    return "v" + endpoint_id[:ENDPOINT_ID_CHARACTERS]


def _check(index: int) -> None:
    if not 0 < index <= MAX_NODE_INDEX:
        raise InvalidArgument(f"node index {index}: want 1 to {MAX_NODE_INDEX}")
