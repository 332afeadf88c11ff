"""How far a service is: a list of tasks to one line, and to a verdict.  Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable

import msgspec

from stack.engine.payloads import JobStatus, Json, Service, Task

ENDED = frozenset(("complete", "shutdown", "failed", "rejected", "orphaned", "remove"))
"""States from which a task never moves on."""

_NO_PROGRAM = ("executable file not found", "no such file or directory: unknown")


class Progress(msgspec.Struct, frozen=True):
    """One service at one moment.

    `running` counts tasks that run, or ended well and stay so: of a job, those that completed.
    `wanted` is None while the cluster has not yet said how many tasks a global service has.
    `rejected` holds reasons why a task of the present spec will never run; `waiting` reasons why
    one does not run yet; `failed` IDs of its tasks that ran and failed; `crashes` how often that
    was in the slot where it was most often.
    """

    name: str
    running: int
    wanted: int | None
    is_job: bool = False
    waiting: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    failed: frozenset[str] = frozenset()
    crashes: int = 0
    stopped: str = ""

    @property
    def is_done(self) -> bool:
        """Whether all wanted tasks run or have ended well."""
        return self.wanted is not None and self.running >= self.wanted and not self.stopped

    @property
    def line(self) -> str:
        """The state in one line; the reason is added when a task cannot start."""
        wanted = "?" if self.wanted is None else self.wanted
        reasons = self.rejected or self.failures or self.waiting
        reason = f": {reasons[0]}" if reasons and not self.is_done else ""
        verb = "completed" if self.is_job else "running"
        return f"{self.name}: {self.running}/{wanted} {verb}{reason}"


def progress_of(
    service: Service, current: Collection[Task], everything: Collection[Task], seen: Collection[str]
) -> Progress:
    """Judge a service.

    Args:
        service: as listed with counts (``status=true``).
        current: its tasks that were made from its present spec.
        everything: all its tasks.
        seen: tasks that had ended before the deployment, and updates as they were then (see
            `update_id`); they say nothing about it.
    """
    is_job = job_mode(service)
    if is_job:
        iteration = _iteration(service.get("JobStatus") or {})
        current = [task for task in current if _iteration(task) == iteration]
    wanted = _wanted(service, everything)
    fresh = [task for task in current if task["ID"] not in seen]
    live = [task for task in current if task.get("DesiredState") in ("running", "complete")]
    running = 0 if is_job else sum(1 for task in live if _state(task) == "running")
    finished = _finished(service, current)
    failed = [task for task in fresh if _state(task) == "failed"]
    # A failed task is started again, unless the service says that it is not.
    hopeless = ("rejected", "failed") if _condition(service) == "none" else ("rejected",)
    crashes = max(Counter(_place(service, task) for task in failed).values(), default=0)
    if is_job and crashes > _attempts(service):
        hopeless = ("rejected", "failed")
    update = service.get("UpdateStatus") or {}
    return Progress(
        name=service["Spec"]["Name"],
        running=running + finished,
        wanted=wanted,
        is_job=is_job,
        waiting=_reasons(task for task in live if _state(task) in ("new", "allocated", "pending")),
        rejected=_reasons(
            task for task in fresh if _state(task) in hopeless or _can_never_start(task)
        ),
        failures=_reasons(failed),
        failed=frozenset(task["ID"] for task in failed),
        crashes=crashes,
        stopped=""
        if update_id(service) in seen
        else _stopped(update.get("State", ""), update.get("Message", ""), everything),
    )


def job_mode(service: Service) -> bool:
    """Whether a service's tasks run to their end, once."""
    mode = service["Spec"].get("Mode") or {}
    return "ReplicatedJob" in mode or "GlobalJob" in mode


def update_id(service: Service) -> str:
    """Name a service's update in its present state: it is another once it has moved on."""
    update = service.get("UpdateStatus") or {}
    return f"{service['ID']} {update.get('State', '')} {update.get('StartedAt', '')}"


def _state(task: Task) -> str:
    return task.get("Status", {}).get("State", "")


def _can_never_start(task: Task) -> bool:
    """Whether its image lacks the program: a restart finds it no better."""
    reason = task.get("Status", {}).get("Err") or ""
    return _state(task) == "failed" and any(sign in reason for sign in _NO_PROGRAM)


def _iteration(owner: Task | JobStatus) -> int:
    """The run of a job that a task, or its service's status, is of."""
    iteration: Json = owner.get("JobIteration") or {}
    index: int = iteration.get("Index", 0)
    return index


def _wanted(service: Service, everything: Collection[Task]) -> int | None:
    mode = service["Spec"].get("Mode") or {}
    status = service.get("ServiceStatus")
    if "GlobalJob" in mode:
        if status is None:
            return None
        return status["DesiredTasks"] + status.get("CompletedTasks", 0) or None
    if "ReplicatedJob" in mode:
        total = (mode["ReplicatedJob"] or {}).get("TotalCompletions")
        return 1 if total is None else total
    if "Global" not in mode:
        replicas = (mode.get("Replicated") or {}).get("Replicas")
        return 1 if replicas is None else replicas
    live = sum(1 for task in everything if task.get("DesiredState") == "running")
    return max(status["DesiredTasks"] if status else 0, live) or None


def _finished(service: Service, current: Collection[Task]) -> int:
    """Tasks that ended well and are not to be started again."""
    if not job_mode(service) and _condition(service) not in ("none", "on-failure"):
        return 0
    return len({_place(service, task) for task in current if _state(task) == "complete"})


def _condition(service: Service) -> str:
    template = service["Spec"].get("TaskTemplate") or {}
    return (template.get("RestartPolicy") or {}).get("Condition") or "any"


def _attempts(service: Service) -> float:
    """How often a failed task of a service is started again."""
    template = service["Spec"].get("TaskTemplate") or {}
    return (template.get("RestartPolicy") or {}).get("MaxAttempts") or math.inf


def _place(service: Service, task: Task) -> object:
    """The slot or node that a task fills; slots of a job count from 0, which is left out."""
    if "ReplicatedJob" in (service["Spec"].get("Mode") or {}):
        return task.get("Slot", 0)
    return task.get("Slot") or task.get("NodeID")


def _reasons(tasks: Iterable[Task]) -> tuple[str, ...]:
    reasons: dict[str, None] = {}
    for task in tasks:
        status = task.get("Status", {})
        reason = status.get("Err") or (status.get("Message") if status.get("State") else "")
        if reason:
            reasons[reason] = None
    return tuple(reasons)


_STOPPED = {
    "paused": "the update is paused",
    "rollback_started": "the update is being rolled back",
    "rollback_paused": "the rollback is paused",
    "rollback_completed": "the update was rolled back",
}


def _stopped(state: str, message: str, everything: Collection[Task]) -> str:
    """Say that an update does not go on, and what became of the task that its message names."""
    text = _STOPPED.get(state, "")
    culprit = message.rpartition(" task ")[2]
    reasons = _reasons(task for task in everything if task["ID"] == culprit)
    return ": ".join(part for part in (text, message, *reasons) if part) if text else ""
