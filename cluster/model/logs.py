"""Lines that containers printed, and which of them somebody wants to read."""

from __future__ import annotations

from typing import Final, Literal

from cluster.model.ids import ServiceId, TaskId
from cluster.model.spec_struct import ObjectStruct
from cluster.model.units import Timestamp

Stream = Literal[1, 2]

STDOUT: Final[Stream] = 1
STDERR: Final[Stream] = 2
ALL_LINES: Final = -1


class LogOptions(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Which lines of a task's log; `tail` counts the newest ones, `ALL_LINES` for no limit."""

    has_stdout: bool = True
    has_stderr: bool = True
    is_followed: bool = False
    since: Timestamp = Timestamp(0)
    tail: int = ALL_LINES


class LogLine(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """One line, or a part of a very long one, with the line's end if it has one."""

    task_id: TaskId
    stream: Stream
    timestamp: Timestamp
    data: bytes


class LogSelection(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Whose log: that of all tasks of a service, or of one task."""

    service_id: ServiceId = ServiceId("")
    task_id: TaskId = TaskId("")
