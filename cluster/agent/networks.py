"""What this node knows of the cluster's networks, and how far its network process has come with it.

A manager sends the view in pieces; the network process gets all of it, again and again until it
has taken it.  A container waits until the process knows its networks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import structlog

from cluster.errors import ClusterError, Unavailable
from cluster.model.ids import NetworkId, TaskId
from cluster.model.network_view import NetworkView, NodeView
from cluster.model.network_view_change import ViewChange, merge
from cluster.model.task import Task
from cluster.rpc.messages import AssignmentsMessage

log = structlog.get_logger(__name__)

RETRY_PAUSE_S = 2.0

KNOWN_PATIENCE_S = 30.0
"""How long a task waits for its networks before its status says so; it is tried again."""

DRAIN_PATIENCE_S = 10.0
"""How long a task that is to stop waits until no node opens connections to it any more.

Nodes that are known to be down are not waited for.  So this is only for those that fell silent a
moment ago, and for a leader that did: long enough for nodes that are merely busy.
"""

PARTING_PATIENCE_S = 2.0
"""The same where the node has said goodbye: managers tell the other nodes, and this one nothing."""

Acknowledge = Callable[[int, tuple[NetworkId, ...]], Awaitable[None]]
"""Tells the manager that the view of a revision is applied, but for these networks."""

IsWanted = Callable[[NetworkId], bool]
"""Whether a network is in this node's view; it may change at any time."""


class NetworkProcess(Protocol):
    """The process that makes the kernel look like the view."""

    def is_there(self) -> bool:
        """Whether this node has one."""
        ...

    async def put_view(self, view: NodeView) -> Mapping[str, str]:
        """Apply a view; return once that is done.

        Returns:
            What could not be done of it, by network ID or another word for the place.

        Raises:
            ClusterError: it is not applied; try again.
        """
        ...

    async def view(self) -> NodeView | None:
        """Return the view that was applied last, None if none was.

        Raises:
            ClusterError: the process does not answer; try again.
        """
        ...

    async def until_gone(self) -> None:
        """Wait until the process that is there now ends.

        Raises:
            ClusterError: there is none.
        """
        ...


class TidyUp(Protocol):
    """Removes what the node's engine keeps of networks that are not in the view any more."""

    async def __call__(self, is_wanted: IsWanted) -> None:
        """Remove it; each network is asked for right before it would go.

        Raises:
            ClusterError: some is left; it is tried again.
        """
        ...


class Networks:
    """The node's view, the applied part of it, and the tasks that are drained."""

    def __init__(
        self,
        process: NetworkProcess,
        tidy_up: TidyUp,
        *,
        retry_pause_s: float = RETRY_PAUSE_S,
        known_patience_s: float = KNOWN_PATIENCE_S,
    ) -> None:
        """Begin with nothing known; `run` does the work."""
        self._process = process
        self._tidy_up = tidy_up
        self._retry_pause_s = retry_pause_s
        self._known_patience_s = known_patience_s
        self._view: NodeView | None = None
        self._applied: NodeView | None = None
        self._problems: Mapping[str, str] = {}  # of the applied view, by network or place
        self._is_to_tidy = asyncio.Event()
        self._was_there = False  # a process that was here once is only away for a moment
        self._is_unsent = False  # there was no process yet to take the view
        # the newest revision that was applied since `run` began, and the networks that were not
        self._acknowledged: tuple[int, tuple[NetworkId, ...]] = (0, ())
        self._drained: dict[TaskId, asyncio.Event] = {}
        self._drain_patience_s = DRAIN_PATIENCE_S
        self._changed = asyncio.Event()
        self._progress = asyncio.Event()

    def is_there(self) -> bool:
        """Whether tasks of this node can be in the cluster's networks."""
        return self._process.is_there()

    def take(self, message: AssignmentsMessage) -> None:
        """Take what a manager sent of the networks."""
        for task_id in message.drained:
            self._drain_event(task_id).set()
        if message.view is not None:
            self.take_view(message.view)

    def take_view(self, change: ViewChange) -> None:
        """Take a change of the view."""
        self._view = merge(self._view, change)
        self._changed.set()

    def forget(self, task_id: TaskId) -> None:
        """Drop what is known of a task that left the node."""
        self._drained.pop(task_id, None)

    def network(self, network_id: NetworkId) -> NetworkView | None:
        """Return a network that the process knows, None if it does not (yet)."""
        networks = _all_networks(self._applied) if self._applied is not None else ()
        return next((network for network in networks if network.id == network_id), None)

    def is_ingress(self, network_id: NetworkId) -> bool:
        """Whether it is the network of published ports."""
        view = self._applied
        return (
            view is not None and view.ingress is not None and view.ingress.network.id == network_id
        )

    async def until_present(self, network_id: NetworkId) -> NetworkView:
        """Wait until the process knows a network, and return it."""
        while True:
            if (network := self.network(network_id)) is not None:
                return network
            self._progress.clear()
            await self._progress.wait()

    def name_of(self, text: str) -> str | None:
        """Return the name of the network of that name or ID, None if this node is not in it."""
        networks = self._applied.networks if self._applied is not None else ()
        return next((n.name for n in networks if text in (n.id, n.name)), None)

    async def until_known(self, task: Task) -> None:
        """Wait until the process knows all networks of a task.

        What came with the task must have been applied: an earlier view may lack a network that
        the applied one still has, and would take it away again.

        Raises:
            Unavailable: it does not within half a minute; the text says which and why, or that the
                process is away.
        """
        newest = self._view.revision if self._view is not None else 0

        def is_known() -> bool:
            applied = self._applied.revision if self._applied is not None else 0
            is_sent = applied >= newest and not self._is_unsent
            return is_sent and not self._missing(task) and not self._failed(task)

        try:
            async with asyncio.timeout(self._known_patience_s):
                while not is_known():
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            raise Unavailable(self._why_unknown(task)) from None

    def _missing(self, task: Task) -> list[NetworkId]:
        return [a.network_id for a in task.networks if self.network(a.network_id) is None]

    def _failed(self, task: Task) -> list[NetworkId]:
        return [a.network_id for a in task.networks if a.network_id in self._problems]

    def _why_unknown(self, task: Task) -> str:
        if not self.is_there():
            return "stack-netd does not run on this node: start it; the task waits for its networks"
        is_behind = self._view is not None and self._view is not self._applied
        if is_behind or self._is_unsent:
            return "stack-netd on this node does not take the task's networks; its log says why"
        if failed := self._failed(task):
            name = self.name_of(failed[0]) or failed[0]
            return (
                f"network {name} is not as it should be on this node: {self._problems[failed[0]]}"
            )
        return f"no manager has told this node of network {', '.join(self._missing(task))} yet"

    def part(self) -> None:
        """Give others a moment only to let go of tasks: the node leaves, and nobody tells it."""
        self._drain_patience_s = PARTING_PATIENCE_S

    async def until_drained(self, task: Task) -> None:
        """Wait until no node opens a connection to a task that is to end, or for a moment."""
        if not task.networks or not self.is_there():
            return
        try:
            async with asyncio.timeout(self._drain_patience_s):
                await self._drain_event(task.id).wait()
        except TimeoutError:
            log.info("task is stopped though nodes may still connect to it", task=task.id)

    async def run(self) -> None:
        """Bring the process to the newest view, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            group.create_task(self._keep_tidy())
            await self._keep_up()

    async def _watch(self) -> None:
        """Send the view again to a process that started anew: it may have lost what it had."""
        while True:
            try:
                await self._process.until_gone()
            except ClusterError:
                await asyncio.sleep(self._retry_pause_s)
            else:
                self._changed.set()

    async def _keep_up(self) -> None:
        await self._adopt()
        while True:
            if not await self._until_changed():
                continue
            view = self._view
            if view is None:
                continue
            is_there = self.is_there()
            self._was_there = self._was_there or is_there
            if self._was_there and not (is_there and await self._apply(view)):
                self._changed.set()
                await asyncio.sleep(self._retry_pause_s)
                continue
            self._is_unsent = not is_there
            self._applied = view
            failed = tuple(n.id for n in _all_networks(view) if n.id in self._problems)
            self._acknowledged = view.revision, failed
            self._progress.set()
            if is_there:
                self._is_to_tidy.set()

    async def leave(self) -> None:
        """Let the process forget everything, as the node leaves the cluster.

        Raises:
            ClusterError: it does not answer.
        """
        self._view = None
        if self.is_there():
            await self._process.put_view(NodeView(own_index=0, own_address=""))

    async def acknowledge(self, tell: Acknowledge) -> None:
        """Tell the manager of every applied view, while a session lasts.

        Raises:
            ClusterError: from `tell`.
        """
        told: tuple[int, tuple[NetworkId, ...]] = (0, ())
        while True:
            applied = self._acknowledged
            if applied != told:
                await tell(*applied)
                told = applied
                continue
            self._progress.clear()
            await self._progress.wait()

    async def _adopt(self) -> None:
        """Know what the process knows, which may have lived longer than this one."""
        if not self.is_there():
            return
        try:
            self._applied = await self._process.view()
        except ClusterError as error:
            log.warning("the network process does not answer", error=str(error))
        self._progress.set()

    async def _apply(self, view: NodeView) -> bool:
        try:
            problems = await self._process.put_view(view)
        except ClusterError as error:
            log.warning("networks stay as they are for now", error=str(error))
            return False
        for where, problem in problems.items():
            if self._problems.get(where) != problem:
                log.warning("network is not as it should be", where=where, problem=problem)
        self._problems = problems
        return True

    async def _until_changed(self) -> bool:
        """Wait for another view, or until the present one is worth another try.

        Returns:
            False early, if there is still no process that takes it.
        """
        _, failed = self._acknowledged
        is_to_look = self._is_unsent or bool(failed)
        try:
            async with asyncio.timeout(self._retry_pause_s if is_to_look else None):
                await self._changed.wait()
        except TimeoutError:
            return self.is_there()
        self._changed.clear()
        return True

    async def _keep_tidy(self) -> None:
        """Remove what no view holds any more, after each view; a container may still need it.

        By itself, so that an engine that hangs holds up no view.
        """
        is_untidy = False
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._retry_pause_s if is_untidy else None):
                    await self._is_to_tidy.wait()
            self._is_to_tidy.clear()
            try:
                await self._tidy_up(self._is_wanted)
            except ClusterError as error:
                if not is_untidy:
                    log.info("leftover networks stay for now", reason=str(error))
                is_untidy = True
            else:
                is_untidy = False

    def _is_wanted(self, network_id: NetworkId) -> bool:
        return any(
            network_id == network.id
            for view in (self._applied, self._view)
            if view is not None
            for network in _all_networks(view)
        )

    def _drain_event(self, task_id: TaskId) -> asyncio.Event:
        return self._drained.setdefault(task_id, asyncio.Event())


def _all_networks(view: NodeView) -> tuple[NetworkView, ...]:
    return (*view.networks, view.ingress.network) if view.ingress is not None else view.networks
