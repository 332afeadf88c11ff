"""A network's virtual addresses in the kernel: rules replaced in one step, connections kept or cut.

Connections that exist are no matter of the rules any more: the kernel remembers their backend. So
a task that drains keeps what it has, and what a task that is gone leaves behind is forgotten.
"""

from __future__ import annotations

import socket

from cluster.model.network_view import NetworkView
from cluster.network import namespaces
from cluster.network.balancer_rules import (
    Balancing,
    begin_of_turn,
    chain_name,
    changed_services,
    plan_balancing,
    render_change,
    render_table,
)
from cluster.network.conntrack import Connection, Conntrack
from cluster.network.names import TABLE
from cluster.network.nftables import Nftables
from cluster.network.openings import Openings


class Balancer:
    """The balancing of one network; all of it belongs to the network thread."""

    def __init__(self, namespace: str) -> None:
        self._nftables = Nftables(namespace)
        with namespaces.inside(namespace):
            self._conntrack = Conntrack()
        self.openings = Openings(self._conntrack)
        self._applied: Balancing | None = None
        self._rotations: dict[str, int] = {}
        self._changes = 0
        self._last: dict[str, str] = {}  # address -> state of the task

    def apply(self, network: NetworkView, own_index: int) -> None:
        """Bring the rules to a network's view, then forget connections that lead nowhere."""
        wanted = plan_balancing(network, own_index)
        if self._applied is None:
            if self._load(wanted, own_index):
                self._applied = wanted
        else:
            self._turn(changed_services(self._applied, wanted), own_index)
            if text := render_change(self._applied, wanted, self._rotations):
                self._applied = None  # until it is done
                self._nftables.run(text)
            self._applied = wanted
        self._forget_ended({task.address: task.state for task in network.tasks})

    def verify(self) -> None:
        """Notice that somebody removed the rules; the next `apply` loads them again."""
        if not self._nftables.has_table("ip", TABLE):
            self._applied = None

    def connections(self) -> dict[str, int]:
        """Return how many connections went to each service with tasks, by its ID."""
        counted = self._nftables.counters("ip", TABLE)
        services = self._applied.services if self._applied is not None else {}
        return {service_id: counted.get(chain_name(service_id), 0) for service_id in services}

    def close(self) -> None:
        """Let go of the namespace and leave the rules as they are."""
        self._nftables.close()
        self._conntrack.close()

    def _load(self, wanted: Balancing, own_index: int) -> bool:
        # Without virtual addresses there is no table: such packets need no connection tracking.
        if not wanted.services and not self._nftables.has_table("ip", TABLE):
            return False
        self._turn(sorted(wanted.services), own_index)
        self._nftables.run(render_table(wanted, self._rotations))
        return True

    def _turn(self, service_ids: list[str], own_index: int) -> None:
        self._changes += 1
        for service_id in service_ids:
            self._rotations[service_id] = begin_of_turn(own_index, service_id, self._changes)

    def _forget_ended(self, states: dict[str, str]) -> None:
        gone = self._last.keys() - states.keys()
        paused = {
            address
            for address, state in states.items()
            if state != "serving" and self._last.get(address, state) == "serving"
        }
        self.openings.withdraw(paused)
        # What ended while nobody watched shows in connections that lead to no task.
        first = not self._last
        self._last = states
        if not gone and not paused and not first:
            return

        def leads_nowhere(connection: Connection) -> bool:
            if connection.answering == connection.called:
                return False
            if connection.answering not in states:
                return True
            is_udp = connection.protocol == socket.IPPROTO_UDP
            return is_udp and states[connection.answering] != "serving"

        self._conntrack.forget(leads_nowhere)
