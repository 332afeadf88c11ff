"""Does a deployment hold?  Judged by the services of its stack, for `stack deploy --atomic`.

It fails when a task of a present spec cannot run, when one slot has failed three times, when an
update stops or goes back, when a task finds no node for ten seconds, or when the time is over.  It
holds when every service has run all its tasks for as long as was asked.  The client judges
deployments that are not atomic by the same rules, from outside.

Only stored objects are read, so a new leader decides alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cluster.model.ids import TaskId
from cluster.model.service import Service
from cluster.model.spec_struct import ObjectStruct
from cluster.model.stack import Rollout, RolloutFailure, stack_of
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.model.units import SECOND_NS, Timestamp, after
from cluster.orchestrator.dependencies import present_tasks, waits_for
from cluster.orchestrator.restart import REJECTED_BY_ENFORCER, policy_of
from cluster.orchestrator.update_outcome import ended_for_good, is_under_way
from cluster.store.state import ClusterState

UNPLACED_NS = 10 * SECOND_NS
"""How long a task may find no node."""

STEADY_AFTER_FAILURE_NS = 5 * SECOND_NS
"""How long all must run once a task has failed."""

MOST_CRASHES = 3
"""Of one slot."""

_NO_NODE = "no suitable node"
_NO_PROGRAM = ("executable file not found", "no such file or directory: unknown")
_STOPPED = {
    "paused": "the update is paused",
    "rollback_started": "the update is being rolled back",
    "rollback_paused": "the rollback is paused",
    "rollback_completed": "the update was rolled back",
}


class Held(ObjectStruct, frozen=True, gc=False):
    """All services run as asked, and have for long enough."""


class Failed(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """It will not come to that: why, and because of which task."""

    failure: RolloutFailure
    reason: str
    task_id: TaskId = TaskId("")


class Undecided(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Since when all run (0: they do not), and when to look again if nothing changes before."""

    steady_since: Timestamp
    wake_at: Timestamp


Verdict = Held | Failed | Undecided


def verdict(state: ClusterState, stack: str, rollout: Rollout, now: Timestamp) -> Verdict:
    """Judge a deployment at a moment; equal states give equal verdicts."""
    mine = (
        one
        for one in state.services
        if stack_of(one.spec.labels) == stack and one.id not in rollout.surplus_services
    )
    services = [
        _Progress(state, service, rollout)
        for service in sorted(mine, key=lambda service: service.spec.name)
    ]
    for service in services:
        failed = service.failure(now)
        if failed is not None:
            return failed
    deadline = after(rollout.began_at, rollout.timeout_ns)
    left = [service for service in services if not service.is_done]
    if not left:
        return _steady(services, rollout, now)
    if now >= deadline:
        return _too_late(left, rollout)
    wakes = [deadline, *(at for one in left for at in one.unplaced_until())]
    return Undecided(steady_since=Timestamp(0), wake_at=min(at for at in wakes if at > now))


def _steady(services: list[_Progress], rollout: Rollout, now: Timestamp) -> Verdict:
    since = rollout.steady_since or now
    failures = [task.status.timestamp for service in services for task in service.failed]
    lasting = rollout.stable_ns
    if failures:
        since = max(since, *failures)
        lasting = max(lasting, STEADY_AFTER_FAILURE_NS)
    steady_at = after(since, lasting)
    if now >= steady_at:
        return Held()
    return Undecided(steady_since=since, wake_at=steady_at)


def _too_late(left: list[_Progress], rollout: Rollout) -> Failed:
    is_unplaced = all(any(service.unplaced) for service in left)
    lines = [f"not running after {rollout.timeout_ns / SECOND_NS:g} s"]
    lines += [service.line for service in left]
    culprits = [task.id for service in left for task in (*service.failed, *service.unplaced)]
    return Failed(
        failure="unschedulable" if is_unplaced else "timed out",
        reason="; ".join(lines),
        task_id=culprits[-1] if culprits else TaskId(""),
    )


class _Progress:
    """How far one service is, by its tasks of the present spec."""

    def __init__(self, state: ClusterState, service: Service, rollout: Rollout) -> None:
        self._state = state
        self._service = service
        self._began_at = rollout.began_at
        self._name = service.spec.name
        self._tasks = sorted(present_tasks(state, service), key=lambda task: task.meta.created_at)
        fresh = [task for task in self._tasks if task.status.timestamp >= rollout.began_at]
        self.failed = [task for task in fresh if task.status.state is TaskState.FAILED]
        self._rejected = [task for task in fresh if _was_rejected(task)]
        pending = [task for task in self._tasks if task.is_active]
        self.unplaced = [task for task in pending if _is_unplaced(task)]

    @property
    def is_done(self) -> bool:
        """Whether all wanted tasks run or have ended well, and no update is under way."""
        wanted = self._wanted()
        is_enough = wanted is not None and self._filled() >= wanted
        return is_enough and not is_under_way(self._service.update_status)

    @property
    def line(self) -> str:
        """How far it is, for people."""
        wanted = self._wanted()
        counts = f"{self._name}: {self._filled()}/{'?' if wanted is None else wanted} running"
        reasons = [task.status.error for task in (*self.failed, *self.unplaced)]
        return f"{counts}: {reasons[-1]}" if any(reasons) else counts

    def failure(self, now: Timestamp) -> Failed | None:
        """Return why the service will not come to run, None while it may."""
        update = self._service.update_status
        if update is not None and update.state in _STOPPED and update.since >= self._began_at:
            culprit = self._state.task(TaskId(update.message.rpartition(" task ")[2]))
            what = ": ".join(part for part in (_STOPPED[update.state], update.message) if part)
            return self._because(what, culprit)
        policy_attempts, crashes = self._attempts(), self._crashes()
        hopeless = [*self._rejected, *filter(_can_never_start, self.failed)]
        if not hopeless and self.failed and crashes > policy_attempts:
            hopeless = self.failed[-1:]
        if hopeless:
            return self._because("a task cannot run", hopeless[0])
        if crashes >= MOST_CRASHES:
            return self._because(f"a task failed {crashes} times", self.failed[-1])
        if any(until <= now for until in self.unplaced_until()):
            return self._unschedulable()
        return None

    def unplaced_until(self) -> Iterator[Timestamp]:
        """Iterate over the moments at which it counts that a task finds no node."""
        for task in self.unplaced:
            yield after(max(task.meta.created_at, self._began_at), UNPLACED_NS)
        if self._wanted() is None and not waits_for(self._state, self._service):
            yield after(self._began_at, UNPLACED_NS)  # a global service without any node

    def _unschedulable(self) -> Failed:
        task = self.unplaced[0] if self.unplaced else None
        reason = task.status.error if task else "no node fits its placement"
        return Failed(
            failure="unschedulable",
            reason=f"{self._name}: {reason}",
            task_id=task.id if task else TaskId(""),
        )

    def _because(self, what: str, culprit: Task | None) -> Failed:
        reason = culprit.status.error if culprit else ""
        parts = [f"{self._name}: {what}", *([reason] if reason and reason not in what else [])]
        return Failed(
            failure="failed",
            reason=": ".join(parts),
            task_id=culprit.id if culprit else TaskId(""),
        )

    def _crashes(self) -> int:
        return max(Counter(task.place for task in self.failed).values(), default=0)

    def _attempts(self) -> float:
        """How often a failed task is started again."""
        if not self._tasks:
            return float("inf")
        policy = policy_of(self._tasks[-1])
        if policy.condition == "none":
            return 0
        return policy.max_attempts or float("inf")

    def _filled(self) -> int:
        running = {
            task.place
            for task in self._tasks
            if task.desired_state is TaskState.RUNNING and task.status.state is TaskState.RUNNING
        }
        is_job = self._service.spec.is_job
        complete = {
            task.place
            for task in self._tasks
            if task.status.state is TaskState.COMPLETE and (is_job or ended_for_good(task))
        }
        return len(complete if is_job else running | complete)

    def _wanted(self) -> int | None:
        """How many places are to be filled; None while a global service has not said it."""
        spec = self._service.spec
        if not spec.is_global and spec.mode_name != "global-job":
            return spec.total_completions if spec.is_job else spec.replicas
        every = self._tasks if spec.is_job else self._state.tasks_of_service(self._service.id)
        return len({task.place for task in every if task.is_wanted}) or None


def _was_rejected(task: Task) -> bool:
    is_rejected = task.status.state is TaskState.REJECTED
    return is_rejected and task.status.message != REJECTED_BY_ENFORCER


def _can_never_start(task: Task) -> bool:
    """Whether its image lacks the program: a restart finds it no better."""
    return any(sign in task.status.error for sign in _NO_PROGRAM)


def _is_unplaced(task: Task) -> bool:
    return task.status.state is TaskState.PENDING and _NO_NODE in task.status.error
