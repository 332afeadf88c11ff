"""The addresses of each network: who holds them, and the next free one.

An address is held by the network itself (its gateway, the ends of its subnet and the user's
auxiliary addresses), by a service (its virtual IP), by a node (in the network of published ports)
or by a task that has not ended.  All of that is read from the state, so that a new leader goes on
where the last one was.  An address that was given back is not given out again before all others
have had their turn, so that what is still remembered of its last holder does not matter; only the
place of that turn is kept in memory.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final

from cluster.allocator.wants import fixed_addresses
from cluster.errors import FailedPrecondition, InvalidArgument
from cluster.model.network import Network, NetworkAllocation
from cluster.store.state import ClusterState

MAX_TRIES: Final = 1 << 20
"""No network is searched further for a free address."""


class NoAddress(FailedPrecondition):
    """Every address of a network is taken."""


class Turns:
    """The address given out last in each network, as a number; kept for a term of leadership."""

    def __init__(self) -> None:
        """Begin at the beginning of every network."""
        self._last: dict[str, int] = {}

    def last(self, network_id: str) -> int:
        """Return the address given out last, 0 if none was."""
        return self._last.get(network_id, 0)

    def note(self, network_id: str, address: int) -> None:
        """Go on after this address."""
        self._last[network_id] = address


class AddressBook:
    """Free addresses during one look at the state; what is taken here is not given twice."""

    def __init__(self, state: ClusterState, turns: Turns) -> None:
        """Look at `state`, lazily; networks that nothing is asked of cost nothing."""
        self._state = state
        self._turns = turns
        self._held: dict[str, set[int]] = {}
        self._asked_for: dict[str, set[int]] = {}

    def take(self, network: Network, whose: str) -> str:
        """Return a free address of a network that has its subnet, and hold it.

        Raises:
            NoAddress: there is none; the message says what to do.
        """
        allocation = network.allocation
        assert allocation is not None
        held = self._held_of(network, allocation)
        asked_for = self._asked_for_of(network)
        ip_range = ipaddress.IPv4Network(allocation.ip_range)
        first, size = int(ip_range.network_address), ip_range.num_addresses
        last = self._turns.last(network.id)
        start = last + 1 - first if first <= last < first + size else 0
        for step in range(min(size, MAX_TRIES)):
            number = first + (start + step) % size
            if number not in held and number not in asked_for:
                held.add(number)
                self._turns.note(network.id, number)
                return str(ipaddress.IPv4Address(number))
        raise NoAddress(
            f"network {network.spec.name} has no free address for {whose}: all {size} of "
            f"{ip_range} are taken; remove tasks or services of it, or use a network with a "
            "larger subnet"
        )

    def claim(self, network: Network, address: str, whose: str) -> str:
        """Hold the address that somebody asks for, and return it.

        Raises:
            InvalidArgument: it is no address of the network's.
            FailedPrecondition: it is taken.
        """
        allocation = network.allocation
        assert allocation is not None
        try:
            number = _number(address)
        except ValueError:
            number = 0
        if ipaddress.IPv4Address(number) not in ipaddress.IPv4Network(allocation.subnet):
            raise InvalidArgument(
                f"address {address} for {whose}: want an IPv4 address of network "
                f"{network.spec.name}, {allocation.subnet}"
            )
        held = self._held_of(network, allocation)
        if number in held:
            raise FailedPrecondition(
                f"address {address} of network {network.spec.name} is taken: {whose} cannot have "
                "it; remove its holder or ask for another address"
            )
        held.add(number)
        return address

    def release(self, network: Network, address: str) -> None:
        """Let the task that comes after an address's holder claim it."""
        assert network.allocation is not None
        self._held_of(network, network.allocation).discard(_number(address))

    def _asked_for_of(self, network: Network) -> set[int]:
        """Return the addresses that services name, which nobody else is to be given."""
        known = self._asked_for.get(network.id)
        if known is None:
            services = self._state.services.find("network", network.id)
            named = (fixed_addresses(s.spec).get(network.spec.name, "") for s in services)
            known = self._asked_for[network.id] = {_number(a) for a in named if a}
        return known

    def _held_of(self, network: Network, allocation: NetworkAllocation) -> set[int]:
        held = self._held.get(network.id)
        if held is None:
            held = self._held[network.id] = set(_held(self._state, network, allocation))
        return held


def prefixed(network: Network, address: str) -> str:
    """Return an address with the prefix length of the network's subnet."""
    assert network.allocation is not None
    return f"{address}/{ipaddress.IPv4Network(network.allocation.subnet).prefixlen}"


def _held(state: ClusterState, network: Network, allocation: NetworkAllocation) -> Iterator[int]:
    subnet = ipaddress.IPv4Network(allocation.subnet)
    yield int(subnet.network_address)
    yield int(subnet.broadcast_address)
    yield _number(allocation.gateway)
    for config in network.spec.ipam.config if network.spec.ipam else ():
        for address in (config.auxiliary_addresses or {}).values():
            if ":" not in address:
                yield _number(address)
    for address in _given(state, network):
        yield _number(address.partition("/")[0])


def _given(state: ClusterState, network: Network) -> Iterator[str]:
    for service in state.services.find("address", network.id):
        yield from (i.address for i in service.endpoint.virtual_ips if i.network_id == network.id)
    for task in state.tasks.find("network", network.id):
        yield from (a.address for a in task.networks if a.network_id == network.id)
    yield from (a.address for a in state.attachments.find("network", network.id))
    if network.spec.ingress:
        yield from (node.ingress_address for node in state.nodes if node.ingress_address)


def _number(address: str) -> int:
    return int(ipaddress.IPv4Address(address))
