"""Owns the task runners and brings them to the assignment set; needs no manager to go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import structlog

from cluster.agent.assignments import apply
from cluster.agent.attached_files import AttachedFiles
from cluster.agent.executor import Executor
from cluster.agent.local_state import LocalState, Snapshot
from cluster.agent.networks import Acknowledge, Networks
from cluster.agent.reporter import Reporter
from cluster.agent.task_runner import TaskRunner
from cluster.clock import Clock
from cluster.errors import ClusterError
from cluster.model.ids import TaskId
from cluster.model.logs import LogLine, LogOptions
from cluster.model.task import Task, TaskStatus
from cluster.rpc.messages import AssignmentsMessage, ManagerAddress, TaskStatusUpdate

log = structlog.get_logger(__name__)

RETRY_PAUSE_S = 1.0  # before a step that the engine could not take is tried again


class Worker:
    """The tasks of this node."""

    def __init__(
        self,
        executor: Executor,
        local_state: LocalState,
        clock: Clock,
        files: AttachedFiles,
        networks: Networks,
        retry_pause_s: float = RETRY_PAUSE_S,
    ) -> None:
        """Read what the last life of this process left behind; `run` goes on with it.

        Raises:
            FatalStorageError: the local state cannot be read.
        """
        self._executor = executor
        self._local_state = local_state
        self._clock = clock
        self._files = files
        self._networks = networks
        self._retry_pause_s = retry_pause_s
        self.reporter = Reporter()
        self._runners: dict[TaskId, TaskRunner] = {}
        self._leaving: dict[TaskId, TaskRunner] = {}
        self._sweep_due = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_dropping = False  # what is assigned any more is not taken
        self._group: asyncio.TaskGroup | None = None
        snapshot = local_state.load()
        self._tasks = {task.id: task for task in snapshot.tasks}
        self._restored = {update.task_id: update.status for update in snapshot.statuses}
        self._managers = snapshot.managers

    @property
    def managers(self) -> Sequence[ManagerAddress]:
        """The managers of the cluster, as last heard of."""
        return self._managers

    @property
    def tasks(self) -> dict[TaskId, Task]:
        """The assigned tasks; read only."""
        return self._tasks

    def task(self, task_id: TaskId) -> Task | None:
        """Return the assigned task of that ID, or None."""
        return self._tasks.get(task_id)

    async def run(self) -> None:
        """Run the tasks until cancelled; their containers then stay as they are."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._local_state.run(), name="local state")
            group.create_task(self._sweep_when_due(), name="sweep")
            group.create_task(self._networks.run(), name="networks")
            for task in self._tasks.values():
                self._start(task, self._restored.get(task.id))
            self._restored = {}

    def apply(self, message: AssignmentsMessage) -> None:
        """Bring the runners to what the dispatcher sent; `run` must be running."""
        if self._is_dropping:
            return
        self._files.apply(message)
        self._networks.take(message)
        difference = apply(self._tasks, message)
        self._tasks = dict(difference.tasks)
        for task_id in difference.removed:
            self._dismiss(task_id)
        for task in difference.updated:
            self._runners[task.id].update(task)
        for task in difference.started:
            self._start(task, None)
        if message.is_complete:
            self._sweep_due.set()
        if difference.started or difference.updated or difference.removed:
            self._changed()

    def log(self, task: Task, options: LogOptions) -> AsyncGenerator[list[LogLine], None]:
        """Read a task's log; as `Executor.log`."""
        return self._executor.log(task, options)

    async def acknowledge_views(self, tell: Acknowledge) -> None:
        """Tell a manager how far the networks are; as `Networks.acknowledge`."""
        await self._networks.acknowledge(tell)

    def learn_managers(self, managers: Sequence[ManagerAddress]) -> None:
        """Remember where managers are, also over a restart."""
        if managers and tuple(managers) != self._managers:
            self._managers = tuple(managers)
            self._changed()

    async def drop_all(self, patience_s: float) -> None:
        """Stop and remove every container, as the node leaves the cluster; `run` must be running.

        Args:
            patience_s: seconds; containers that have not ended by then are removed as they are.
        """
        self._is_dropping = True
        self._networks.part()
        for task_id in list(self._runners):
            self._dismiss(task_id)
        self._tasks = {}
        self._managers = ()
        self._files.forget()
        self._changed()
        self._note_idle()
        had_tasks = bool(self._leaving)
        try:
            async with asyncio.timeout(patience_s):
                await self._is_idle.wait()
        except TimeoutError:
            log.warning("containers are removed before they have ended", seconds=patience_s)
        if had_tasks:
            await self._sweep_all()
        try:
            await self._networks.leave()
        except ClusterError as error:
            log.warning("the network process keeps its networks", error=str(error))

    async def _sweep_all(self) -> None:
        """Remove what the engine was still making for tasks that were called off."""
        for pause_s in (0, self._retry_pause_s):
            await asyncio.sleep(pause_s)
            try:
                await self._executor.sweep(lambda _: False)
            except ClusterError as error:
                log.warning("containers are left behind", error=str(error))

    def _start(self, task: Task, status: TaskStatus | None) -> None:
        assert self._group is not None
        runner = TaskRunner(
            task,
            self._executor,
            self._report,
            self._clock,
            status=status,
            retry_pause_s=self._retry_pause_s,
            until_drained=self._networks.until_drained,
        )
        self._runners[task.id] = runner
        if status is not None:
            self.reporter.report(task.id, runner.status)
        before = self._leaving.get(task.id)
        self._group.create_task(self._drive(runner, before), name=f"task {task.id}")

    async def _drive(self, runner: TaskRunner, before: TaskRunner | None) -> None:
        if before is not None:  # a task that left the set and came back
            await before.ended.wait()
        await runner.run()
        task_id = runner.task.id
        self._networks.forget(task_id)
        if self._leaving.get(task_id) is runner:
            del self._leaving[task_id]
        self._note_idle()

    def _dismiss(self, task_id: TaskId) -> None:
        runner = self._runners.pop(task_id)
        self.reporter.forget(task_id)
        if runner.ended.is_set():  # it broke: nobody looks after its container any more
            self._sweep_due.set()
            return
        self._leaving[task_id] = runner
        runner.dismiss()

    def _report(self, task_id: TaskId, status: TaskStatus) -> None:
        if task_id in self._runners:
            self.reporter.report(task_id, status)
            self._changed()

    def _changed(self) -> None:
        self._local_state.changed(self._snapshot)

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            tasks=tuple(self._tasks.values()),
            statuses=tuple(
                TaskStatusUpdate(task_id=task_id, status=status)
                for task_id, status in self.reporter.newest.items()
            ),
            managers=tuple(self._managers),
        )

    def _note_idle(self) -> None:
        if self._runners or self._leaving:
            self._is_idle.clear()
        else:
            self._is_idle.set()

    async def _sweep_when_due(self) -> None:
        """Remove containers of tasks that left while this process was not there to see it."""
        while True:
            await self._sweep_due.wait()
            self._sweep_due.clear()
            try:
                await self._executor.sweep(self._is_known)
            except ClusterError as error:
                log.warning("leftover containers stay for now", error=str(error))
                self._sweep_due.set()
                await asyncio.sleep(self._retry_pause_s)

    def _is_known(self, task_id: TaskId) -> bool:
        return task_id in self._runners or task_id in self._leaving
