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
from cluster.model.task import Task
from cluster.model.task_state import TaskState, Writer, may_move
from cluster.model.units import Timestamp
from cluster.scheduler.filters import NO_SUITABLE_NODE, Pipeline, allowance_on
from cluster.scheduler.node_load import Loads, NodeLoad, demand_of
from cluster.scheduler.preferences import choice_among
from cluster.scheduler.ranking import Accepts, EmptiestFirst, FailureMemory
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
        scheduling = _Pass(state, pending, now)
        # those that take over from another come after it
        for task in sorted(pending, key=lambda t: t.desired_state is TaskState.READY):
            if task.node_id:
                scheduling.confirm(task)
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

    def __init__(self, state: ClusterState, pending: list[Task], now: Timestamp) -> None:
        self.updated: list[Task] = []
        self._now = now
        self._loads = Loads(state, pending)
        self._ready = [load for load in self._loads.nodes.values() if load.is_ready]
        self._failures = FailureMemory(state, now)
        self._order: EmptiestFirst | None = None
        self._refused: list[tuple[list[Task], Pipeline, list[NodeLoad]]] = []

    def confirm(self, task: Task) -> None:
        """Decide on a task whose node is given."""
        load = self._loads.nodes.get(task.node_id)
        pipeline = self._pipeline([task])
        if pipeline is None:
            return
        former = self._loads.former_tasks(task)
        if load is not None and pipeline.accepts(load, allowance_on(load.id, task, former)):
            self._place(task, load, CONFIRMED_MESSAGE)
        else:
            self._refused.append(([task], pipeline, [load] if load else []))

    def assign(self, group: list[Task]) -> None:
        """Decide on tasks of one service and spec version."""
        pipeline = self._pipeline(group)
        if pipeline is None:
            return
        demand = pipeline.demand
        former = (self._loads.former_tasks(task) for task in group)
        homes = frozenset(f.node_id for f in chain.from_iterable(former))
        failures = self._failures.of(demand.service_id, demand.spec_version)
        if not (homes or failures or demand.spread_over):
            group = self._assign_to_fresh_nodes(group, pipeline)
            if not group:
                return
        choice = choice_among(demand, self._ready, failures, homes)
        refused: list[Task] = []
        for task in group:
            elders = self._loads.former_tasks(task)
            accepts = _with_allowance(pipeline, task, elders) if elders else pipeline.accepts
            load = choice.pick(accepts)
            if load is None:
                refused.append(task)
            else:
                self._place(task, load, ASSIGNED_MESSAGE)
        if refused:
            self._refused.append((refused, pipeline, list(self._loads.nodes.values())))

    def explain_refusals(self) -> None:
        """Note why tasks got no node, as the nodes are once all others have theirs."""
        for tasks, pipeline, loads in self._refused:
            self._refuse(tasks, pipeline.explain(loads))

    def _assign_to_fresh_nodes(self, group: list[Task], pipeline: Pipeline) -> list[Task]:
        """Give each task of a group a node without any other of its service; return the rest."""
        if self._order is None:
            self._order = EmptiestFirst(self._ready)
        service_id = pipeline.demand.service_id
        fresh = self._order.pick(service_id, pipeline.accepts, len(group))
        for task, load in zip(group, fresh, strict=False):
            self._place(task, load, ASSIGNED_MESSAGE)
        return group[len(fresh) :]

    def _pipeline(self, group: list[Task]) -> Pipeline | None:
        """Return the filters for a group; without, as its spec cannot be read, refuse it."""
        try:
            return Pipeline(demand_of(group[0]))
        except InvalidArgument as error:
            self._refuse(group, f"{NO_SUITABLE_NODE} ({error})")
            return None

    def _place(self, task: Task, load: NodeLoad, message: str) -> None:
        assert may_move(Writer.SCHEDULER, task.status.state, TaskState.ASSIGNED)
        status = replace(
            task.status,
            state=TaskState.ASSIGNED,
            timestamp=self._now,
            message=message,
            error="",
        )
        is_counted = self._loads.place(task, load)
        if is_counted and self._order is not None:
            self._order.note_one_more(load)
        self.updated.append(replace(task, node_id=load.id, status=status))

    def _refuse(self, tasks: list[Task], reason: str) -> None:
        """Note the reason with tasks that have noted another one so far."""
        self.updated.extend(
            replace(task, status=replace(task.status, error=reason))
            for task in tasks
            if task.status.error != reason
        )


def _with_allowance(pipeline: Pipeline, task: Task, former: list[Task]) -> Accepts:
    def accepts(load: NodeLoad) -> bool:
        return pipeline.accepts(load, allowance_on(load.id, task, former))

    return accepts
