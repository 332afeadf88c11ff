"""What a node carries and has left, and what a group of tasks asks of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from cluster.model.constraint import Constraint, parse_all
from cluster.model.endpoint import EndpointSpec
from cluster.model.ids import ServiceId
from cluster.model.node import Node
from cluster.model.placement import Placement, Platform
from cluster.model.resources import GenericResource, Resources
from cluster.model.spec_struct import ObjectStruct
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.store.state import ClusterState

Port = tuple[str, int]
"""Protocol and number of a host-mode port."""

Place = tuple[ServiceId, int | str]
"""A slot of a service, the same for a task and for those it takes over from."""

LIVE_STATES = tuple(s for s in TaskState if TaskState.ASSIGNED <= s <= TaskState.RUNNING)
"""States of tasks that a node carries."""

NO_RESOURCES = Resources()


class Demand(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What every task of a group asks of its node."""

    service_id: ServiceId
    spec_version: int
    cpu_nano: int = 0
    memory_bytes: int = 0
    generic: Mapping[str, int] = {}
    ports: tuple[Port, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    platforms: tuple[Platform, ...] = ()
    spread_over: tuple[str, ...] = ()
    max_replicas: int = 0


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
        self.generic = generic_counts(resources)
        self.ports: dict[Port, set[Place]] = {}  # in use, and by whom
        self.tasks = 0
        self.tasks_of_service: dict[ServiceId, int] = {}

    def hold(self, task: Task) -> None:
        """Take the task's reservations and host ports."""
        reserved = reservations_of(task)
        if reserved is not NO_RESOURCES:
            self.cpu_nano -= reserved.nano_cpus
            self.memory_bytes -= reserved.memory_bytes
            for kind, number in generic_counts(reserved).items():
                self.generic[kind] = self.generic.get(kind, 0) - number
        for port in host_ports(task):
            self.ports.setdefault(port, set()).add(place_of(task))

    def count(self, service_id: ServiceId) -> None:
        """Count one more task for ranking."""
        self.tasks += 1
        self.tasks_of_service[service_id] = self.tasks_of_service.get(service_id, 0) + 1


class Loads:
    """All nodes, and which unfinished tasks share a slot with a pending one."""

    def __init__(self, state: ClusterState, pending: Iterable[Task]) -> None:
        """Add up what every node carries; `pending` are the wanted tasks without a place."""
        self.nodes = {node.id: NodeLoad(node) for node in state.nodes}
        self._former: defaultdict[Place, list[Task]] = defaultdict(list)
        pending_places = Counter(place_of(task) for task in pending)
        self._contested = {place for place, number in pending_places.items() if number > 1}
        live = [t for name in LIVE_STATES for t in state.tasks.find("state", name.name)]
        prepared = {place_of(t) for t in live if t.desired_state is TaskState.READY}
        for task in live:
            place = place_of(task)
            if place in pending_places and task.desired_state is not TaskState.READY:
                self._former[place].append(task)
            load = self.nodes.get(task.node_id)
            if load is None:
                continue
            load.hold(task)
            is_relieved = task.desired_state is not TaskState.READY and (
                place in pending_places or place in prepared
            )
            if task.is_wanted and not is_relieved:
                load.count(task.service_id)

    def place(self, task: Task, load: NodeLoad) -> bool:
        """Add a task that has just got its node to what the node carries.

        Return whether it counts for ranking: not if another of its slot is about to replace it.
        """
        load.hold(task)
        place = place_of(task)
        if place in self._contested and task.desired_state is not TaskState.READY:
            self._former[place].append(replace(task, node_id=load.id))
            return False
        load.count(task.service_id)
        return True

    def former_tasks(self, task: Task) -> list[Task]:
        """Return the unfinished tasks that must end before `task` may run.

        There are none for a task that may run now: it does not wait for others of its slot.
        """
        if task.desired_state is not TaskState.READY:
            return []
        return self._former.get(place_of(task), [])


def demand_of(task: Task) -> Demand:
    """Return what a task asks of its node; equal for all tasks of a service and spec version.

    Raises:
        InvalidArgument: a constraint cannot be parsed.
    """
    placement = task.spec.placement or Placement()
    reserved = reservations_of(task)
    spread = (p.spread.spread_descriptor for p in placement.preferences if p.spread)
    return Demand(
        service_id=task.service_id,
        spec_version=task.spec_version,
        cpu_nano=reserved.nano_cpus,
        memory_bytes=reserved.memory_bytes,
        generic=generic_counts(reserved),
        ports=host_ports(task),
        constraints=parse_all(placement.constraints),
        platforms=placement.platforms,
        spread_over=tuple(spread),
        max_replicas=placement.max_replicas,
    )


def place_of(task: Task) -> Place:
    """Return the task's slot."""
    return (task.service_id, task.place)


def reservations_of(task: Task) -> Resources:
    """Return what the task reserves; limits are not counted."""
    resources = task.spec.resources
    return (resources.reservations if resources else None) or NO_RESOURCES


def host_ports(task: Task) -> tuple[Port, ...]:
    """Return the ports of the node that the task needs for itself."""
    spec = task.endpoint_spec or _NO_ENDPOINT
    if not spec.ports:
        return ()
    return tuple(
        (p.protocol or "tcp", p.published_port)
        for p in spec.ports
        if p.publish_mode == "host" and p.published_port
    )


def generic_counts(resources: Resources) -> dict[str, int]:
    """Count generic resources by kind; a named one counts one."""
    counts: Counter[str] = Counter()
    for resource in resources.generic_resources:
        kind, number = _kind_and_number(resource)
        counts[kind] += number
    return dict(counts)


def _kind_and_number(resource: GenericResource) -> tuple[str, int]:
    if resource.named_resource_spec is not None:
        return resource.named_resource_spec.kind, 1
    if resource.discrete_resource_spec is not None:
        return resource.discrete_resource_spec.kind, resource.discrete_resource_spec.value
    return "", 0


_NO_ENDPOINT = EndpointSpec()
