"""Keeps one running task of every global service on each node that fits.

The orchestrator names the node itself; the scheduler only confirms that the task can run there.
A paused node, or one that is not heard of, keeps the task it has and gets no other; a node that
is down, drained or no longer meets the constraints has its task shut down.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cluster.model.constraint import node_fits
from cluster.model.ids import NewId, ServiceId
from cluster.model.placement import Placement
from cluster.model.service import ModeName, Service
from cluster.model.task_state import TaskState
from cluster.model.units import Timestamp
from cluster.orchestrator.affected import affected_services, services_of
from cluster.orchestrator.dependencies import as_it_runs, waits_for, without_services
from cluster.orchestrator.service_plan import tend_slots
from cluster.orchestrator.slots import Slot, group
from cluster.orchestrator.succession import Succession
from cluster.orchestrator.update_outcome import judged
from cluster.store.change import Change
from cluster.store.plan import NOTHING, Plan
from cluster.store.state import ClusterState

_MODES: Final[tuple[ModeName, ...]] = ("global",)


class GlobalServices:
    """The reconciler of global services, keyed by service."""

    name = "global services"

    def keys_of(self, change: Change, state: ClusterState) -> Iterable[str]:
        """Return the services a change concerns."""
        return affected_services(change, state, _MODES)

    def all_keys(self, state: ClusterState) -> Iterable[str]:
        """Return all global services."""
        return services_of(state, _MODES)

    def reconcile(self, state: ClusterState, key: str, now: Timestamp, new_id: NewId) -> Plan:
        """Plan what brings the service's tasks nearer to its spec."""
        stored = state.service(ServiceId(key))
        if stored is None or stored.spec.mode_name not in _MODES:
            return NOTHING
        if not waits_for(state, stored):
            return self._plan(state, stored, now, new_id)
        running = as_it_runs(state, stored)
        return without_services(self._plan(state, running, now, new_id)) if running else NOTHING

    def _plan(self, state: ClusterState, stored: Service, now: Timestamp, new_id: NewId) -> Plan:
        every = group(state.tasks_of_service(stored.id))
        service = judged(state, stored, every.values(), now)
        placement = service.spec.task_template.placement or Placement()
        fitting = [node for node in state.nodes if node_fits(placement.constraints, node)]
        taking = [node.id for node in fitting if node.accepts_tasks]
        keeping = {node.id for node in fitting if node.keeps_tasks}
        slots = [every.pop(node_id, Slot(node_id, ())) for node_id in taking]
        succession = Succession(state, service, now, new_id)
        kept = list(every.values())
        for slot in kept:
            if slot.key in keeping:
                succession.settle(slot, may_create=False)
            elif str(slot.key) in state.nodes:
                slot.want_all(TaskState.SHUTDOWN, now)
            else:
                slot.want_all(TaskState.REMOVE, now)
        return tend_slots(stored, service, succession, slots, now, kept=kept)
