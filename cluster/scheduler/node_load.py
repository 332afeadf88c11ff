"""What a node carries and has left."""

from __future__ import annotations

from cluster.model.generic_resources import Stock
from cluster.model.ids import ServiceId
from cluster.model.node import Node
from cluster.model.resources import GenericResource
from cluster.model.task import Task
from cluster.scheduler.demand import (
    NO_RESOURCES,
    Demand,
    Place,
    Port,
    host_ports,
    place_of,
    reservations_of,
)


class NodeLoad:
    """One node during a scheduling pass; tasks placed on it are added as they are decided.

    `tasks` and `tasks_of_service` rank nodes: they count tasks that are wanted, without those
    that another task of the same slot is about to replace.  Resources and ports are held by every
    task that has not ended.
    """

    __slots__ = (
        "cpu_nano",
        "generic",
        "id",
        "is_ready",
        "is_shared",
        "memory_bytes",
        "node",
        "ports",
        "tasks",
        "tasks_of_service",
    )

    def __init__(self, node: Node) -> None:
        """Begin with an empty node."""
        resources = node.description.resources if node.description else NO_RESOURCES
        self.node = node
        self.id = node.id
        self.is_ready = node.accepts_tasks
        self.cpu_nano = resources.nano_cpus  # what is left, as the two below
        self.memory_bytes = resources.memory_bytes
        self.generic = Stock(resources.generic_resources)
        self.ports: dict[Port, set[Place]] = {}  # in use, and by whom
        self.tasks = 0
        self.tasks_of_service: dict[ServiceId, int] = {}
        self.is_shared = False  # the dictionaries belong to another load as well

    def copy(self) -> NodeLoad:
        """Return a load that can be changed by itself; this one must not be changed any more."""
        other = NodeLoad.__new__(NodeLoad)
        other.node = self.node
        other.id = self.id
        other.is_ready = self.is_ready
        other.cpu_nano = self.cpu_nano
        other.memory_bytes = self.memory_bytes
        other.generic = self.generic
        other.ports = self.ports
        other.tasks = self.tasks
        other.tasks_of_service = self.tasks_of_service
        other.is_shared = True  # until it is changed, which most nodes of a pass never are
        return other

    def hold(self, task: Task) -> None:
        """Take the reservations and host ports of a task that is there."""
        self._own()
        reserved = reservations_of(task)
        if reserved is not NO_RESOURCES:
            self.cpu_nano -= reserved.nano_cpus
            self.memory_bytes -= reserved.memory_bytes
        held = task.assigned_generic_resources or reserved.generic_resources
        if held:
            self.generic.hold(held)
        for port in host_ports(task):
            self.ports.setdefault(port, set()).add(place_of(task))

    def take(
        self, demand: Demand, place: Place, allowed: Stock | None
    ) -> tuple[GenericResource, ...]:
        """Take what a task that is put here asks for, and return the generic resources it gets.

        Args:
            demand: the task's.
            place: its slot.
            allowed: generic resources of tasks that it takes over from.
        """
        self._own()
        self.cpu_nano -= demand.cpu_nano
        self.memory_bytes -= demand.memory_bytes
        for port in demand.ports:
            users = self.ports.get(port)
            self.ports[port] = {place} if users is None else users | {place}
        return self.generic.take(demand.generic, allowed) if demand.generic else ()

    def count(self, service_id: ServiceId) -> None:
        """Count one more task for ranking."""
        self._own()
        self.tasks += 1
        self.tasks_of_service[service_id] = self.tasks_of_service.get(service_id, 0) + 1

    def discount(self, service_id: ServiceId) -> None:
        """Count one task less for ranking."""
        self._own()
        self.tasks -= 1
        left = self.tasks_of_service[service_id] - 1
        if left:
            self.tasks_of_service[service_id] = left
        else:
            del self.tasks_of_service[service_id]

    def _own(self) -> None:
        if self.is_shared:
            self.is_shared = False
            self.generic = self.generic.copy()
            self.ports = self.ports.copy()
            self.tasks_of_service = self.tasks_of_service.copy()
