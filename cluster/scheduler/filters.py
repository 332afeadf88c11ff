"""Can a task run on a node?  Each filter can explain its "no".

The texts are Docker Swarm's, where it has the filter, as clients show them and people search for
them.  Not here yet: cluster volumes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

from cluster.model.constraint import all_match
from cluster.model.generic_resources import NO_WISH, Stock, wish_of
from cluster.model.ids import NodeId
from cluster.model.node import NETWORK_PLUGIN
from cluster.model.placement import Platform
from cluster.model.resources import GenericResource
from cluster.model.task import Task
from cluster.scheduler.demand import Demand, Place, place_of, reservations_of
from cluster.scheduler.node_load import NodeLoad

NO_SUITABLE_NODE = "no suitable node"


class Allowance:
    """What a task may use of a node although others hold it, as they end before it runs."""

    __slots__ = ("cpu_nano", "generic", "memory_bytes", "place")

    def __init__(self, place: Place | None = None, former: Iterable[Task] = ()) -> None:
        """Allow what `former`, unfinished tasks on the node of slot `place`, hold there."""
        self.place = place
        self.cpu_nano = 0
        self.memory_bytes = 0
        held: list[GenericResource] = []
        for task in former:
            reserved = reservations_of(task)
            self.cpu_nano += reserved.nano_cpus
            self.memory_bytes += reserved.memory_bytes
            held += task.assigned_generic_resources or reserved.generic_resources
        self.generic = Stock(held) if held else None


NO_ALLOWANCE = Allowance()


def allowance_on(node_id: NodeId, task: Task, former: Iterable[Task]) -> Allowance:
    """Return the allowance of `task` on a node, given the tasks it takes over from."""
    there = [f for f in former if f.node_id == node_id]
    return Allowance(place_of(task), there) if there else NO_ALLOWANCE


class Filter(Protocol):
    """A condition on a node."""

    @property
    def is_of_nature(self) -> bool:
        """Whether only the node itself decides, and not what it carries."""
        ...

    def applies(self, demand: Demand) -> bool:
        """Whether the demand can be refused by this filter at all."""
        ...

    def accepts(self, load: NodeLoad, demand: Demand, allowance: Allowance) -> bool:
        """Whether one more task of the group may run on the node."""
        ...

    def explain(self, refusals: int) -> str:
        """Say why that many nodes were refused."""
        ...


class ReadyFilter:
    """The node is ready and active."""

    is_of_nature = True

    def applies(self, demand: Demand) -> bool:
        """Return True: no task runs on a node that is not there."""
        del demand
        return True

    def accepts(self, load: NodeLoad, demand: Demand, allowance: Allowance) -> bool:
        """Whether the node takes new tasks."""
        del demand, allowance
        return load.is_ready

    def explain(self, refusals: int) -> str:
        """Say how many nodes take no tasks."""
        return f"{_nodes(refusals)} not available for new tasks"


class ResourceFilter:
    """The node has what the task reserves."""

    is_of_nature = False

    def applies(self, demand: Demand) -> bool:
        """Whether anything is reserved."""
        return bool(demand.cpu_nano or demand.memory_bytes or demand.generic)

    def accepts(self, load: NodeLoad, demand: Demand, allowance: Allowance) -> bool:
        """Whether enough is left of everything that is reserved."""
        if demand.cpu_nano and demand.cpu_nano > load.cpu_nano + allowance.cpu_nano:
            return False
        if demand.memory_bytes and demand.memory_bytes > load.memory_bytes + allowance.memory_bytes:
            return False
        return not demand.generic or load.generic.covers(demand.generic, allowance.generic)

    def explain(self, refusals: int) -> str:
        """Say on how many nodes too little is left."""
        return f"insufficient resources on {_nodes(refusals)}"


class DeviceFilter:
    """The node has the devices that drivers are asked for, as generic resources of their kinds."""

    is_of_nature = False

    def applies(self, demand: Demand) -> bool:
        """Whether devices are requested."""
        return bool(demand.devices or demand.shared_devices)

    def accepts(self, load: NodeLoad, demand: Demand, allowance: Allowance) -> bool:
        """Whether as many are free, and any are there of the kinds that are used by all."""
        if demand.shared_devices:
            description = load.node.description
            has = wish_of(description.resources.generic_resources) if description else NO_WISH
            if not all(kind in has.numbers or kind in has.names for kind in demand.shared_devices):
                return False
        return load.generic.covers(demand.devices, allowance.generic)

    def explain(self, refusals: int) -> str:
        """Say on how many nodes they are not."""
        return f"requested devices not available on {_nodes(refusals)}"


class PluginFilter:
    """The node's engine has the drivers of volumes, networks and logs that the task names.

    A driver may be named without its tag `:latest`.  An engine that does not say which log
    drivers it has is taken to have any, as in Docker Swarm.
    """

    is_of_nature = True

    def applies(self, demand: Demand) -> bool:
        """Whether any driver is named that not every engine has."""
        return bool(demand.nature.plugins)

    def accepts(self, load: NodeLoad, demand: Demand, allowance: Allowance) -> bool:
        """Whether the engine has all of them."""
        del allowance
        description = load.node.description
        if description is None:
            return False
        has = {(p.type, p.name) for p in description.engine.plugins}
        tells_log_drivers = any(kind == "Log" for kind, _ in has)
        return all(
            (kind, name) in has
            or (kind, f"{name}:latest") in has
            or (kind == "Log" and not tells_log_drivers)
            for kind, name in demand.nature.plugins
        )

    def explain(self, refusals: int) -> str:
        """Say how many nodes lack one."""
        return f"missing plugin on {_nodes(refusals)}"


class NetworkFilter:
    """The node can join the task to the cluster's networks: `stack-netd` runs there."""

    is_of_nature = True

    def applies(self, demand: Demand) -> bool:
        """Whether the task is in any of them."""
        return demand.nature.needs_networks

    def accepts(self, load: NodeLoad, demand: Demand, allowance: Allowance) -> bool:
        """Whether the node has said that it can."""
        del demand, allowance
        description = load.node.description
        return description is not None and NETWORK_PLUGIN in description.engine.plugins

    def explain(self, refusals: int) -> str:
        """Say how many nodes cannot."""
        return f"stack-netd does not run on {_nodes(refusals)}"


class ConstraintFilter:
    """The node fulfils the constraints."""

    is_of_nature = True

    def applies(self, demand: Demand) -> bool:
        """Whether there are constraints."""
        return bool(demand.constraints)

    def accepts(self, load: NodeLoad, demand: Demand, allowance: Allowance) -> bool:
        """Whether all constraints match."""
        del allowance
        return all_match(demand.constraints, load.node)

    def explain(self, refusals: int) -> str:
        """Say how many nodes do not fulfil them."""
        return f"scheduling constraints not satisfied on {_nodes(refusals)}"


_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class PlatformFilter:
    """The image exists for the node's operating system and architecture."""

    is_of_nature = True

    def applies(self, demand: Demand) -> bool:
        """Whether the image's platforms are known."""
        return bool(demand.nature.platforms)

    def accepts(self, load: NodeLoad, demand: Demand, allowance: Allowance) -> bool:
        """Whether one of the image's platforms is the node's."""
        del allowance
        description = load.node.description
        if description is None:
            return False
        return any(_fits(wanted, description.platform) for wanted in demand.nature.platforms)

    def explain(self, refusals: int) -> str:
        """Say how many nodes are of another platform."""
        return f"unsupported platform on {_nodes(refusals)}"


class HostPortFilter:
    """The task's host-mode ports are free on the node."""

    is_of_nature = False

    def applies(self, demand: Demand) -> bool:
        """Whether there are such ports."""
        return bool(demand.ports)

    def accepts(self, load: NodeLoad, demand: Demand, allowance: Allowance) -> bool:
        """Whether nobody else uses them."""
        return all(
            not (users := load.ports.get(port)) or users == {allowance.place}
            for port in demand.ports
        )

    def explain(self, refusals: int) -> str:
        """Say on how many nodes they are taken."""
        return f"host-mode port already in use on {_nodes(refusals)}"


class MaxReplicasFilter:
    """The node has fewer tasks of the service than the limit."""

    is_of_nature = False

    def applies(self, demand: Demand) -> bool:
        """Whether there is a limit."""
        return demand.max_replicas > 0

    def accepts(self, load: NodeLoad, demand: Demand, allowance: Allowance) -> bool:
        """Whether one more is within the limit."""
        del allowance
        return load.tasks_of_service.get(demand.service_id, 0) < demand.max_replicas

    def explain(self, refusals: int) -> str:
        """Say that the limit is reached; the missing letters are Docker Swarm's."""
        del refusals
        return "max replicas per node limit exceed"


FILTERS: tuple[Filter, ...] = (
    ReadyFilter(),
    DeviceFilter(),  # before what says less
    ResourceFilter(),
    PluginFilter(),
    NetworkFilter(),
    ConstraintFilter(),
    PlatformFilter(),
    HostPortFilter(),
    MaxReplicasFilter(),
)
"""In the order in which they are asked: the first "no" is the one that is told."""


class Pipeline:
    """The filters that matter for one group of tasks."""

    def __init__(self, demand: Demand) -> None:
        """Prepare to ask for the tasks of a group."""
        self.demand = demand
        self._filters: Sequence[Filter] = [f for f in FILTERS if f.applies(demand)]
        self._of_load: Sequence[Filter] = [f for f in self._filters if not f.is_of_nature]

    def accepts(self, load: NodeLoad, allowance: Allowance = NO_ALLOWANCE) -> bool:
        """Whether one more task of the group may run on the node."""
        return self.is_eligible(load) and self.has_room(load, allowance)

    def is_eligible(self, load: NodeLoad) -> bool:
        """Whether the node is of the right nature: the part that does not change in a pass."""
        return all(
            one.accepts(load, self.demand, NO_ALLOWANCE)
            for one in self._filters
            if one.is_of_nature
        )

    def has_room(self, load: NodeLoad, allowance: Allowance = NO_ALLOWANCE) -> bool:
        """Whether an eligible node has room for one more."""
        for one in self._of_load:  # noqa: SIM110 - this loop is the scheduler's hottest: no generator
            if not one.accepts(load, self.demand, allowance):
                return False
        return True

    def explain(self, loads: Iterable[NodeLoad]) -> str:
        """Say why none of the nodes will do, the most frequent reason first."""
        refusals: Counter[int] = Counter()
        for load in loads:
            for number, one in enumerate(self._filters):
                if not one.accepts(load, self.demand, NO_ALLOWANCE):
                    refusals[number] += 1
                    break
        ordered = sorted(refusals.items(), key=lambda item: (-item[1], item[0]))
        reasons = "; ".join(self._filters[number].explain(count) for number, count in ordered)
        return f"{NO_SUITABLE_NODE} ({reasons})" if reasons else NO_SUITABLE_NODE


def _nodes(number: int) -> str:
    return f"{number} node" if number == 1 else f"{number} nodes"


def _fits(wanted: Platform, has: Platform) -> bool:
    return _matches(wanted.os.lower(), has.os.lower()) and _matches(
        _architecture(wanted), _architecture(has)
    )


def _matches(wanted: str, has: str) -> bool:
    return wanted in ("", has)


def _architecture(platform: Platform) -> str:
    name = platform.architecture.lower()
    return _ARCHITECTURES.get(name, name)
