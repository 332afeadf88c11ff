"""Drives one task: asks the machine for the next step, lets the controller take it, and reports."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from cluster.agent.executor import Executor
from cluster.agent.task_machine import (
    Outcome,
    Step,
    before,
    is_interrupted,
    is_waiting,
    next_step,
    when_done,
    when_failed,
)
from cluster.clock import Clock
from cluster.errors import ClusterError, Unavailable
from cluster.model.ids import TaskId
from cluster.model.task import ContainerStatus, Task, TaskStatus
from cluster.model.task_state import TaskState

log = structlog.get_logger(__name__)

Report = Callable[[TaskId, TaskStatus], None]


class TaskRunner:
    """One task of this node, until it is dismissed and its container is gone."""

    def __init__(
        self,
        task: Task,
        executor: Executor,
        report: Report,
        clock: Clock,
        *,
        status: TaskStatus | None = None,
        retry_pause_s: float,
        until_drained: Callable[[Task], Awaitable[None]],
    ) -> None:
        """Make a runner; `run` does the work.

        Args:
            task: as assigned.
            executor: runs the container.
            report: told of every new status.
            clock: for the timestamps of statuses.
            status: what an earlier life of this process last observed; the further one of it and
                the manager's counts.
            retry_pause_s: how long to wait before a step is tried again.
            until_drained: waits until nobody opens connections to a task that is to end.
        """
        self._task = task
        self._status = task.status
        if status is not None and status.state >= task.status.state:
            self._status = status
        self._report = report
        self._clock = clock
        self._retry_pause_s = retry_pause_s
        self._until_drained = until_drained
        self._is_dismissed = False
        self._wake = asyncio.Event()
        self.ended = asyncio.Event()  # set once `run` has come to its end
        self._preparing: asyncio.Task[ClusterError | None] | None = None
        self._controller = executor.controller(task, self._wake.set)

    @property
    def task(self) -> Task:
        """The task as last assigned."""
        return self._task

    @property
    def status(self) -> TaskStatus:
        """The newest observed status."""
        return self._status

    def update(self, task: Task) -> None:
        """Take a newer assignment; what the manager decided about the state counts if higher."""
        if task.desired_state < self._task.desired_state:
            task = msgspec.structs.replace(task, desired_state=self._task.desired_state)
        self._task = task
        if task.status.state > self._status.state:
            self._status = task.status
        self._wake.set()
        if self._preparing is not None and is_interrupted(Step.PREPARE, task):
            self._preparing.cancel()

    def dismiss(self) -> None:
        """Stop and remove the container, then end: the task left the node's set."""
        self._is_dismissed = True
        self.update(msgspec.structs.replace(self._task, desired_state=TaskState.REMOVE))

    async def run(self) -> None:
        """Drive the task until it is dismissed and its container is gone."""
        try:
            await self._examine()
            while not (self._next() is Step.REST and self._is_dismissed):
                await self._take(self._next())
            self._controller.close()
        except Exception as bug:  # the root of one task must not end the others
            log.exception("task runner broke", task=self._task.id)
            self._tell(
                Outcome(TaskState.FAILED, None, f"agent: internal error: {type(bug).__name__}")
            )
            await self._stop_after_bug()
        finally:
            self.ended.set()

    async def _stop_after_bug(self) -> None:
        """Stop the container: the task counts as failed, and another takes its place."""
        try:
            while isinstance(error := await self._act(Step.STOP), Unavailable):
                await self._pause(Step.STOP.value, error)
            if self._is_dismissed:
                error = await self._act(Step.REMOVE)
        except Exception:
            log.exception("container may still run", task=self._task.id)
        else:
            if error is not None:
                log.warning("container may still run", task=self._task.id, error=str(error))

    async def _examine(self) -> None:
        while True:
            try:
                return await self._controller.examine()
            except ClusterError as error:
                await self._pause("examine", error)

    def _next(self) -> Step:
        return next_step(self._status.state, self._task.desired_state, self._controller.seen)

    async def _take(self, step: Step) -> None:
        self._wake.clear()
        for news in before(step, self._status.state):
            self._tell(news)
        if step is Step.STOP_UNHEALTHY:
            self._tell_unhealthy()
        if is_waiting(step):
            await self._wake.wait()
            return
        error = await self._act(step)
        outcome = when_done(step, self._controller.seen)
        if error is not None:
            outcome = None if isinstance(error, Unavailable) else when_failed(step, str(error))
            if outcome is None:
                self._tell_why_it_waits(error)
                await self._pause(step.value, error)
        if outcome is not None:
            self._tell(outcome)

    async def _act(self, step: Step) -> ClusterError | None:
        try:
            match step:
                case Step.PREPARE:
                    return await self._prepare()
                case Step.START:
                    await self._controller.start()
                case Step.STOP | Step.STOP_UNHEALTHY:
                    if self._status.state is TaskState.RUNNING:
                        await self._until_drained(self._task)
                    await self._controller.shutdown()
                case Step.REMOVE:
                    await self._controller.remove()
                case _:
                    pass
        except ClusterError as error:
            return error
        return None

    async def _prepare(self) -> ClusterError | None:
        """Prepare, unless the task is unwanted before that is done: an image can take minutes."""

        async def attempt() -> ClusterError | None:
            try:
                await self._controller.prepare()
            except ClusterError as error:
                return error
            return None

        async with asyncio.TaskGroup() as group:
            self._preparing = group.create_task(attempt())
            try:
                await asyncio.wait({self._preparing})
                if self._preparing.cancelled():
                    return Interrupted()
                return self._preparing.result()
            finally:
                self._preparing = None

    async def _pause(self, what: str, error: ClusterError) -> None:
        if isinstance(error, Interrupted):
            return
        log.warning("step is tried again", task=self._task.id, step=what, error=str(error))
        await asyncio.sleep(self._retry_pause_s)

    def _tell_why_it_waits(self, error: ClusterError) -> None:
        """Let a task that does not run yet say what it waits for; nothing is news twice."""
        text = str(error)
        if isinstance(error, Interrupted) or self._status.state >= TaskState.RUNNING:
            return
        if text != self._status.error:
            self._status = msgspec.structs.replace(self._status, error=text)
            self._report(self._task.id, self._status)

    def _tell_unhealthy(self) -> None:
        """Let a task that runs be sent no more connections, while it is being stopped."""
        if self._status.state is TaskState.RUNNING and not self._status.is_unhealthy:
            self._status = msgspec.structs.replace(self._status, is_unhealthy=True)
            self._report(self._task.id, self._status)

    def _tell(self, outcome: Outcome) -> None:
        if outcome.state <= self._status.state:
            return
        view = self._controller.seen
        container = self._status.container
        if view is not None:
            container = ContainerStatus(
                container_id=view.container_id, pid=view.pid, exit_code=view.exit_code or 0
            )
        self._status = TaskStatus(
            state=outcome.state,
            timestamp=self._clock.now(),
            message=self._status.message if outcome.message is None else outcome.message,
            error=outcome.error,
            container=container,
            ports=tuple(view.ports) if view is not None and not outcome.state.is_terminal else (),
        )
        if outcome.error:
            log.info("task ended badly", task=self._task.id, error=outcome.error)
        self._report(self._task.id, self._status)


class Interrupted(Unavailable):
    """The newest assignment made the step pointless."""
