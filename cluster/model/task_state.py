"""The states of a task, their order, and who may move a task between them."""

from __future__ import annotations

import enum


class TaskState(enum.IntEnum):
    """States in their order; a task only ever moves to a higher one.

    The gaps leave room for states of later versions, as stored logs must stay readable.
    """

    NEW = 0
    PENDING = 64
    ASSIGNED = 192
    ACCEPTED = 256
    PREPARING = 320
    READY = 384
    STARTING = 448
    RUNNING = 512
    COMPLETE = 576
    SHUTDOWN = 640
    FAILED = 704
    REJECTED = 768
    REMOVE = 800  # only ever a desired state
    ORPHANED = 832

    @property
    def is_terminal(self) -> bool:
        """Whether a task in this state has ended for good."""
        return self >= TaskState.COMPLETE

    @property
    def spelled(self) -> str:
        """The state as the Docker Engine API spells it."""
        return self.name.lower()


class Writer(enum.Enum):
    """Who writes a task's *observed* state."""

    ORCHESTRATOR = "orchestrator"
    ALLOCATOR = "allocator"
    SCHEDULER = "scheduler"
    AGENT = "agent"
    DISPATCHER = "dispatcher"


_S = TaskState
_AGENT_STATES = (
    _S.ACCEPTED,
    _S.PREPARING,
    _S.READY,
    _S.STARTING,
    _S.RUNNING,
    _S.COMPLETE,
    _S.SHUTDOWN,
    _S.FAILED,
    _S.REJECTED,
)

TRANSITIONS: dict[Writer, frozenset[tuple[TaskState, TaskState]]] = {
    # a task that was never given to a node ends without one
    Writer.ORCHESTRATOR: frozenset({(_S.NEW, _S.SHUTDOWN), (_S.PENDING, _S.SHUTDOWN)}),
    Writer.ALLOCATOR: frozenset({(_S.NEW, _S.PENDING)}),
    Writer.SCHEDULER: frozenset({(_S.PENDING, _S.ASSIGNED)}),
    # an agent may skip states: a report of "accepted" can be overtaken by "preparing"
    Writer.AGENT: frozenset(
        (old, new)
        for old in (_S.ASSIGNED, *_AGENT_STATES)
        for new in _AGENT_STATES
        if old < new and not old.is_terminal
    ),
    # a node that is gone for good, or whose labels no longer fit, answers no more for its task
    Writer.DISPATCHER: frozenset(
        (old, new)
        for old in (_S.ASSIGNED, *_AGENT_STATES)
        for new in (_S.REJECTED, _S.ORPHANED)
        if not old.is_terminal
    ),
}
"""The whole state machine: writer -> allowed (from, to) pairs of the observed state."""


def may_move(writer: Writer, old: TaskState, new: TaskState) -> bool:
    """Whether `writer` may move a task's observed state from `old` to `new`."""
    return (old, new) in TRANSITIONS[writer]


DESIRED_ORDER: tuple[TaskState, ...] = (
    _S.READY,
    _S.RUNNING,
    _S.COMPLETE,  # of a job, in place of RUNNING
    _S.SHUTDOWN,
    _S.REMOVE,
)
"""Desired states, written only by the orchestrator, in the order in which they may follow."""
