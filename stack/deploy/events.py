"""What a deployment tells while it goes on, as data and as lines.  Pure.

docs/deploy.md describes the events as ``stack deploy --output json`` prints them.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Action = Literal["create", "update", "keep", "remove"]
Kind = Literal["network", "secret", "config", "service"]
Phase = Literal[
    "waiting", "starting", "updating", "running", "completed", "rolling back", "stopped", "failed"
]
Result = Literal[
    "accepted", "converged", "failed", "wrong", "rolled back", "unschedulable", "timed out"
]


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base of all events."""


class ObjectEvent(Event, frozen=True, kw_only=True, tag="object"):
    """An object is about to be made, changed or removed; or it is as it should be."""

    action: Action
    kind: Kind
    name: str
    id: str = ""  # "" for one that is not there yet


class ServiceEvent(Event, frozen=True, kw_only=True, tag="service"):
    """A service came to another state.

    `running` counts tasks that run and, where they have a health check, are healthy; those that
    ended well for good count too.  `wanted` is null while the cluster has not said it.
    """

    name: str
    phase: Phase
    running: int
    wanted: int | None
    is_job: bool = False
    reason: str = ""


class WarningEvent(Event, frozen=True, kw_only=True, tag="warning"):
    """Something that does not stop the deployment."""

    message: str


class FailureEvent(Event, frozen=True, kw_only=True, tag="failure"):
    """A task that is the reason of a deployment's end, with the last lines that it printed."""

    service: str
    task: str
    node: str
    reason: str
    exit_code: int | None
    log: tuple[str, ...] = ()


class EndEvent(Event, frozen=True, kw_only=True, tag="end"):
    """The last event: how it ended, and the exit code."""

    result: Result
    exit_code: int
    message: str = ""


AnyEvent = ObjectEvent | ServiceEvent | WarningEvent | FailureEvent | EndEvent

_VERBS = {"create": "Creating", "update": "Updating", "remove": "Removing"}


def line_of(event: ObjectEvent | ServiceEvent) -> str:
    """One line for people."""
    match event:
        case ObjectEvent(action="keep"):
            return f"{event.kind.capitalize()} {event.name} is unchanged (id: {event.id})"
        case ObjectEvent():
            identity = f" (id: {event.id})" if event.id and event.action == "update" else ""
            return f"{_VERBS[event.action]} {event.kind} {event.name}{identity}"
        case ServiceEvent():
            return service_line(event)


def service_line(event: ServiceEvent) -> str:
    """A service's progress in one line."""
    wanted = "?" if event.wanted is None else event.wanted
    verb = "completed" if event.is_job else "running"
    shown = event.phase in ("updating", "rolling back")
    phase = f", {event.phase}" if shown else ""
    reason = f": {event.reason}" if event.reason else ""
    return f"{event.name}: {event.running}/{wanted} {verb}{phase}{reason}"


def failure_lines(event: FailureEvent) -> list[str]:
    """What is known of a failed task, for standard error."""
    node = f" on {event.node}" if event.node else ""
    code = "" if event.exit_code is None else f" (exit code {event.exit_code})"
    lines = [f"  task {event.task}{node}{code}: {event.reason}"]
    if event.log:
        lines.append("  its last lines:")
        lines += [f"    | {line}" for line in event.log]
    return lines
