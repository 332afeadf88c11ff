"""An `Executor` in memory, for agents without an engine; tests say what its containers do."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Callable
from typing import Literal

from cluster.errors import ClusterError, NotFound, Unavailable
from cluster.model.endpoint import PortConfig
from cluster.model.ids import TaskId
from cluster.model.logs import LogLine, LogOptions
from cluster.model.node import NodeDescription
from cluster.model.task import Task

Phase = Literal["created", "running", "ended", "removed"]
Health = Literal["none", "starting", "healthy", "unhealthy"]


@dataclasses.dataclass(frozen=True)
class FakeView:
    """A container as the agent sees it."""

    container_id: str
    phase: Phase
    health: Health = "none"
    pid: int = 0
    exit_code: int | None = None
    cause: str = ""
    ports: tuple[PortConfig, ...] = ()


class FakeExecutor:
    """Containers that live in a dictionary and outlive the controllers, as an engine's do."""

    def __init__(self) -> None:
        self.description = NodeDescription(hostname="fake")
        self.views: dict[TaskId, FakeView] = {}
        self.calls: list[tuple[str, TaskId]] = []
        self.is_away = False
        self.prepare_errors: dict[TaskId, ClusterError] = {}
        self.start_errors: dict[TaskId, ClusterError] = {}
        self.pulls: dict[TaskId, asyncio.Event] = {}  # prepare waits until it is set
        self.health_after_start: Health = "none"
        self.stop_exit_code = 137
        self.obstinate: set[TaskId] = set()  # whose containers do not end when they are told to
        self.listeners: dict[TaskId, Callable[[], None]] = {}
        self.printed: dict[TaskId, list[LogLine]] = {}  # what containers have printed
        self._made = 0

    async def describe(self) -> NodeDescription:
        self.check()
        return self.description

    async def until_away(self) -> None:
        while not self.is_away:
            await asyncio.sleep(0.001)

    def controller(self, task: Task, on_change: Callable[[], None]) -> FakeController:
        self.listeners[task.id] = on_change
        return FakeController(self, task, on_change)

    async def log(self, task: Task, options: LogOptions) -> AsyncGenerator[list[LogLine], None]:
        self.check()
        if task.id not in self.printed:
            raise NotFound(f"no such container: {task.container_name}")
        for line in self.printed[task.id]:
            if line.timestamp >= options.since:
                yield [line]
        if options.is_followed:
            await asyncio.Event().wait()

    async def sweep(self, keep: Callable[[TaskId], bool]) -> None:
        self.check()
        for task_id in list(self.views):
            if not keep(task_id):
                self.calls.append(("sweep", task_id))
                del self.views[task_id]

    # ---- what a test does to the containers

    def change(self, task_id: TaskId, **members: object) -> None:
        """Change a container behind the agent's back, and let the agent know."""
        self.put(task_id, dataclasses.replace(self.views[task_id], **members))

    def end(self, task_id: TaskId, exit_code: int) -> None:
        """Let a container end."""
        self.change(task_id, phase="ended", exit_code=exit_code, pid=0)

    def put(self, task_id: TaskId, view: FakeView) -> None:
        """Put a container there."""
        self.views[task_id] = view
        if task_id in self.listeners:
            self.listeners[task_id]()

    def check(self) -> None:
        """Fail as an engine that cannot be reached."""
        if self.is_away:
            raise Unavailable("the engine is away")

    def new_container_id(self) -> str:
        """Name a container."""
        self._made += 1
        return f"container{self._made}"


class FakeController:
    """One task's container."""

    def __init__(self, executor: FakeExecutor, task: Task, on_change: Callable[[], None]) -> None:
        self._executor = executor
        self._id = task.id
        self._on_change = on_change

    def close(self) -> None:
        if self._executor.listeners.get(self._id) == self._on_change:
            del self._executor.listeners[self._id]

    @property
    def seen(self) -> FakeView | None:
        return self._executor.views.get(self._id)

    async def examine(self) -> None:
        while self._executor.is_away:
            await asyncio.sleep(0)

    async def prepare(self) -> None:
        executor = self._executor
        executor.check()
        executor.calls.append(("prepare", self._id))
        if self._id in executor.pulls:
            await executor.pulls[self._id].wait()
        if self._id in executor.prepare_errors:
            raise executor.prepare_errors[self._id]
        if self.seen is None or self.seen.phase == "removed":
            executor.put(self._id, FakeView(executor.new_container_id(), "created"))

    async def start(self) -> None:
        executor = self._executor
        executor.check()
        executor.calls.append(("start", self._id))
        if self._id in executor.start_errors:
            raise executor.start_errors[self._id]
        if self.seen is None:
            raise NotFound("the container is gone")
        executor.change(self._id, phase="running", pid=42, health=executor.health_after_start)

    async def shutdown(self) -> None:
        executor = self._executor
        executor.check()
        executor.calls.append(("shutdown", self._id))
        if self._id in executor.obstinate:
            await asyncio.Event().wait()
        if self.seen is not None and self.seen.phase == "running":
            executor.end(self._id, executor.stop_exit_code)

    async def remove(self) -> None:
        executor = self._executor
        executor.check()
        executor.calls.append(("remove", self._id))
        executor.views.pop(self._id, None)
