"""Which task to move so that tasks are spread as if they were all placed now; pure.

One move is planned at a time, by the rules of the ranking: the branches of the preferences, the
tasks of the service, all tasks on the node.  A move must make the place of the task strictly
better by them, so that each brings some sum of squares down and the moves come to an end; a move
from the fullest to the emptiest place does most, so that there are as few as may be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from cluster.errors import InvalidArgument
from cluster.model.constraint import attribute
from cluster.model.ids import NodeId
from cluster.model.service import Service
from cluster.model.spec_struct import ObjectStruct
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.scheduler.demand import Demand, demand_of
from cluster.scheduler.filters import Pipeline
from cluster.scheduler.loads import LoadMemory, Loads
from cluster.scheduler.node_load import NodeLoad
from cluster.scheduler.preferences import Path, Tree
from cluster.store.state import ClusterState

Fullness = tuple[int, ...]
"""Tasks of the service in each branch from the root down and on the node, and all on the node."""


class Move(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A task that had better run elsewhere, and where it would."""

    task: Task
    target: NodeId


def next_move(state: ClusterState, services: Iterable[Service], memory: LoadMemory) -> Move | None:
    """Return the next task to move, None if all are spread well.

    Args:
        state: the cluster's.
        services: those whose tasks may be moved, in the order in which they are looked at.
        memory: of what nodes carry.
    """
    loads = Loads(state, (), memory)
    for service in services:
        tasks = [task for task in state.tasks_of_service(service.id) if _is_movable(task)]
        if not tasks:
            continue
        try:
            demand = demand_of(tasks[0], state)
        except InvalidArgument:
            continue
        move = _Spread(demand, loads).best_move(tasks)
        if move is not None:
            return move
    return None


class _Spread:
    """How the tasks of one service are spread."""

    def __init__(self, demand: Demand, loads: Loads) -> None:
        self._demand = demand
        self._loads = loads
        tree = Tree((), demand.spread_over)
        self._counts = tree.counts(demand.service_id, loads.nodes_with(demand.service_id))
        pipeline = Pipeline(demand)
        self._paths: dict[NodeId, Path] = {}
        self._emptiest: dict[Path, NodeLoad] = {}  # below each branch, the root () included
        by_path: defaultdict[Path, list[NodeLoad]] = defaultdict(list)
        for load in loads.nodes.values():
            if pipeline.accepts(load):
                path = self._path(load)
                for depth in range(len(path) + 1):
                    by_path[path[:depth]].append(load)
        for prefix, inside in by_path.items():
            self._emptiest[prefix] = min(inside, key=lambda n: (*self._fullness(n, ()), n.id))

    def best_move(self, tasks: Sequence[Task]) -> Move | None:
        """Return a move from the fullest place from which one is worth while."""
        by_node: dict[NodeId, Task] = {}
        for task in sorted(tasks, key=lambda t: t.slot):
            by_node[task.node_id] = task  # the highest slot of each node
        sources = [load for node_id in by_node if (load := self._loads.nodes.get(node_id))]
        sources.sort(key=lambda n: ([-count for count in self._fullness(n, ())], n.id))
        for source in sources:
            if not source.is_ready:
                continue
            target = self._better_place(source)
            if target is not None:
                return Move(task=by_node[source.id], target=target.id)
        return None

    def _better_place(self, source: NodeLoad) -> NodeLoad | None:
        path = self._path(source)
        without = tuple(count - 1 for count in self._fullness(source, ()))
        candidates = (self._emptiest.get(path[:depth]) for depth in range(len(path) + 1))
        best = min(
            (load for load in candidates if load is not None and load is not source),
            key=lambda n: (*self._fullness(n, path), n.id),
            default=None,
        )
        return best if best is not None and self._fullness(best, path) < without else None

    def _fullness(self, load: NodeLoad, left: Path) -> Fullness:
        """Return how full a node's place is when a task has left the branches of `left`."""
        path = self._path(load)
        counts = [self._count(path[: depth + 1], left) for depth in range(len(path))]
        return (*counts, load.tasks_of_service.get(self._demand.service_id, 0), load.tasks)

    def _count(self, branch: Path, left: Path) -> int:
        count = self._counts.get(branch, 0)
        return count - 1 if left[: len(branch)] == branch else count

    def _path(self, load: NodeLoad) -> Path:
        path = self._paths.get(load.id)
        if path is None:
            path = tuple(attribute(load.node, label) for label in self._demand.spread_over)
            self._paths[load.id] = path
        return path


def is_settled(state: ClusterState, service: Service) -> bool:
    """Whether every slot of a replicated service has just one task, and that runs."""
    status = service.update_status
    if status is not None and status.state in {"updating", "rollback_started"}:
        return False
    wanted = [task for task in state.tasks_of_service(service.id) if task.is_wanted]
    return (
        all(_is_movable(task) for task in wanted)
        and len(wanted) == len({task.slot for task in wanted}) == service.spec.replicas
    )


def slots_of(tasks: Iterable[Task]) -> Mapping[int, list[Task]]:
    """Group the tasks of a replicated service by slot, oldest first."""
    slots: defaultdict[int, list[Task]] = defaultdict(list)
    for task in sorted(tasks, key=lambda t: (t.meta.created_at, t.id)):
        slots[task.slot].append(task)
    return slots


def _is_movable(task: Task) -> bool:
    return (
        task.desired_state is TaskState.RUNNING
        and task.status.state is TaskState.RUNNING
        and not task.is_moving
    )
