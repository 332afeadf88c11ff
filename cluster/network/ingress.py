"""Published ports in the kernel: the uplink from host to ingress namespace, and both's rules."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Mapping

import structlog

from cluster.model.network_view import IngressView, NodeView
from cluster.network import namespaces
from cluster.network.balancer_rules import begin_of_turn
from cluster.network.conntrack import Connection, Conntrack
from cluster.network.ingress_rules import (
    IngressRules,
    PortRule,
    chain_name,
    changed_ports,
    plan_ports,
    plan_rules,
    render_host,
    render_ingress,
    render_ingress_change,
    unserved_ports,
)
from cluster.network.names import (
    TABLE,
    UPLINK_HOST,
    UPLINK_HOST_ADDRESS,
    UPLINK_INSIDE,
    UPLINK_INSIDE_ADDRESS,
    UPLINK_PREFIX,
)
from cluster.network.netlink import Netlink
from cluster.network.nftables import Nftables
from cluster.network.openings import Openings
from cluster.network.overlay import Overlay
from cluster.network.port_holder import PortHolder

log = structlog.get_logger()

UPLINK_MAC = "02:4e:ff:00:00:02"
UPLINK_MTU_BYTES = 1500
IPTABLES_LIMIT_S = 10
UDP = socket.IPPROTO_UDP
PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": UDP}


class Ingress:
    """The mesh of published ports on this node; all of it belongs to the network thread."""

    def __init__(
        self, host: Netlink, host_rules: Nftables, overlay: Overlay, network_id: str
    ) -> None:
        """Take hold of the namespace of the ingress network of that ID."""
        self.network_id = network_id
        self._host = host
        self._host_rules = host_rules
        self._overlay = overlay
        self._holder = PortHolder()
        self._rules = Nftables(overlay.name)
        with namespaces.inside(overlay.name):
            self._conntrack = Conntrack()
        self.openings = Openings(self._conntrack)
        self._host_conntrack = Conntrack()
        self._published: set[tuple[int, int]] | None = None  # protocol and port
        self._retired: set[tuple[int, int]] = set()  # published no more, perhaps still in use
        self._applied: IngressRules | None = None
        self._applied_host: str | None = None
        self._rotations: dict[str, int] = {}
        self._changes = 0
        self._last: dict[str, str] = {}
        self._firewall_problem = ""
        self._port_problems: list[str] = []

    @property
    def problems(self) -> list[str]:
        """What cannot be had on this node, one line each."""
        return [*self._port_problems, *filter(None, [self._firewall_problem])]

    @property
    def is_doubted(self) -> bool:
        """Whether rules have to be loaded again."""
        return self._applied is None or self._applied_host is None

    def ensure_uplink(self) -> None:
        """Make the link between the host and the namespace, if it is not there."""
        inside, name = self._overlay.netlink, self._overlay.name
        if self._host.index(UPLINK_HOST) is None or inside.index(UPLINK_INSIDE) is None:
            self._host.delete_link(UPLINK_HOST)
            inside.delete_link(UPLINK_INSIDE)
            self._host.add_pair(
                UPLINK_HOST, UPLINK_INSIDE, name, UPLINK_MTU_BYTES, peer_mac=UPLINK_MAC
            )
            self._overlay.doubt()  # routes over the old link went with it
        self._host.add_address(UPLINK_HOST, UPLINK_HOST_ADDRESS, UPLINK_PREFIX)
        self._host.set_up(UPLINK_HOST)
        inside.add_address(UPLINK_INSIDE, UPLINK_INSIDE_ADDRESS, UPLINK_PREFIX)
        inside.set_up(UPLINK_INSIDE)
        namespaces.write_sysctls(name, {("net", "ipv4", "conf", UPLINK_INSIDE, "rp_filter"): 0})
        namespaces.write_own_sysctls(
            {
                ("net", "ipv4", "ip_forward"): 1,
                ("net", "ipv4", "conf", UPLINK_HOST, "route_localnet"): 1,
            }
        )

    def apply(self, ingress: IngressView, view: NodeView, local: Mapping[str, PortRule]) -> None:
        """Bring rules and held ports to a view.

        Args:
            ingress: the ingress network and the cluster's published ports.
            view: the node's view, for its peers.
            local: ports that only this node publishes, for containers of its own.
        """
        ports = {**plan_ports(ingress), **local}
        refused = self._holder.hold(ports)
        self._port_problems = [*unserved_ports(ingress), *refused.values()]
        wanted = plan_rules(
            ingress, view, {key: rule for key, rule in ports.items() if key not in refused}
        )
        before = self._applied or plan_rules(ingress, view, {})
        self._changes += 1
        for key in changed_ports(before, wanted):
            self._rotations[key] = begin_of_turn(view.own_index, key, self._changes)
        if self._applied is None:
            self._rules.run(render_ingress(wanted, self._rotations))
        elif text := render_ingress_change(self._applied, wanted, self._rotations):
            self._applied = None  # until it is done
            self._rules.run(text)
        self._applied = wanted
        # Tasks that come and go are no matter of the host's rules, which stay untouched then.
        host_text = render_host(wanted.ports)
        if self._applied_host != host_text:
            self._host_rules.run(host_text)
            self._applied_host = host_text
        has_ended = self._forget_ended(ingress)
        self._forget_unpublished(wanted.ports, has_ended=has_ended)

    def verify(self) -> None:
        """Look whether somebody removed link or rules; the next `apply` makes them again."""
        self.ensure_uplink()
        if not self._rules.has_table("ip", TABLE):
            self._applied = None
        if not self._host_rules.has_table("ip", TABLE):
            self._applied_host = None
        self._firewall_problem = admit_uplink()

    def connections(self) -> dict[str, int]:
        """Return how many connections came in here for each port, by "8080/tcp"."""
        counted = self._rules.counters("ip", TABLE)
        ports = self._applied.ports if self._applied is not None else {}
        return {
            f"{port.published_port}/{port.protocol}": counted.get(chain_name(key), 0)
            for key, port in ports.items()
        }

    def close(self) -> None:
        """Let go of everything and leave links and rules as they are."""
        self._rules.close()
        self._conntrack.close()
        self._host_conntrack.close()
        self._holder.close()

    def remove(self) -> None:
        """Remove link, host rules and connections; the namespace goes with its overlay."""
        self._host.delete_link(UPLINK_HOST)
        self._host_rules.run(f"add table ip {TABLE}\ndelete table ip {TABLE}\n")
        dismiss_uplink()
        self._host_conntrack.forget(is_to_uplink)
        self.close()

    def _forget_ended(self, ingress: IngressView) -> bool:
        """Forget connections to tasks that ended; say whether there may have been any."""
        own = set(ingress.node_addresses.values()) | {ingress.own_address}
        states = {task.address: task.state for task in ingress.network.tasks}
        ended = {a for a, state in self._last.items() if states.get(a) != state}
        serving = {a for a, state in self._last.items() if state == "serving"}
        self.openings.withdraw(a for a in ended & serving if a in states)
        first, self._last = not self._last, dict(states)
        if not ended and not first:
            return False

        def leads_nowhere(connection: Connection) -> bool:
            if connection.called != UPLINK_INSIDE_ADDRESS or connection.answering in own:
                return False
            if connection.answering not in states:
                return connection.answering != UPLINK_INSIDE_ADDRESS
            return connection.protocol == UDP and states[connection.answering] != "serving"

        self._conntrack.forget(leads_nowhere)
        return True

    def _forget_unpublished(self, ports: Mapping[str, PortRule], *, has_ended: bool) -> None:
        """Forget the host's part of connections to ports that are published no more.

        Where tasks still serve such a connection, it goes on.
        """
        published = {(PROTOCOLS[p.protocol], p.published_port) for p in ports.values()}
        before = self._published
        if before is None:  # what an earlier process did not live to see
            known = self._host_conntrack.connections() if self._host_conntrack.count() else []
            before = {_place(one) for one in known if is_to_uplink(one)}
        gone, self._published = before - published, published
        self._retired = (self._retired | gone) - published
        if not self._retired or not (gone or has_ended):
            return
        inside = self._conntrack.connections()
        dead = self._retired - {_place(o) for o in inside if o.called == UPLINK_INSIDE_ADDRESS}
        self._host_conntrack.forget(lambda one: is_to_uplink(one) and _place(one) in dead)
        self._retired -= dead


def is_to_uplink(connection: Connection) -> bool:
    """Whether the host passes a connection on to the ingress namespace."""
    return connection.answering == UPLINK_INSIDE_ADDRESS


def _place(connection: Connection) -> tuple[int, int]:
    return connection.protocol, connection.called_port


def admit_uplink() -> str:
    """Let the mesh through Docker's forwarding rules, which drop by default; the problem or ""."""
    if not _has_docker_chain():
        return ""
    for rule in _UPLINK_RULES:
        if not _iptables("-C", *rule) and not _iptables("-I", *rule):
            return f"iptables -I {' '.join(rule)} failed: published ports may not work on this node"
    return ""


def dismiss_uplink() -> None:
    """Take the mesh's rules out of Docker's chain."""
    if _has_docker_chain():
        for rule in _UPLINK_RULES:
            _iptables("-D", *rule)


_UPLINK_RULES = (
    ("DOCKER-USER", "-i", UPLINK_HOST, "-j", "ACCEPT"),
    ("DOCKER-USER", "-o", UPLINK_HOST, "-j", "ACCEPT"),
)


def _has_docker_chain() -> bool:
    return shutil.which("iptables") is not None and _iptables("-S", "DOCKER-USER")


def _iptables(*arguments: str) -> bool:
    done = subprocess.run(
        ["iptables", "-w", "5", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=IPTABLES_LIMIT_S,
    )
    return done.returncode == 0
