"""May the successor of a task be made, and when may it start?

The policy is Docker Swarm's: condition, delay, attempts, window.  Two things differ:

* A task that was lost to no fault of its own (its node is down, gone or drained, or no longer
  fits) is replaced without delay, and does not count as an attempt.
* Crash loops slow down.  Of failures in a row, the first three wait the policy's delay, each
  further one twice as long as the one before, up to a minute (or the policy's delay, if that is
  longer).  A failure counts as one in a row when the task had less than half a minute from the
  time it was allowed to start; a task that ends well, or that held out longer, begins the row
  anew.

Everything is read from stored tasks, so a new leader goes on where the last one stopped.  Times
of ends are those the nodes reported; their clocks are assumed to agree within seconds.
"""

from __future__ import annotations

from collections.abc import Iterable

from cluster.model.spec_struct import ObjectStruct
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.model.units import SECOND_NS, DurationNs, Timestamp, after
from cluster.model.update_policy import DEFAULT_RESTART_DELAY_NS, RestartPolicy

REJECTED_BY_ENFORCER = "task rejected by constraint enforcer"
"""Status message of a task whose node no longer fits; see `misplaced_tasks`."""

STABLE_NS = 30 * SECOND_NS
"""A task that held out so long begins a new row of failures."""

PATIENCE = 2
"""So many failures in a row may have gone before one that still waits just the policy's delay."""

LONGEST_BACKOFF_NS = 60 * SECOND_NS
"""No failure waits longer, unless the policy's own delay is longer."""

SHORTEST_STEP_NS = SECOND_NS // 2
"""What is doubled when the policy asks for no delay at all."""


class Terms(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """The conditions under which a task may follow another; `start_after` 0 means at once."""

    start_after: Timestamp = Timestamp(0)
    restarts: int = 0


AT_ONCE = Terms()


def terms_after_end(task: Task, slot_tasks: Iterable[Task], now: Timestamp) -> Terms | None:
    """Return when the successor of a task that ended may start, None for never.

    Args:
        task: has ended by itself; see `ended_by_itself`.
        slot_tasks: all stored tasks of its slot, itself included.
        now: the delay is counted from here.
    """
    policy = policy_of(task)
    if not _condition_holds(task, policy) or _attempts_are_used_up(task, slot_tasks, policy):
        return None
    row, wait_ns = 0, _delay_ns(policy)
    is_short = _held_out_ns(task, task.status.timestamp) < STABLE_NS
    if task.status.state is not TaskState.COMPLETE and is_short:
        wait_ns = backoff_ns(wait_ns, task.restarts)
        row = task.restarts + 1
    return Terms(start_after=after(now, wait_ns), restarts=row)


def terms_after_loss(task: Task, now: Timestamp) -> Terms | None:
    """Return when the successor of a task that was lost may start, None for never.

    A delay or row of failures that the lost task had to bear passes to its successor.
    """
    if policy_of(task).condition == "none":
        return None
    inherits_row = _held_out_ns(task, now) < STABLE_NS
    inherits_delay = task.desired_state is TaskState.READY and task.start_after > now
    return Terms(
        start_after=task.start_after if inherits_delay else Timestamp(0),
        restarts=task.restarts if inherits_row else 0,
    )


def ended_by_itself(task: Task) -> bool:
    """Whether the task came to an end that its restart policy must judge."""
    status = task.status
    match status.state:
        case TaskState.COMPLETE | TaskState.FAILED:
            return True
        case TaskState.REJECTED:
            return status.message != REJECTED_BY_ENFORCER
        case TaskState.SHUTDOWN:  # told so, unless it is still wanted
            return task.is_wanted
        case _:
            return False


def policy_of(task: Task) -> RestartPolicy:
    """Return the task's restart policy; without one every default holds."""
    return task.spec.restart_policy or RestartPolicy()


def backoff_ns(delay_ns: DurationNs, failures_before: int) -> DurationNs:
    """Return how long a failure waits that comes after so many others in a row.

    Args:
        delay_ns: the policy's delay; the result is never shorter.
        failures_before: 0 for the first failure; up to `PATIENCE` it waits the policy's delay.
    """
    if failures_before <= PATIENCE:
        return delay_ns
    step_ns = max(delay_ns, SHORTEST_STEP_NS)
    doublings = min(failures_before - PATIENCE, 16)
    return max(delay_ns, min(LONGEST_BACKOFF_NS, step_ns << doublings))


def is_attempt(task: Task) -> bool:
    """Whether the task's end counts against the policy's number of attempts."""
    return task.status.state is not TaskState.SHUTDOWN and ended_by_itself(task)


def _condition_holds(task: Task, policy: RestartPolicy) -> bool:
    if policy.condition == "on-failure":
        return task.status.state is not TaskState.COMPLETE
    return policy.condition != "none"


def _attempts_are_used_up(task: Task, slot_tasks: Iterable[Task], policy: RestartPolicy) -> bool:
    """Whether the task was the last attempt; the first one is no restart and comes on top."""
    if not policy.max_attempts:
        return False
    # judged as of the task's end, so that the verdict does not change as time goes by
    since = task.status.timestamp - policy.window if policy.window else 0
    ended = sum(
        1
        for other in slot_tasks
        if other.spec_version == task.spec_version
        and is_attempt(other)
        and other.status.timestamp >= since
    )
    return ended > policy.max_attempts


def _delay_ns(policy: RestartPolicy) -> DurationNs:
    return DEFAULT_RESTART_DELAY_NS if policy.delay is None else policy.delay


def _held_out_ns(task: Task, until: Timestamp) -> DurationNs:
    return until - max(task.meta.created_at, task.start_after)
