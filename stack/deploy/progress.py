"""How far a service is: a list of tasks to one line, and to a verdict.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

import msgspec

from stack.engine.payloads import Service, Task

ENDED = frozenset(("complete", "shutdown", "failed", "rejected", "orphaned", "remove"))
"""States from which a task never moves on."""

_NO_PROGRAM = ("executable file not found", "no such file or directory: unknown")


class Progress(msgspec.Struct, frozen=True):
    """One service at one moment.

    `wanted` is None while the cluster has not yet said how many tasks a global service has.
    `rejected` holds reasons why a task of the present spec will never run; `waiting` reasons why
    one does not run yet; `failed` IDs of its tasks that ran and failed; `crashes` how often that
    was in the slot where it was most often.
    """

    name: str
    running: int
    wanted: int | None
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
        return f"{self.name}: {self.running}/{wanted} running{reason}"


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
    spec = service["Spec"]
    wanted = _wanted(service, everything)
    fresh = [task for task in current if task["ID"] not in seen]
    live = [task for task in current if task.get("DesiredState") in ("running", "complete")]
    running = sum(1 for task in live if _state(task) == "running")
    finished = _finished(service, current)
    failed = [task for task in fresh if _state(task) == "failed"]
    # A failed task is started again, unless the service says that it is not.
    hopeless = ("rejected", "failed") if _condition(service) == "none" else ("rejected",)
    update = service.get("UpdateStatus") or {}
    return Progress(
        name=spec["Name"],
        running=running + finished,
        wanted=wanted,
        waiting=_reasons(task for task in live if _state(task) in ("new", "allocated", "pending")),
        rejected=_reasons(
            task for task in fresh if _state(task) in hopeless or _can_never_start(task)
        ),
        failures=_reasons(failed),
        failed=frozenset(task["ID"] for task in failed),
        crashes=max(Counter(_place(task) for task in failed).values(), default=0),
        stopped=""
        if update_id(service) in seen
        else _stopped(update.get("State", ""), update.get("Message", ""), everything),
    )


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


def _wanted(service: Service, everything: Collection[Task]) -> int | None:
    mode = service["Spec"].get("Mode") or {}
    if "Global" not in mode:
        replicas = (mode.get("Replicated") or {}).get("Replicas")
        return 1 if replicas is None else replicas
    status = service.get("ServiceStatus")
    live = sum(1 for task in everything if task.get("DesiredState") == "running")
    return max(status["DesiredTasks"] if status else 0, live) or None


def _finished(service: Service, current: Collection[Task]) -> int:
    """Tasks that ended well and are not to be started again."""
    if _condition(service) not in ("none", "on-failure"):
        return 0
    return len({_place(task) for task in current if _state(task) == "complete"})


def _condition(service: Service) -> str:
    template = service["Spec"].get("TaskTemplate") or {}
    return (template.get("RestartPolicy") or {}).get("Condition") or "any"


def _place(task: Task) -> object:
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
