"""The error tree of the client; each error knows the exit code of the command it ends.

    StackError                 1   base: something outside the command said no
    ├── UsageError             2   the command line is wrong
    │   └── ComposeError       2   a compose file is wrong; names file and line
    ├── EngineError            1   the Engine API answered with an error
    │   ├── NotFound               no such object                        (404)
    │   ├── Conflict               the name is taken                     (409)
    │   ├── OutOfSequence          the object changed since it was read  (500, "out of sequence")
    │   └── Unavailable            not a manager, or no leader now       (503)
    ├── EngineUnreachable      1   nobody answers at the address
    └── NotConverged           1   the cluster did not reach the stack that was asked for
        ├── RolledBack         3   an update failed and the former version serves again
        ├── Unschedulable      4   a task fits no node
        └── TimedOut           5   the time to wait was over

``cli/main.py`` turns them into one line on stderr and the exit code, once.
"""

from __future__ import annotations

from typing import NamedTuple


class StackError(Exception):
    """Base of every error that ends a command with one line on stderr."""

    exit_code = 1


class UsageError(StackError):
    """The command line cannot be understood or carried out as written."""

    exit_code = 2


class ComposeError(UsageError):
    """A compose file is wrong.

    The message begins with the place, ``FILE:LINE: path: ``, whenever one is known.
    """


class EngineError(StackError):
    """The Engine API answered a request with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class NotFound(EngineError):
    """The named object does not exist."""


class Conflict(EngineError):
    """An object of that name exists already."""


class OutOfSequence(EngineError):
    """The object was changed by someone else since it was read; read again and retry."""


class Unavailable(EngineError):
    """The node is no manager, or the managers have no leader at the moment."""


class EngineUnreachable(StackError):
    """No Engine API answers at the address."""


class FailedTask(NamedTuple):
    """A task that is the reason why a stack does not run as asked."""

    service: str
    task_id: str
    slot: int  # 0 for a service that runs on every node
    node_id: str  # "" for a task that found none
    reason: str
    exit_code: int | None  # None where its container never ended
    has_terminal: bool  # its log comes without frames
    may_have_logs: bool


class NotConverged(StackError):
    """The cluster accepted the stack but does not run it as asked."""

    def __init__(self, message: str, failed: tuple[FailedTask, ...] = ()) -> None:
        super().__init__(message)
        self.failed = failed


class RolledBack(NotConverged):
    """An update failed, and the cluster went back to what ran before."""

    exit_code = 3


class Unschedulable(NotConverged):
    """A task fits no node of the cluster."""

    exit_code = 4


class TimedOut(NotConverged):
    """The time to wait was over before it was clear how the deployment ends."""

    exit_code = 5
