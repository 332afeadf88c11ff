"""An `Executor` that starts nothing: its containers run as soon as they are asked to.

For measuring the control plane alone, and for as many nodes as a machine has memory for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace

from cluster.agent.executor import Health, Phase
from cluster.model.endpoint import PortConfig
from cluster.model.ids import TaskId
from cluster.model.logs import LogLine, LogOptions
from cluster.model.node import EngineDescription, EnginePlugin, NodeDescription
from cluster.model.placement import Platform
from cluster.model.resources import Resources
from cluster.model.task import Task

GIB = 1 << 30


@dataclass(frozen=True)
class IdleContainer:
    """A container as the agent sees it."""

    container_id: str
    phase: Phase = "created"
    health: Health = "none"
    pid: int = 0
    exit_code: int | None = None
    cause: str = ""
    ports: tuple[PortConfig, ...] = ()


class IdleExecutor:
    """Satisfies the agent's `Executor` port, and that of a described node."""

    def __init__(self, hostname: str) -> None:
        self._description = NodeDescription(
            hostname=hostname,
            platform=Platform(architecture="x86_64", os="linux"),
            resources=Resources(nano_cpus=64_000_000_000, memory_bytes=256 * GIB),
            engine=EngineDescription(
                engine_version="20.10.24", plugins=(EnginePlugin(type="Log", name="json-file"),)
            ),
        )

    async def describe(self) -> NodeDescription:
        return self._description

    async def until_away(self) -> None:
        await asyncio.Event().wait()

    def controller(self, task: Task, on_change: Callable[[], None]) -> IdleController:
        return IdleController(task.id, on_change)

    async def log(self, task: Task, options: LogOptions) -> AsyncGenerator[list[LogLine], None]:
        del task
        if options.is_followed:
            await asyncio.Event().wait()
        return
        yield []

    async def sweep(self, keep: Callable[[TaskId], bool]) -> None:
        del keep  # nothing outlives its controller


class IdleController:
    """One task's container."""

    def __init__(self, task_id: TaskId, on_change: Callable[[], None]) -> None:
        self._id = task_id
        self._on_change = on_change
        self.seen: IdleContainer | None = None

    def close(self) -> None:
        self.seen = None

    async def examine(self) -> None:
        pass

    async def prepare(self) -> None:
        self._become(IdleContainer(container_id=self._id))

    async def start(self) -> None:
        assert self.seen is not None
        self._become(replace(self.seen, phase="running", pid=1))

    async def shutdown(self) -> None:
        if self.seen is not None and self.seen.phase != "ended":
            self._become(replace(self.seen, phase="ended", exit_code=143, pid=0))

    async def remove(self) -> None:
        self._become(None)

    def _become(self, container: IdleContainer | None) -> None:
        self.seen = container
        self._on_change()
