"""Gives networks, nodes, services and tasks what they need before a node can be chosen.

Networks get a number and a subnet, nodes a small number and their address for published ports,
services a virtual IP in each of their networks, and new tasks an address in each; with that a task
passes from NEW to PENDING.  What cannot be had stands as an error at the task, which is looked at
again when something was given back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from itertools import count

from msgspec.structs import replace

from cluster.allocator.addresses import AddressBook, Turns, prefixed
from cluster.allocator.ports import with_ports
from cluster.allocator.subnets import allocated
from cluster.allocator.wants import ingress_network, wanted_networks, why_not_fixed
from cluster.errors import ClusterError, FailedPrecondition
from cluster.model.endpoint import NetworkAttachment, VirtualIp
from cluster.model.ids import NetworkId, NewId, ServiceId
from cluster.model.network import Network
from cluster.model.node import Node
from cluster.model.service import Service
from cluster.model.task import Task
from cluster.model.task_state import TaskState, Writer, may_move
from cluster.model.units import Timestamp
from cluster.store.change import Change, Deleted
from cluster.store.plan import NOTHING, Plan
from cluster.store.state import ClusterState

NEW_TASKS = "new tasks"
"""All new tasks are handled together."""

NODES = "nodes"
"""All nodes are handled together."""

_NETWORK = "network "
_SERVICE = "service "

PENDING_MESSAGE = "pending task scheduling"


class Allocator:
    """The reconciler of tasks in state NEW, and of all that has addresses."""

    name = "allocator"

    def __init__(self) -> None:
        """Start at the beginning of every network."""
        self._turns = Turns()

    def keys_of(self, change: Change, state: ClusterState) -> Iterable[str]:
        """Return what may now lack something, and the new tasks if something was given back."""
        is_gone = isinstance(change, Deleted)
        match change.item:
            case Network() as network:
                keys = [] if is_gone or network.allocation else [_NETWORK + network.id]
                return [*keys, *_waiting_tasks(state), *_incomplete_nodes(state)]
            case Node() as node:
                return (
                    (NODES,) if not is_gone and _is_incomplete(node, ingress_network(state)) else ()
                )
            case Service() as service:
                keys = [] if is_gone else [_SERVICE + service.id]
                return [*keys, *_waiting_tasks(state)]
            case Task() as task:
                return self._keys_of_task(task, state, is_gone=is_gone)
            case _:
                return ()

    def _keys_of_task(self, task: Task, state: ClusterState, *, is_gone: bool) -> Iterable[str]:
        if not is_gone and not task.status.state.is_terminal:
            return (NEW_TASKS,) if task.status.state is TaskState.NEW else ()
        if not task.networks:
            return ()
        service = state.service(task.service_id)
        keys = () if service is None or not _has_extra(service, state) else (_SERVICE + service.id,)
        return (*keys, *_waiting_tasks(state))

    def all_keys(self, state: ClusterState) -> Iterable[str]:
        """Return every key, networks first and tasks last."""
        return (
            *(_NETWORK + network.id for network in state.networks if network.allocation is None),
            NODES,
            *(_SERVICE + service.id for service in state.services),
            NEW_TASKS,
        )

    def reconcile(self, state: ClusterState, key: str, now: Timestamp, new_id: NewId) -> Plan:
        """Plan what the key names.

        Raises:
            ClusterError: a network cannot have what it needs; it is tried again.
        """
        del new_id  # nothing is made here
        if key == NEW_TASKS:
            return self._reconcile_tasks(state, now)
        if key == NODES:
            return self._reconcile_nodes(state)
        if key.startswith(_SERVICE):
            return self._reconcile_service(state, ServiceId(key.removeprefix(_SERVICE)))
        network = state.network(NetworkId(key.removeprefix(_NETWORK)))
        if network is None or network.allocation is not None:
            return NOTHING
        return Plan(update=(allocated(state, network),))

    def _reconcile_nodes(self, state: ClusterState) -> Plan:
        book = AddressBook(state, self._turns)
        ingress = ingress_network(state)
        taken = {node.network_index for node in state.nodes}
        free = (index for index in count(1) if index not in taken)
        updated = []
        for node in state.nodes:
            if not _is_incomplete(node, ingress):
                continue
            changed = node if node.network_index else replace(node, network_index=next(free))
            if ingress is None:
                changed = replace(changed, ingress_address="")
            elif not node.ingress_address and ingress.allocation is not None:
                address = book.take(ingress, f"node {node.id}")
                changed = replace(changed, ingress_address=address)
            updated.append(changed)
        return Plan(update=tuple(updated))

    def _reconcile_service(self, state: ClusterState, service_id: ServiceId) -> Plan:
        service = state.service(service_id)
        if service is None:
            return NOTHING
        given = service
        with contextlib.suppress(ClusterError):  # after a rollback whose port is another's now
            service = with_ports(state, service)
        wanted = _networks_with_vip(state, service)
        kept = [ip for ip in service.endpoint.virtual_ips if ip.network_id in wanted]
        missing = wanted.keys() - {ip.network_id for ip in kept}
        book = AddressBook(state, self._turns)
        for network in [n for key, n in wanted.items() if key in missing and n.allocation]:
            try:
                address = book.take(network, f"service {service.spec.name}")
            except FailedPrecondition:
                continue  # its tasks say so, and wait
            kept.append(VirtualIp(network_id=network.id, address=address))
        endpoint = replace(service.endpoint, virtual_ips=tuple(kept))
        if endpoint == given.endpoint:
            return NOTHING
        return Plan(update=(replace(service, endpoint=endpoint),))

    def _reconcile_tasks(self, state: ClusterState, now: Timestamp) -> Plan:
        book = AddressBook(state, self._turns)
        updated = []
        for task in state.tasks.find("state", TaskState.NEW.name):
            if not task.is_wanted:
                continue
            try:
                updated.append(_pending(task, _attachments(state, task, book), now))
            except ClusterError as error:
                if task.status.error != str(error):
                    status = replace(task.status, error=str(error))
                    updated.append(replace(task, status=status))
        return Plan(update=tuple(updated))


def _attachments(
    state: ClusterState, task: Task, book: AddressBook
) -> tuple[NetworkAttachment, ...]:
    if task.networks:
        return task.networks
    networks = wanted_networks(state, task.spec, task.endpoint_spec)
    if not networks:
        return ()
    service = state.service(task.service_id)
    served = {ip.network_id for ip in service.endpoint.virtual_ips} if service else set()
    for network in networks:
        name = network.spec.name
        if network.allocation is None:
            raise FailedPrecondition(f"network {name} has no subnet yet")
        if service and _has_vip(service) and network.id not in served:
            if network.id not in _networks_with_vip(state, service):
                continue  # the service left the network after this task was made
            raise FailedPrecondition(
                f"network {name} has no free address for service {service.spec.name}: all of "
                f"{network.allocation.ip_range} are taken; remove tasks or services of it, or use "
                "a network with a larger subnet"
            )
    return tuple(
        NetworkAttachment(
            network_id=network.id,
            address=prefixed(network, _address(state, task, service, network, book)),
        )
        for network in networks
    )


def _address(
    state: ClusterState, task: Task, service: Service | None, network: Network, book: AddressBook
) -> str:
    """Return the address that the task's service names for it, or any other.

    A task that is prepared while the one before still runs has the same one: it is not started
    before that one has ended.
    """
    named = task.spec.extensions.addresses if task.spec.extensions is not None else {}
    wanted = named.get(network.spec.name)
    if not wanted or service is None or why_not_fixed(service.spec):
        return book.take(network, f"task {task.name}")
    place = NetworkAttachment(network_id=network.id, address=prefixed(network, wanted))
    if any(place in other.networks for other in state.tasks_of_service(service.id)):
        book.release(network, wanted)
    return book.claim(network, wanted, f"task {task.name}")


def _pending(task: Task, networks: tuple[NetworkAttachment, ...], now: Timestamp) -> Task:
    assert may_move(Writer.ALLOCATOR, task.status.state, TaskState.PENDING)
    status = replace(
        task.status, state=TaskState.PENDING, timestamp=now, message=PENDING_MESSAGE, error=""
    )
    return replace(task, status=status, networks=networks)


def _has_vip(service: Service) -> bool:
    endpoint = service.spec.endpoint_spec
    return endpoint is None or endpoint.mode != "dnsrr"


def _networks_with_vip(state: ClusterState, service: Service) -> dict[NetworkId, Network]:
    """Return the networks in which the service is to have a virtual IP.

    One that it left keeps its address as long as tasks of the service are in it: who reaches them
    by the service's name must go on to do so.
    """
    if not _has_vip(service):
        return {}
    try:
        networks = wanted_networks(state, service.spec.task_template, service.spec.endpoint_spec)
    except ClusterError:
        networks = []  # its tasks say so
    wanted = {network.id: network for network in networks}
    left = {ip.network_id for ip in service.endpoint.virtual_ips} - wanted.keys()
    if left:
        for task in state.tasks_of_service(service.id):
            if task.status.state.is_terminal:
                continue
            for attachment in task.networks:
                network = state.network(attachment.network_id)
                if attachment.network_id in left and network is not None:
                    wanted[attachment.network_id] = network
    return wanted


def _has_extra(service: Service, state: ClusterState) -> bool:
    """Whether the service has a virtual IP in a network that it left, or no mode for one."""
    targets = {attachment.target for attachment in service.spec.task_template.networks}
    ingress = ingress_network(state)
    return any(
        ip.network_id not in targets and (ingress is None or ip.network_id != ingress.id)
        for ip in service.endpoint.virtual_ips
    )


def _is_incomplete(node: Node, ingress: Network | None) -> bool:
    if not node.network_index:
        return True
    if ingress is None:
        return bool(node.ingress_address)
    return not node.ingress_address and ingress.allocation is not None


def _incomplete_nodes(state: ClusterState) -> Iterable[str]:
    ingress = ingress_network(state)
    return (NODES,) if any(_is_incomplete(node, ingress) for node in state.nodes) else ()


def _waiting_tasks(state: ClusterState) -> Iterable[str]:
    """Return the new tasks if there are any, after their services, which may wait as well."""
    waiting = state.tasks.find("state", TaskState.NEW.name)
    services = dict.fromkeys(task.service_id for task in waiting)
    return (*(_SERVICE + service_id for service_id in services), NEW_TASKS) if waiting else ()
