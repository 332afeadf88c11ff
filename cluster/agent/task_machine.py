"""The next step of a task, from its state, its desired state and what its container does.

One table holds every case.  It is level-triggered: the runner looks, takes the step it is told,
and looks again, so that a restarted agent goes on from whatever it finds.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from cluster.agent.executor import ContainerView
from cluster.model.task import Task
from cluster.model.task_state import TaskState


class Step(enum.Enum):
    """What a runner does next."""

    PREPARE = "prepare"  # fetch the image, create the container
    HOLD = "hold"  # prepared: wait until the task is desired running
    START = "start"
    AWAIT_HEALTH = "await health"  # it runs: wait for its health check
    TELL_RUNNING = "tell running"
    WATCH = "watch"  # wait until the container changes
    TELL_END = "tell end"  # the container ended: complete or failed
    STOP = "stop"  # stop signal, grace period, kill
    STOP_UNHEALTHY = "stop unhealthy"  # the same, and the task has failed
    REMOVE = "remove"  # take the container away
    TELL_SHUTDOWN = "tell shutdown"
    REST = "rest"  # nothing to do until the assignment or the container changes


class Stage(enum.Enum):
    """A task's observed state, as far as the next step depends on it."""

    BEFORE = "before ready"
    READY = "ready"
    STARTING = "starting"
    RUNNING = "running"
    OVER = "over"


class Wish(enum.Enum):
    """A task's desired state."""

    READY = "ready"
    RUNNING = "running"
    SHUTDOWN = "shutdown"
    REMOVE = "remove"


class Sight(enum.Enum):
    """What the container does."""

    ABSENT = "absent"
    CREATED = "created"
    UNSURE = "unsure"  # runs, the health check has not answered
    RUNS = "runs"
    UNHEALTHY = "unhealthy"
    ENDED = "ended"


class Outcome(NamedTuple):
    """A state to report, with its message and error; None leaves the message as it was."""

    state: TaskState
    message: str | None
    error: str


def next_step(state: TaskState, desired: TaskState, view: ContainerView | None) -> Step:
    """Look up what to do for a task.

    Args:
        state: the task's observed state, ASSIGNED or later.
        desired: what the orchestrator wants.
        view: the container as last seen, None when there is none.
    """
    return TABLE[_stage(state), _wish(desired), _sight(view)]


def _rows(
    stages: Iterable[Stage], wishes: Iterable[Wish], **steps: Step
) -> dict[tuple[Stage, Wish, Sight], Step]:
    sights = {Sight[name.upper()]: step for name, step in steps.items()}
    assert len(sights) == len(Sight)
    return {(t, w, s): step for t in stages for w in wishes for s, step in sights.items()}


_T, _W, _S = Stage, Wish, Step
_WANTED = (_W.READY, _W.RUNNING)
_ALIVE = (_T.BEFORE, _T.READY, _T.STARTING, _T.RUNNING)

TABLE: Mapping[tuple[Stage, Wish, Sight], Step] = {
    # A container further on than the state says was made by an earlier life of the agent, which
    # did not live to note it: the container counts.
    **_rows(
        (_T.BEFORE,),
        _WANTED,
        absent=_S.PREPARE,
        created=_S.PREPARE,
        unsure=_S.AWAIT_HEALTH,
        runs=_S.TELL_RUNNING,
        unhealthy=_S.STOP_UNHEALTHY,
        ended=_S.TELL_END,
    ),
    **_rows(
        (_T.READY,),
        (_W.READY,),
        absent=_S.PREPARE,
        created=_S.HOLD,
        unsure=_S.AWAIT_HEALTH,
        runs=_S.TELL_RUNNING,
        unhealthy=_S.STOP_UNHEALTHY,
        ended=_S.TELL_END,
    ),
    **_rows(
        (_T.READY,),
        (_W.RUNNING,),
        absent=_S.PREPARE,
        created=_S.START,
        unsure=_S.AWAIT_HEALTH,
        runs=_S.TELL_RUNNING,
        unhealthy=_S.STOP_UNHEALTHY,
        ended=_S.TELL_END,
    ),
    **_rows(
        (_T.STARTING,),
        _WANTED,
        absent=_S.TELL_END,
        created=_S.START,
        unsure=_S.AWAIT_HEALTH,
        runs=_S.TELL_RUNNING,
        unhealthy=_S.STOP_UNHEALTHY,
        ended=_S.TELL_END,
    ),
    # A task is one attempt: what ran once is never started again.
    **_rows(
        (_T.RUNNING,),
        _WANTED,
        absent=_S.TELL_END,
        created=_S.TELL_END,
        unsure=_S.WATCH,
        runs=_S.WATCH,
        unhealthy=_S.STOP_UNHEALTHY,
        ended=_S.TELL_END,
    ),
    **_rows(
        _ALIVE,
        (_W.SHUTDOWN,),
        absent=_S.TELL_SHUTDOWN,
        created=_S.TELL_SHUTDOWN,
        unsure=_S.STOP,
        runs=_S.STOP,
        unhealthy=_S.STOP,
        ended=_S.TELL_SHUTDOWN,
    ),
    # Its ports and its name are free only once it is gone, so that is told last.
    **_rows(
        _ALIVE,
        (_W.REMOVE,),
        absent=_S.TELL_SHUTDOWN,
        created=_S.REMOVE,
        unsure=_S.STOP,
        runs=_S.STOP,
        unhealthy=_S.STOP,
        ended=_S.REMOVE,
    ),
    # A stopped container stays for its logs until its task leaves the set; one that runs though
    # its task is over (somebody started it by hand) would be a duplicate.
    **_rows(
        (_T.OVER,),
        (*_WANTED, _W.SHUTDOWN),
        absent=_S.REST,
        created=_S.REST,
        unsure=_S.STOP,
        runs=_S.STOP,
        unhealthy=_S.STOP,
        ended=_S.REST,
    ),
    **_rows(
        (_T.OVER,),
        (_W.REMOVE,),
        absent=_S.REST,
        created=_S.REMOVE,
        unsure=_S.STOP,
        runs=_S.STOP,
        unhealthy=_S.STOP,
        ended=_S.REMOVE,
    ),
}
"""Every case: (stage, wish, sight) -> step."""


def is_waiting(step: Step) -> bool:
    """Whether the step is to wait for a change of the assignment or of the container."""
    return step in {Step.HOLD, Step.AWAIT_HEALTH, Step.WATCH, Step.REST}


def before(step: Step, state: TaskState) -> tuple[Outcome, ...]:
    """Return what to report when a step begins, in this order; lower states are left out."""
    outcomes: tuple[Outcome, ...] = ()
    match step:
        case Step.PREPARE:
            outcomes = (
                Outcome(TaskState.ACCEPTED, "accepted", ""),
                Outcome(TaskState.PREPARING, "preparing", ""),
            )
        case Step.START | Step.AWAIT_HEALTH:
            outcomes = (Outcome(TaskState.STARTING, "starting", ""),)
        case _:
            pass
    return tuple(outcome for outcome in outcomes if outcome.state > state)


def when_done(step: Step, view: ContainerView | None) -> Outcome | None:
    """Return what to report when a step has succeeded, None when nothing follows from it."""
    match step:
        case Step.PREPARE:
            return Outcome(TaskState.READY, "prepared", "")
        case Step.TELL_RUNNING:
            return Outcome(TaskState.RUNNING, "started", "")
        case Step.TELL_END:
            return how_it_ended(view)
        case Step.STOP_UNHEALTHY:
            return _unhealthy(view)
        case Step.TELL_SHUTDOWN:
            return Outcome(TaskState.SHUTDOWN, "shutdown", "")
        case _:
            return None


def when_failed(step: Step, error: str) -> Outcome | None:
    """Return what to report when a step has failed for good; None when the step must succeed."""
    match step:
        case Step.PREPARE:
            return Outcome(TaskState.REJECTED, None, error)
        case Step.START:
            return Outcome(TaskState.FAILED, None, f"starting container failed: {error}")
        case _:
            return None


def how_it_ended(view: ContainerView | None) -> Outcome:
    """Tell complete from failed."""
    if view is None or view.exit_code is None:
        return Outcome(TaskState.FAILED, None, "task: the container is gone")
    if view.exit_code == 0:
        return Outcome(TaskState.COMPLETE, "finished", "")
    return Outcome(TaskState.FAILED, None, _non_zero_exit(view.exit_code, view.cause))


def is_interrupted(step: Step, task: Task) -> bool:
    """Whether the newest assignment makes it pointless to go on with the step."""
    return step is Step.PREPARE and not task.is_wanted


def _unhealthy(view: ContainerView | None) -> Outcome:
    code = view.exit_code if view is not None and view.exit_code is not None else 137
    return Outcome(TaskState.FAILED, None, _non_zero_exit(code, "dockerexec: unhealthy container"))


def _non_zero_exit(code: int, cause: str) -> str:
    return f"task: non-zero exit ({code}): {cause}" if cause else f"task: non-zero exit ({code})"


def _stage(state: TaskState) -> Stage:
    if state < TaskState.READY:
        return Stage.BEFORE
    if state.is_terminal:
        return Stage.OVER
    return {
        TaskState.READY: Stage.READY,
        TaskState.STARTING: Stage.STARTING,
        TaskState.RUNNING: Stage.RUNNING,
    }[state]


def _wish(desired: TaskState) -> Wish:
    if desired <= TaskState.READY:
        return Wish.READY
    if desired <= TaskState.COMPLETE:  # a job is desired COMPLETE, and runs until it is
        return Wish.RUNNING
    return Wish.REMOVE if desired >= TaskState.REMOVE else Wish.SHUTDOWN


def _sight(view: ContainerView | None) -> Sight:
    if view is None:
        return Sight.ABSENT
    match view.phase:
        case "created":
            return Sight.CREATED
        case "ended":
            return Sight.ENDED
        case "removed":
            return Sight.ABSENT
        case "running":
            return {
                "none": Sight.RUNS,
                "healthy": Sight.RUNS,
                "starting": Sight.UNSURE,
                "unhealthy": Sight.UNHEALTHY,
            }[view.health]
