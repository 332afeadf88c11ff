"""Runs the tasks of jobs to their end: a number of them, or one on every node that fits.

A job has slots like a service: numbers from 0, or nodes.  A slot is *done* once a task of the
present iteration has run to its end there; until then it has an heir as any slot of a service
has (see `succession`), only that the heir is desired COMPLETE.  So jobs follow lost and drained
nodes, and new ones, as services do, and a task that fails is followed by another as the restart
policy says.  A slot whose attempts are used up is given up; the job then never completes.

A new spec begins a new iteration: what is unfinished of the last one is removed, what is finished
becomes history.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from cluster.model.constraint import node_fits
from cluster.model.ids import NewId, NodeId, ServiceId
from cluster.model.objects import StoredObject
from cluster.model.placement import Placement
from cluster.model.service import Service
from cluster.model.task_state import TaskState
from cluster.model.units import Timestamp
from cluster.orchestrator.affected import affected_services, services_of
from cluster.orchestrator.dependencies import waits_for
from cluster.orchestrator.replicated_services import MAX_NEW_SLOTS
from cluster.orchestrator.slots import Slot, SlotKey, group
from cluster.orchestrator.succession import Succession
from cluster.store.change import Change
from cluster.store.plan import NOTHING, Plan
from cluster.store.state import ClusterState

_MODES: Final = ("replicated-job", "global-job")


class Jobs:
    """The reconciler of jobs of both modes, keyed by service."""

    name = "jobs"

    def keys_of(self, change: Change, state: ClusterState) -> Iterable[str]:
        """Return the jobs a change concerns."""
        return affected_services(change, state, _MODES)

    def all_keys(self, state: ClusterState) -> Iterable[str]:
        """Return all jobs."""
        return services_of(state, _MODES)

    def reconcile(self, state: ClusterState, key: str, now: Timestamp, new_id: NewId) -> Plan:
        """Plan what brings the job nearer to its end."""
        service = state.service(ServiceId(key))
        if service is None or not service.spec.is_job or waits_for(state, service):
            return NOTHING
        return _Run(state, service, now, new_id).plan()


class _Run:
    """One look at the present iteration of a job."""

    def __init__(
        self, state: ClusterState, service: Service, now: Timestamp, new_id: NewId
    ) -> None:
        self._state = state
        self._service = service
        self._now = now
        self._succession = Succession(state, service, now, new_id)
        tasks = state.tasks_of_service(service.id)
        present = [t for t in tasks if t.job_iteration == service.job_iteration]
        self._earlier = group(t for t in tasks if t.job_iteration != service.job_iteration)
        self._slots = group(present)
        self._is_cut_short = False

    def plan(self) -> Plan:
        for slot in self._earlier.values():
            self._dismiss(slot)
        if self._service.spec.is_global:
            self._tend_nodes()
        else:
            self._tend_numbers()
        every = (*self._slots.values(), *self._earlier.values())
        changed: list[StoredObject] = [task for slot in every for task in slot.updated]
        wakes = [moment for moment in self._succession.wakes if moment > self._now]
        if self._is_cut_short:
            wakes.append(self._now)
        return Plan(
            create=tuple(task for slot in every for task in slot.created),
            update=tuple(changed),
            wake_at=min(wakes, default=None),
        )

    def _tend_numbers(self) -> None:
        """Keep as many slots at work as may be, until enough are done."""
        spec = self._service.spec
        total = spec.total_completions
        for slot in self._slots.values():
            self._tend(slot)
        at_work = sum(1 for slot in self._slots.values() if self._is_at_work(slot))
        free = (n for n in range(total) if n not in self._slots or not self._slots[n].tasks)
        number_missing = max(0, spec.max_concurrent - at_work)
        missing = list(islice(free, min(number_missing, MAX_NEW_SLOTS + 1)))
        for number in missing[:MAX_NEW_SLOTS]:
            self._tend(self._slot(number))
        self._is_cut_short = len(missing) > MAX_NEW_SLOTS

    def _tend_nodes(self) -> None:
        """Run the job once on every node that fits."""
        placement = self._service.spec.task_template.placement or Placement()
        fitting = [node for node in self._state.nodes if node_fits(placement.constraints, node)]
        keeping = {node.id for node in fitting if node.keeps_tasks}
        for key, slot in self._slots.items():
            if str(key) not in keeping:
                self._leave(slot)
        for node in fitting:
            if node.accepts_tasks:
                self._tend(self._slot(node.id))
            elif node.keeps_tasks:
                self._tend(self._slot(node.id), may_create=False)

    def _tend(self, slot: Slot, *, may_create: bool = True) -> None:
        if _is_done(slot):
            for task in slot.active:  # one that was to take over is not needed any more
                slot.want(task, TaskState.SHUTDOWN, self._now)
        else:
            self._succession.settle(slot, may_create=may_create)

    def _is_at_work(self, slot: Slot) -> bool:
        """Whether the slot counts among those that may be at work at once."""
        return bool(slot.tasks) and not _is_done(slot) and not self._succession.is_given_up(slot)

    def _leave(self, slot: Slot) -> None:
        """Give up what is unfinished on a node that does not fit, or is no member any more."""
        is_member = NodeId(str(slot.key)) in self._state.nodes
        for task in tuple(slot.tasks):
            if not is_member:
                slot.want(task, TaskState.REMOVE, self._now)
            elif task.status.state is not TaskState.COMPLETE:
                slot.want(task, TaskState.SHUTDOWN, self._now)

    def _dismiss(self, slot: Slot) -> None:
        """Let the tasks of an earlier iteration go."""
        for task in tuple(slot.tasks):
            is_over = task.status.state.is_terminal
            slot.want(task, TaskState.SHUTDOWN if is_over else TaskState.REMOVE, self._now)

    def _slot(self, key: SlotKey) -> Slot:
        return self._slots.setdefault(key, Slot(key, ()))


def _is_done(slot: Slot) -> bool:
    return any(task.status.state is TaskState.COMPLETE for task in slot.tasks)
