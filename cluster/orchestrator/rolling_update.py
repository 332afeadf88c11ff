"""Replacing outdated tasks a few at a time: a function of stored state only.

A slot is *in flight* from the moment its new task is made until that task has run for the
update's delay; at most `parallelism` slots are in flight at once.  Every moment this depends on
is stored with the tasks, so a new leader goes on in the middle.

What counts is whether the new task runs, not whether it was tried: while it fails and is
restarted, its slot stays in flight and the next one is not touched; a task that comes after a
failure must also run for the time of the monitor.  An update to something that does not work
therefore stops by itself, after the slots that were begun before the first failure.  A slot whose
new task finds no place, and where nothing else lives, holds up nobody.

Slots without a running task have nothing to protect: `succession` replaces them at once.

Not here yet: failure actions (pause, continue, rollback), the failure ratio, and rollback.  The
states written are "updating" and "completed".
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from cluster.model.service import Service, UpdateStatus
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.model.units import SECOND_NS, DurationNs, Timestamp, after
from cluster.model.update_policy import DEFAULT_MONITOR_NS, UpdateConfig
from cluster.orchestrator.slots import Slot
from cluster.orchestrator.succession import Succession

UPDATING = "updating"
COMPLETED = "completed"


class RollingUpdate:
    """One look at the update of one service; `wakes` collects when to look again."""

    def __init__(self, service: Service, succession: Succession, now: Timestamp) -> None:
        """Look at the update of `service` as of `now`."""
        self.wakes: list[Timestamp] = []
        self._service = service
        self._config = service.spec.update_config or UpdateConfig()
        self._succession = succession
        self._now = now

    def advance(self, slots: Sequence[Slot]) -> Service | None:
        """Begin as many replacements as may be in flight.

        Args:
            slots: settled ones, in the order in which to update them; changed in place.

        Returns:
            The service with its new update status, None if that stays as it is.
        """
        waiting = [slot for slot in slots if self._succession.waits_for_leave(slot)]
        if not waiting:
            return self._finish(slots)
        allowed = self._config.parallelism or len(slots)
        in_flight = sum(1 for slot in slots if self._is_in_flight(slot))
        for slot in waiting[: max(0, allowed - in_flight)]:
            self._succession.replace_outdated(slot)
        return self._begun()

    def _begun(self) -> Service | None:
        status = self._service.update_status
        if status is not None and status.state == UPDATING:
            return None
        begun = UpdateStatus(state=UPDATING, started_at=self._now, message="update in progress")
        return replace(self._service, update_status=begun)

    def _finish(self, slots: Sequence[Slot]) -> Service | None:
        """Complete an update once every new task has run for the time of its monitor."""
        status = self._service.update_status
        if status is None or status.state != UPDATING:
            return None
        tasks = [self._settled_task(slot) for slot in slots]
        ends = [status.started_at]
        for task in tasks:
            if task is None:
                return None
            if task.status.state is TaskState.RUNNING:
                ends.append(task.status.timestamp)
        done_at = after(max(ends), self._monitor_ns)
        if done_at > self._now:
            self.wakes.append(done_at)
            return None
        done = replace(status, state=COMPLETED, completed_at=self._now, message="update completed")
        return replace(self._service, update_status=done)

    @property
    def _monitor_ns(self) -> DurationNs:
        monitor_ns = self._config.monitor or DEFAULT_MONITOR_NS
        if self._config.delay < monitor_ns:
            return monitor_ns
        return self._config.delay + SECOND_NS  # as Docker Swarm does

    def _is_in_flight(self, slot: Slot) -> bool:
        if self._succession.waits_for_leave(slot):
            return False
        task = self._settled_task(slot)
        if task is None:
            return not _is_stuck_alone(slot)
        if task.status.state is not TaskState.RUNNING:
            return False
        needed_ns = self._config.delay
        if task.restarts:
            needed_ns = max(needed_ns, self._monitor_ns)
        until = after(task.status.timestamp, needed_ns)
        if until > self._now:
            self.wakes.append(until)
            return True
        return False

    def _settled_task(self, slot: Slot) -> Task | None:
        """Return the slot's up-to-date task if it runs, or ran to its end and is not restarted."""
        heir = self._succession.heir(slot)
        if heir is not None:
            return heir if heir.status.state is TaskState.RUNNING else None
        latest = slot.latest
        if slot.active or latest is None or latest.status.state is not TaskState.COMPLETE:
            return None
        return latest


def _is_stuck_alone(slot: Slot) -> bool:
    """Whether all that lives in the slot is a task that finds no place."""
    living = [
        t
        for t in (*slot.tasks, *slot.leaving)
        if t.status.state >= TaskState.ASSIGNED and not t.status.state.is_terminal
    ]
    return not living and any(
        t.status.state is TaskState.PENDING and t.status.error for t in slot.active
    )
