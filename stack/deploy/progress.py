"""How far a service is: a list of tasks to one line, and to a verdict.  Pure."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Iterable

import msgspec

from stack.deploy.events import Phase, ServiceEvent, service_line
from stack.engine.payloads import JobStatus, Json, Service, Task
from stack.errors import FailedTask
from stack.translate.extensions import EXTENSION_LABEL

ENDED = frozenset(("complete", "shutdown", "failed", "rejected", "orphaned", "remove"))
"""States from which a task never moves on."""

_NO_PROGRAM = ("executable file not found", "no such file or directory: unknown")


class Progress(msgspec.Struct, frozen=True):
    """One service at one moment.

    `running` counts tasks that run, or ended well and stay so: of a job, those that completed.
    `wanted` is None while the cluster has not yet said how many tasks a global service has.
    `rejected` holds reasons why a task of the present spec will never run; `waiting` reasons why
    one does not run yet; `failed` IDs of its tasks that ran and failed; `crashes` how often that
    was in the slot where it was most often.  `update` is the state of an update that belongs to
    this deployment, `stopped` why it does not go on.  `culprits` are the tasks to blame, the
    newest last.
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
    update: str = ""
    stopped: str = ""
    is_judged_by_cluster: bool = False
    culprits: tuple[FailedTask, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether all wanted tasks run or have ended well, and no update is under way."""
        return (
            self.wanted is not None
            and self.running >= self.wanted
            and not self.stopped
            and self.update not in UNDER_WAY
        )

    @property
    def phase(self) -> Phase:
        """Where the service is on its way."""
        if self.stopped:
            return "rolling back" if self.update == "rollback_started" else "stopped"
        if self.is_done:
            return "completed" if self.is_job else "running"
        if self.rejected:
            return "failed"
        if self.waiting:
            return "waiting"
        return "updating" if self.update == "updating" else "starting"

    @property
    def event(self) -> ServiceEvent:
        """The state as it is told; with a reason when a task cannot start."""
        reasons = self.rejected or self.failures or self.waiting
        return ServiceEvent(
            name=self.name,
            phase=self.phase,
            running=self.running,
            wanted=self.wanted,
            is_job=self.is_job,
            reason=reasons[0] if reasons and not self.is_done else "",
        )

    @property
    def line(self) -> str:
        """The state in one line."""
        return service_line(self.event)


UNDER_WAY = ("updating", "rollback_started")
"""States of an update that is not over."""


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
    if crashes > _attempts(service):
        hopeless = ("rejected", "failed")
    rejected = [task for task in fresh if _state(task) in hopeless or _can_never_start(task)]
    update = {} if update_id(service) in seen else service.get("UpdateStatus") or {}
    state, message = update.get("State", ""), update.get("Message", "")
    if state == "paused" and wanted is not None and finished >= wanted:
        state = "completed"  # what the cluster took for an early end was a good one
    waiting = [task for task in live if _state(task) in ("new", "allocated", "pending")]
    blamed = _blamed(message, everything, seen) if state in _STOPPED else []
    return Progress(
        name=service["Spec"]["Name"],
        running=running + finished,
        wanted=wanted,
        is_job=is_job,
        waiting=_reasons(waiting) or (() if current else _awaited(service["Spec"])),
        rejected=_reasons(rejected),
        failures=_reasons(failed),
        failed=frozenset(task["ID"] for task in failed),
        crashes=crashes,
        update=state,
        stopped=_stopped(state, message, blamed),
        is_judged_by_cluster=_is_judged_by_cluster(service),
        culprits=_culprits(service, blamed or rejected or failed or waiting),
    )


def dependencies(spec: Json) -> dict[str, str]:
    """What a service waits for, by its spec: names and conditions."""
    text = (spec.get("Labels") or {}).get(EXTENSION_LABEL, "")
    if "depends_on" not in text:
        return {}
    found: Json = json.loads(text).get("depends_on", {})
    return {name: one.get("condition", "service_started") for name, one in found.items()}


def is_given_up(service: Service, current: Collection[Task]) -> bool:
    """Whether tasks of a service have failed and none is tried again.

    Args:
        service: as listed with counts.
        current: its tasks that were made from its present spec.
    """
    progress = progress_of(service, current, current, ())
    is_alive = any(
        task.get("DesiredState") in ("ready", "running", "complete") and _state(task) not in ENDED
        for task in current
    )
    return bool(current) and not is_alive and not progress.is_done and bool(progress.rejected)


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


def _awaited(spec: Json) -> tuple[str, ...]:
    """What a service that has no task yet may be waiting for."""
    names = [f"{name} {_AWAITED.get(how, how)}" for name, how in dependencies(spec).items()]
    return (f"{WAITS_FOR} {', '.join(names)}",) if names else ()


WAITS_FOR = "waits for"
_AWAITED = {
    "service_started": "to start",
    "service_healthy": "to be healthy",
    "service_completed_successfully": "to complete",
}


def _stopped(state: str, message: str, blamed: Iterable[Task]) -> str:
    """Say that an update does not go on, and what became of the task that its message names."""
    text = _STOPPED.get(state, "")
    return ": ".join(part for part in (text, message, *_reasons(blamed)) if part) if text else ""


def _blamed(message: str, tasks: Collection[Task], seen: Collection[str]) -> list[Task]:
    """The task that an update's message ends with, else all that failed in this deployment."""
    culprit = message.rpartition(" task ")[2]
    named = [task for task in tasks if task["ID"] == culprit]
    return named or [
        task for task in tasks if _state(task) in ("failed", "rejected") and task["ID"] not in seen
    ]


def _is_judged_by_cluster(service: Service) -> bool:
    """Whether the cluster will say itself how an update ends: it takes a failing one back."""
    config = service["Spec"].get("UpdateConfig") or {}
    state = (service.get("UpdateStatus") or {}).get("State", "")
    rolls_back = config.get("FailureAction") == "rollback" and "PreviousSpec" in service
    return (rolls_back and state in ("", "updating")) or state == "rollback_started"


def _culprits(service: Service, tasks: Iterable[Task]) -> tuple[FailedTask, ...]:
    name = service["Spec"]["Name"]
    by_age = sorted(tasks, key=lambda task: task.get("CreatedAt", ""))
    return tuple(failed_task(name, task) for task in by_age)


def failed_task(service: str, task: Task) -> FailedTask:
    """A task of a service as the reason why something failed."""
    return FailedTask(
        service=service,
        task_id=task["ID"],
        slot=task.get("Slot", 0),
        node_id=task.get("NodeID", ""),
        reason=(_reasons([task]) or ("",))[0],
        exit_code=_exit_code(task),
        has_terminal=bool(((task.get("Spec") or {}).get("ContainerSpec") or {}).get("TTY", False)),
        may_have_logs=_state(task) in ("failed", "complete", "shutdown", "running", "starting"),
    )


def _exit_code(task: Task) -> int | None:
    status = task.get("Status", {})
    container = status.get("ContainerStatus") or {}
    if status.get("State") not in ("failed", "complete") or not container.get("ContainerID"):
        return None
    code: int = container.get("ExitCode", 0)
    never_started = status.get("State") == "failed" and not code
    return None if never_started else code
