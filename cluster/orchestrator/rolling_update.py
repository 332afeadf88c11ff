"""Replacing outdated tasks a few at a time: a function of stored state only.

A slot is *in flight* from the moment its new task is made until that task has run for the
update's delay; at most `parallelism` slots are in flight at once.  Every moment this depends on
is stored with the tasks, so a new leader goes on in the middle.

What counts is whether the new task runs, not whether it was tried: while it fails and is
restarted, its slot stays in flight and the next one is not touched, unless the failure was
forgiven; what failures lead to is for `update_outcome` to say.  A slot whose new task finds no
place, and where nothing else lives, holds up nobody.

Slots without a running task have nothing to protect: `succession` replaces them at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from cluster.model.service import Service, UpdateStatus
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.model.units import Timestamp, after
from cluster.orchestrator.slots import Slot
from cluster.orchestrator.succession import Succession
from cluster.orchestrator.update_outcome import (
    ended_for_good,
    is_paused,
    is_rollback,
    is_under_way,
    last_monitor_ns,
    monitor_ns,
    policy_in_force,
)


class RollingUpdate:
    """One look at the update of one service; `wakes` collects when to look again."""

    def __init__(self, service: Service, succession: Succession, now: Timestamp) -> None:
        """Look at the update of `service` as of `now`."""
        self.wakes: list[Timestamp] = []
        self._service = service
        self._status = service.update_status
        self._config = policy_in_force(service)
        self._succession = succession
        self._now = now

    def advance(self, slots: Sequence[Slot], outdated_slots: int) -> Service:
        """Begin as many replacements as may be in flight.

        Args:
            slots: settled ones, in the order in which to update them; changed in place.
            outdated_slots: how many were outdated before they were settled.

        Returns:
            The service with its present update status.
        """
        status = self._begun(outdated_slots)
        if status is not None and is_under_way(status):
            status = self._go_on(status, slots)
        return replace(self._service, update_status=status)

    def _begun(self, outdated_slots: int) -> UpdateStatus | None:
        """Return the status with the outdated slots counted, of a new update where one begins."""
        status = self._status
        if not outdated_slots or is_paused(status):
            return status
        if status is None or not is_under_way(status):
            # after a rollback it is a straggler that goes back too, as from a node that was paused
            goes_back = is_rollback(status)
            return UpdateStatus(
                state="rollback_started" if goes_back else "updating",
                started_at=self._now,
                since=self._now,
                message=f"{'rollback' if goes_back else 'update'} in progress",
                outdated_slots=outdated_slots,
            )
        return replace(status, outdated_slots=status.outdated_slots or outdated_slots)

    def _go_on(self, status: UpdateStatus, slots: Sequence[Slot]) -> UpdateStatus:
        waiting = [slot for slot in slots if self._succession.waits_for_leave(slot)]
        failed_at = {slot.place: slot.at for slot in status.failed_slots}
        if not waiting:
            return self._finished(status, slots, failed_at)
        allowed = self._config.parallelism or len(slots)
        in_flight = sum(1 for slot in slots if self._is_in_flight(slot, failed_at))
        for slot in waiting[: max(0, allowed - in_flight)]:
            self._succession.replace_outdated(slot)
        return status

    def _finished(
        self, status: UpdateStatus, slots: Sequence[Slot], failed_at: dict[str, Timestamp]
    ) -> UpdateStatus:
        """Complete an update once every new task has run for the time of its monitor."""
        if status.state == "rollback_started" and not status.outdated_slots:
            return self._completed(status)  # there was nothing to go back from
        ends = [status.since]
        for slot in slots:
            if str(slot.key) in failed_at:
                ends.append(failed_at[str(slot.key)])
                continue
            task = self._settled_task(slot)
            if task is None:
                return status
            ends.append(task.running_since)
        done_at = after(max(ends), last_monitor_ns(self._config))
        if done_at > self._now:
            self.wakes.append(done_at)
            return status
        return self._completed(status)

    def _completed(self, status: UpdateStatus) -> UpdateStatus:
        goes_back = status.state == "rollback_started"
        return replace(
            status,
            state="rollback_completed" if goes_back else "completed",
            completed_at=self._now,
            message="rollback completed" if goes_back else "update completed",
            failed_slots=(),
        )

    def _is_in_flight(self, slot: Slot, failed_at: dict[str, Timestamp]) -> bool:
        if self._succession.waits_for_leave(slot):
            return False
        since = failed_at.get(str(slot.key))
        if since is None:
            task = self._settled_task(slot)
            if task is None:
                return not _is_stuck_alone(slot)
            since = task.running_since
        until = after(since, self._config.delay)
        if until > self._now:
            self.wakes.append(until)
            return True
        return False

    def _settled_task(self, slot: Slot) -> Task | None:
        """Return the slot's up-to-date task that runs, or ran long enough to have succeeded."""
        heir = self._succession.heir(slot)
        if heir is not None and heir.status.state is TaskState.RUNNING:
            return heir
        return next((task for task in slot.tasks if self._has_held_out(task)), None)

    def _has_held_out(self, task: Task) -> bool:
        status = task.status
        if task.spec_version != self._service.spec_version:
            return False
        return ended_for_good(task) or (
            bool(task.running_since)
            and status.state.is_terminal
            and status.timestamp > after(task.running_since, monitor_ns(self._config))
        )


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
