"""The ports through which the agent knows what runs containers; it never meets an engine itself.

Errors are those of `cluster.errors`, told apart by what the agent can do: `Unavailable` is tried
again after a pause (the engine is away or busy), any other `ClusterError` ends the task.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Literal, Protocol

from cluster.model.endpoint import PortConfig
from cluster.model.ids import TaskId
from cluster.model.logs import LogLine, LogOptions
from cluster.model.node import NodeDescription
from cluster.model.task import Task

Phase = Literal["created", "running", "ended", "removed"]
Health = Literal["none", "starting", "healthy", "unhealthy"]


class ContainerView(Protocol):
    """What was last seen of a task's container."""

    @property
    def container_id(self) -> str:
        """The engine's ID of the container."""
        ...

    @property
    def phase(self) -> Phase:
        """Where its life has come to; `removed` means that someone took it away."""
        ...

    @property
    def health(self) -> Health:
        """What its health check says; `none` without one."""
        ...

    @property
    def pid(self) -> int:
        """Process ID of its first process, 0 unless it runs."""
        ...

    @property
    def exit_code(self) -> int | None:
        """How it ended, None while it has not or when nobody saw it."""
        ...

    @property
    def cause(self) -> str:
        """Why it ended, beyond the exit code; empty when nothing more is known."""
        ...

    @property
    def ports(self) -> Sequence[PortConfig]:
        """Ports of the host as the engine bound them."""
        ...


class TaskController(Protocol):
    """One task's container.  Every verb may be repeated: it does only what is still missing."""

    @property
    def seen(self) -> ContainerView | None:
        """The container as last seen, None when there is none."""
        ...

    async def examine(self) -> None:
        """Find the container of an earlier life of this process, and see what it does.

        Waits for the engine when it is away.
        """
        ...

    async def prepare(self) -> None:
        """Fetch the image and create the container.

        Raises:
            Unavailable: try again.
            ClusterError: the task cannot be prepared here; the message says why.
        """
        ...

    async def start(self) -> None:
        """Start the created container and look at it.

        Raises:
            Unavailable: try again.
            ClusterError: the engine cannot start it; the message says why.
        """
        ...

    async def shutdown(self) -> None:
        """Stop the container: its stop signal, then after the task's grace period a kill.

        Raises:
            Unavailable: it may still run; try again.
        """
        ...

    async def remove(self) -> None:
        """Remove the container with its anonymous volumes.

        Raises:
            Unavailable: it may still be there; try again.
        """
        ...

    def close(self) -> None:
        """Forget the task; nothing else is called after."""
        ...


class Executor(Protocol):
    """Turns tasks into containers on this node."""

    async def describe(self) -> NodeDescription:
        """Describe this node, without the TLS part.

        Raises:
            Unavailable: the engine is away.
        """
        ...

    def controller(self, task: Task, on_change: Callable[[], None]) -> TaskController:
        """Return the controller of a task.

        Args:
            task: as assigned; what the container is made from never changes.
            on_change: called, in the event loop, whenever `seen` may have changed.
        """
        ...

    def log(self, task: Task, options: LogOptions) -> AsyncGenerator[list[LogLine], None]:
        """Iterate over what a task's container printed, as many lines at a time as have come.

        Raises:
            ClusterError: from the iterator: the log cannot be read; the message says why.
        """
        ...

    async def sweep(self, keep: Callable[[TaskId], bool]) -> None:
        """Remove this cluster's containers and files whose task `keep` does not want.

        Raises:
            ClusterError: some may be left; try again.
        """
        ...
