"""Keeps the wanted number of slots of every replicated service, one running task in each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import count, islice, zip_longest
from typing import Final

from msgspec.structs import replace

from cluster.model.constraint import attribute
from cluster.model.ids import NewId, ServiceId
from cluster.model.placement import Placement
from cluster.model.service import ModeName, Service
from cluster.model.task_state import TaskState
from cluster.model.units import Timestamp
from cluster.orchestrator.affected import affected_services, services_of
from cluster.orchestrator.dependencies import as_it_runs, waits_for, without_services
from cluster.orchestrator.service_plan import tend_slots
from cluster.orchestrator.slots import Slot, SlotKey, group
from cluster.orchestrator.succession import Succession
from cluster.orchestrator.update_outcome import judged
from cluster.store.change import Change
from cluster.store.plan import NOTHING, Plan
from cluster.store.state import ClusterState

_MODES: Final[tuple[ModeName, ...]] = ("replicated",)

MAX_NEW_SLOTS = 500
"""Slots filled at once: a plan, and so a log entry, stays small however many are wanted."""


class ReplicatedServices:
    """The reconciler of replicated services, keyed by service."""

    name = "replicated services"

    def keys_of(self, change: Change, state: ClusterState) -> Iterable[str]:
        """Return the services a change concerns."""
        return affected_services(change, state, _MODES)

    def all_keys(self, state: ClusterState) -> Iterable[str]:
        """Return all replicated services."""
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
        succession = Succession(state, service, now, new_id)
        slots = [slot for slot in every.values() if slot.tasks]
        doomed = _surplus(slots, service, state, succession)
        for slot in doomed:
            slot.want_all(TaskState.REMOVE, now)
        slots = [slot for slot in slots if slot.tasks]
        number_missing = service.spec.replicas - len(slots)
        slots += _missing(every, min(number_missing, MAX_NEW_SLOTS))
        slots.sort(key=lambda slot: slot.key)
        plan = tend_slots(stored, service, succession, slots, now, kept=doomed)
        return replace(plan, wake_at=now) if number_missing > MAX_NEW_SLOTS else plan


def _surplus(
    slots: Sequence[Slot], service: Service, state: ClusterState, succession: Succession
) -> list[Slot]:
    """Choose the slots to give up when the service has too many.

    First those without a running task, then from the branches of the tree of its spread
    preferences that have the most, then from the nodes with the most, then the highest. So what
    stays is spread as if it had been placed now.

    Args:
        slots: the present ones, in order.
        service: says how many to keep, and over which labels they are spread.
        state: knows the nodes.
        succession: knows which tasks are lost.
    """
    if len(slots) <= service.spec.replicas:
        return []
    labels = (service.spec.task_template.placement or Placement()).spread_over
    placed: list[tuple[Slot, tuple[str, ...]]] = []
    elsewhere: list[Slot] = []
    for slot in slots:
        running = slot.running
        if running is None or succession.is_lost(running):
            elsewhere.append(slot)
            continue
        node = state.node(running.node_id)
        values = (attribute(node, label) if node else "" for label in labels)
        placed.append((slot, (*values, running.node_id)))
    return [*_in_turn(placed), *elsewhere][service.spec.replicas :]


def _in_turn(placed: Sequence[tuple[Slot, tuple[str, ...]]]) -> list[Slot]:
    """Order slots so that the first ones, however many, are spread evenly.

    Args:
        placed: slots, in order, with their branch at each level.
    """
    if not placed[1:] or not placed[0][1]:
        return [slot for slot, _ in placed]
    branches: defaultdict[str, list[tuple[Slot, tuple[str, ...]]]] = defaultdict(list)
    for slot, (branch, *rest) in placed:
        branches[branch].append((slot, tuple(rest)))
    turns = zip_longest(*map(_in_turn, branches.values()))
    return [
        slot for turn in turns for slot in sorted(filter(None, turn), key=lambda slot: slot.key)
    ]


def _missing(every: Mapping[SlotKey, Slot], number_missing: int) -> list[Slot]:
    """Return empty slots, the lowest free numbers first.

    A number whose removed task has not ended yet is free: its next task waits for that.
    """
    free = (n for n in count(1) if n not in every or not every[n].tasks)
    return [every.get(n) or Slot(n, ()) for n in islice(free, max(0, number_missing))]
