"""Follow a deployment that the managers watch (``--atomic``) until they have decided."""

from __future__ import annotations

from collections.abc import Callable, Collection

from stack.deploy.converge import Pace, look_at_all
from stack.deploy.events import AnyEvent, ServiceEvent, WarningEvent
from stack.deploy.progress import failed_task
from stack.deploy.reasons import failure_events
from stack.engine.client import EngineClient
from stack.engine.payloads import Json
from stack.errors import (
    EngineUnreachable,
    FailedTask,
    NotConverged,
    NotFound,
    RolledBack,
    TimedOut,
    Unavailable,
    Unschedulable,
)

_POLL_S = 0.2
_SILENCE_S = 60.0  # how long no manager may answer
PENDING = ("under way", "going back")
"""States of a rollout about which the managers have not decided."""


def last_rollout(client: EngineClient, stack: str) -> Json:
    """The stack's last deployment if managers watch or have watched it, empty else."""
    try:
        return client.stack(stack).get("Rollout") or {}
    except NotFound:  # also: a server that keeps no stacks
        return {}


def pending_rollout(client: EngineClient, stack: str) -> int:
    """The revision of a deployment of the stack that managers still watch; 0 for none."""
    rollout = last_rollout(client, stack)
    return int(rollout["Revision"]) if rollout.get("State") in PENDING else 0


def follow_rollout(
    client: EngineClient,
    stack: str,
    revision: int,
    seen: Collection[str],
    tell: Callable[[AnyEvent], None],
    pace: Pace,
    timeout_s: float | None = None,
) -> None:
    """Wait until a deployment holds, telling how far its services are.

    Args:
        client: the API.
        stack: the stack's name.
        revision: that the deployment made.
        seen: what was over before; see `already_over`.
        tell: told of changes, and of what failed.
        pace: clock and sleep.
        timeout_s: how long; without it as long as the managers take, who have a limit as well.

    Raises:
        RolledBack: it failed, and all services are back.
        Unschedulable: the first deployment found no node; what it made was removed.
        TimedOut: the first deployment took too long; what it made was removed. Or it is not
            decided in time.
        NotConverged: it failed otherwise, or somebody else has deployed the stack meanwhile.
    """
    told: dict[str, ServiceEvent] = {}
    failure: Json = {}
    began = heard_at = pace.now()
    while True:
        try:
            rollout = client.stack(stack).get("Rollout") or {}
            if rollout.get("State") == "going back" and not failure:
                failure = rollout
                _tell_failure(client, rollout, tell)
            _tell_progress(client, stack, seen, told, tell)
            heard_at = pace.now()
        except NotFound:
            raise NotConverged(f"somebody removed stack {stack} meanwhile") from None
        except (EngineUnreachable, Unavailable):
            if pace.now() - heard_at > _SILENCE_S:
                raise
            pace.sleep(_POLL_S)
            continue
        if rollout.get("Revision") != revision:
            raise NotConverged(f"somebody else deployed stack {stack} meanwhile")
        if rollout["State"] == "held":
            return
        if rollout["State"] not in PENDING:
            if not failure:
                _tell_failure(client, rollout, tell)
            raise _ended(rollout)
        if timeout_s is not None and pace.now() - began > timeout_s:
            raise TimedOut(f"revision {revision} is not decided after {timeout_s:g} s")
        pace.sleep(_POLL_S)


def rollout_line(client: EngineClient, stack: str) -> str:
    """What is to be said of the stack's last watched deployment; "" where all is well."""
    rollout = last_rollout(client, stack)
    revision, state = rollout.get("Revision", 0), rollout.get("State", "held")
    failed = f"revision {revision} failed ({rollout.get('Reason', '')})"
    former = rollout.get("Former", 0)
    match state:
        case "held":
            return ""
        case "under way":
            until = f"revision {revision} is being rolled out, until {rollout['Until']} at most"
            return f"{until}; when it fails {_consequence(former)}"
        case "going back":
            return f"{failed}: {_consequence(former)}"
        case "back" if former:
            return f"{failed}: all services went back to revision {former}"
        case "back":
            return f"{failed}: what was made was removed"
        case _:
            return failed


def _consequence(former: int) -> str:
    return f"all services go back to revision {former}" if former else "what was made is removed"


def _tell_progress(
    client: EngineClient,
    stack: str,
    seen: Collection[str],
    told: dict[str, ServiceEvent],
    tell: Callable[[AnyEvent], None],
) -> None:
    for progress in look_at_all(client, stack, seen):
        event = progress.event
        if told.get(event.name) != event:
            told[event.name] = event
            tell(event)


def _tell_failure(client: EngineClient, rollout: Json, tell: Callable[[AnyEvent], None]) -> None:
    for event in failure_events(client, _culprits(client, rollout)):
        tell(event)
    tell(WarningEvent(message=f"{rollout['Reason']}: {_consequence(rollout['Former'])}"))


def _culprits(client: EngineClient, rollout: Json) -> tuple[FailedTask, ...]:
    task_id = rollout.get("Task", "")
    if not task_id:
        return ()
    try:
        task = client.task(task_id)
        name = client.service(task["ServiceID"])["Spec"]["Name"]
    except NotFound:
        return ()
    return (failed_task(name, task),)


def _ended(rollout: Json) -> NotConverged:
    former, reason = rollout["Former"], rollout["Reason"]
    if rollout["State"] == "stuck":
        return NotConverged(reason)
    if former:
        return RolledBack(f"{reason}; all services are back at revision {former}")
    kinds = {"unschedulable": Unschedulable, "timed out": TimedOut}
    return kinds.get(rollout["Failure"], NotConverged)(f"{reason}; what was made was removed")
