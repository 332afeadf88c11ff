"""Gives every pending task a node, or the reason why it has none.

All pending tasks are decided together: first those whose node the orchestrator has named, then,
oldest first, groups of tasks of one service and spec version, which ask for the same and differ
only in the slots they take over.  Within a pass each decision counts for the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import chain

from msgspec.structs import replace

from cluster.errors import InvalidArgument
from cluster.model.ids import NewId, ServiceId
from cluster.model.node import Node
from cluster.model.task import Task, TaskStatus
from cluster.model.task_state import TaskState, Writer, may_move
from cluster.model.units import Timestamp
from cluster.scheduler.demand import Demand, Nature, demand_of
from cluster.scheduler.filters import (
    NO_ALLOWANCE,
    NO_SUITABLE_NODE,
    Allowance,
    Pipeline,
    allowance_on,
)
from cluster.scheduler.loads import LoadMemory, Loads
from cluster.scheduler.node_load import NodeLoad
from cluster.scheduler.preferences import Group, Tree
from cluster.scheduler.ranking import Accepts, FailureMemory
from cluster.store.change import Change, Deleted
from cluster.store.plan import NOTHING, Plan
from cluster.store.state import ClusterState

PENDING_TASKS = "pending"
"""The one key: all pending tasks are decided together."""

ASSIGNED_MESSAGE = "scheduler assigned task to node"
CONFIRMED_MESSAGE = "scheduler confirmed task can run on preassigned node"


class Scheduler:
    """The reconciler of tasks in state PENDING."""

    name = "scheduler"

    def __init__(self) -> None:
        """Start without memory of what nodes carry."""
        self._memory = LoadMemory()

    def keys_of(self, change: Change, state: ClusterState) -> Iterable[str]:
        """Return the one key if a task waits and the change might help one."""
        match change.item:
            case Task() as task:
                may_help = (
                    isinstance(change, Deleted)
                    or task.status.state is TaskState.PENDING
                    or task.status.state.is_terminal
                )
            case Node():
                may_help = True
            case _:
                may_help = False
        waits = may_help and state.tasks.count("state", TaskState.PENDING.name) > 0
        return (PENDING_TASKS,) if waits else ()

    def all_keys(self, state: ClusterState) -> Iterable[str]:
        """Return the one key."""
        del state  # there is only one
        return (PENDING_TASKS,)

    def reconcile(self, state: ClusterState, key: str, now: Timestamp, new_id: NewId) -> Plan:
        """Plan the assignment of all pending tasks that find a node."""
        del key, new_id  # there is one key, and nothing is made here
        waiting = state.tasks.find("state", TaskState.PENDING.name)
        pending = [task for task in waiting if task.is_wanted]
        if not pending:
            return NOTHING
        scheduling = _Pass(state, pending, now, self._memory)
        # those that take over from another come after it
        given = [task for task in pending if task.node_id]
        for tasks in (
            [t for t in given if t.desired_state is not TaskState.READY],
            [t for t in given if t.desired_state is TaskState.READY],
        ):
            for group in _groups(tasks):
                scheduling.confirm(group)
        for group in _groups(task for task in pending if not task.node_id):
            scheduling.assign(group)
        scheduling.explain_refusals()
        return Plan(update=tuple(scheduling.updated))


def _groups(tasks: Iterable[Task]) -> list[list[Task]]:
    groups: defaultdict[tuple[ServiceId, int], list[Task]] = defaultdict(list)
    for task in tasks:
        groups[task.service_id, task.spec_version].append(task)
    for group in groups.values():
        group.sort(key=lambda t: (t.desired_state is TaskState.READY, t.slot, t.id))
    return sorted(groups.values(), key=lambda g: (min(t.meta.created_at for t in g), g[0].id))


class _Pass:
    """One look at all pending tasks."""

    def __init__(
        self, state: ClusterState, pending: list[Task], now: Timestamp, memory: LoadMemory
    ) -> None:
        self.updated: list[Task] = []
        self._state = state
        self._loads = Loads(state, pending, memory)
        self._failures = FailureMemory(state, now)
        self._refused: list[tuple[list[Task], Pipeline, list[NodeLoad] | None]] = []
        self._trees: dict[tuple[Nature, tuple[str, ...]], Tree] = {}
        self._eligible: dict[Nature, list[NodeLoad]] = {}
        self._assigned = TaskStatus(
            state=TaskState.ASSIGNED, timestamp=now, message=ASSIGNED_MESSAGE
        )
        self._confirmed = replace(self._assigned, message=CONFIRMED_MESSAGE)

    def confirm(self, tasks: list[Task]) -> None:
        """Decide on tasks of one service and spec version whose node is given."""
        pipeline = self._pipeline(tasks)
        if pipeline is None:
            return
        for task in tasks:
            load = self._loads.nodes.get(task.node_id)
            allowance = allowance_on(task.node_id, task, self._loads.former_tasks(task))
            if load is not None and pipeline.accepts(load, allowance):
                self._place(task, load, pipeline.demand, allowance, self._confirmed)
            else:
                self._refused.append(([task], pipeline, [load] if load else []))

    def assign(self, group: list[Task]) -> None:
        """Decide on tasks of one service and spec version."""
        pipeline = self._pipeline(group)
        if pipeline is None:
            return
        demand = pipeline.demand
        former = chain.from_iterable(map(self._loads.former_tasks, group))
        homes = frozenset(task.node_id for task in former)
        failures = self._failures.of(demand.service_id, demand.spec_version)
        tree = self._tree(pipeline)
        counts = tree.counts(
            demand.service_id, self._loads.nodes_with(demand.service_id) if tree.branches else ()
        )
        refused: list[Task] = []
        with Group(demand.service_id, tree, counts, failures, homes) as choice:
            for task in group:
                elders = self._loads.former_tasks(task)
                accepts = _with_allowance(pipeline, task, elders) if elders else pipeline.has_room
                load = choice.pick(accepts)
                if load is None:
                    refused.append(task)
                    continue
                allowance = allowance_on(load.id, task, elders) if elders else NO_ALLOWANCE
                self._place(task, load, demand, allowance, self._assigned)
        if refused:
            self._refused.append((refused, pipeline, None))

    def explain_refusals(self) -> None:
        """Note why tasks got no node, as the nodes are once all others have theirs."""
        for tasks, pipeline, asked in self._refused:
            self._refuse(
                tasks, pipeline.explain(self._loads.nodes.values() if asked is None else asked)
            )

    def _tree(self, pipeline: Pipeline) -> Tree:
        """Return the nodes of the right nature, divided as the group prefers."""
        demand = pipeline.demand
        key = (demand.nature, demand.spread_over)
        tree = self._trees.get(key)
        if tree is None:
            eligible = self._eligible.get(demand.nature)
            if eligible is None:
                eligible = [n for n in self._loads.nodes.values() if pipeline.is_eligible(n)]
                self._eligible[demand.nature] = eligible
            tree = self._trees[key] = Tree(eligible, demand.spread_over)
        return tree

    def _pipeline(self, group: list[Task]) -> Pipeline | None:
        """Return the filters for a group; without, as its spec cannot be read, refuse it."""
        try:
            return Pipeline(demand_of(group[0], self._state))
        except InvalidArgument as error:
            self._refuse(group, f"{NO_SUITABLE_NODE} ({error})")
            return None

    def _place(
        self, task: Task, load: NodeLoad, demand: Demand, allowance: Allowance, status: TaskStatus
    ) -> None:
        assert may_move(Writer.SCHEDULER, task.status.state, TaskState.ASSIGNED)
        given = self._loads.place(task, load, demand, allowance.generic)
        self.updated.append(
            replace(task, node_id=load.id, status=status, assigned_generic_resources=given)
        )

    def _refuse(self, tasks: list[Task], reason: str) -> None:
        """Note the reason with tasks that have noted another one so far."""
        self.updated.extend(
            replace(task, status=replace(task.status, error=reason))
            for task in tasks
            if task.status.error != reason
        )


def _with_allowance(pipeline: Pipeline, task: Task, former: list[Task]) -> Accepts:
    def accepts(load: NodeLoad) -> bool:
        return pipeline.has_room(load, allowance_on(load.id, task, former))

    return accepts
