"""From a service's slots to the plan that tends them: what both modes of service share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cluster.model.objects import StoredObject
from cluster.model.service import Service
from cluster.model.units import Timestamp
from cluster.orchestrator.rolling_update import RollingUpdate
from cluster.orchestrator.slots import Slot
from cluster.orchestrator.succession import Succession
from cluster.store.plan import Plan


def tend_slots(
    stored: Service,
    service: Service,
    succession: Succession,
    slots: Sequence[Slot],
    now: Timestamp,
    *,
    kept: Iterable[Slot] = (),
) -> Plan:
    """Settle every slot, let the rolling update go on, and say what has changed.

    Args:
        stored: the slots' service as it is.
        service: the same after failures of its update had their consequences; see `judged`.
        succession: knows the service's rules.
        slots: the slots that should have a running task, in order.
        now: the leader's time.
        kept: further slots that get no new task, with changes of their own perhaps.
    """
    outdated = sum(1 for slot in slots if succession.is_all_outdated(slot))
    for slot in slots:
        succession.settle(slot)
    update = RollingUpdate(service, succession, now)
    updated_service = update.advance(slots, outdated)
    every = (*slots, *kept)
    changed: list[StoredObject] = [task for slot in every for task in slot.updated]
    if updated_service != stored:
        changed.append(updated_service)
    wakes = [moment for moment in (*succession.wakes, *update.wakes) if moment > now]
    return Plan(
        create=tuple(task for slot in every for task in slot.created),
        update=tuple(changed),
        wake_at=min(wakes, default=None),
    )
