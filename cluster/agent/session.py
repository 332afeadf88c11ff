"""Keeps a session with the leading manager: connect, follow, report, and connect again.

The worker does not depend on it: without a session tasks go on as they were last assigned.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NoReturn, Protocol, TypeVar

import structlog

from cluster.agent.assignments import expect_sequence
from cluster.agent.log_publisher import LogPublisher
from cluster.agent.worker import Worker
from cluster.clock import Clock
from cluster.errors import ClusterError, OutOfSequence, Unavailable
from cluster.model.diagnosis import NodeDiagnosis
from cluster.model.ids import NetworkId
from cluster.model.node import NodeDescription
from cluster.model.units import SECOND_NS
from cluster.rpc import methods
from cluster.rpc.error_status import LeaderElsewhere
from cluster.rpc.messages import (
    AcknowledgeViewRequest,
    AssignmentsRequest,
    DiagnosisRequest,
    GoodbyeRequest,
    HeartbeatRequest,
    LogsRequest,
    SessionMessage,
    SessionRequest,
    TaskStatusUpdate,
    UpdateTaskStatusRequest,
)
from cluster.rpc.methods import Method

log = structlog.get_logger(__name__)

Request = TypeVar("Request")
Response = TypeVar("Response")

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
STABLE_AFTER_S = 5.0  # a session that lasted so long starts the pauses anew
FIRST_ANSWER_S = 4.0
STATUS_TIMEOUT_S = 10.0
HEARTBEAT_TIMEOUT_S = 2.0
HEARTBEAT_PATIENCE = 2.0  # periods; a manager calls a node down after four
GOODBYE_TIMEOUT_S = 2.0
DESCRIBE_EVERY_S = 20.0
ENGINE_PATIENCE_S = 5.0  # a node whose engine is away for longer gives up its session
ENGINE_RETRY_S = 0.5
TOLD_AGAIN_EVERY = 10  # failures for the same reason of which one is logged
REASONS_KEPT = 100


class ManagerLink(Protocol):
    """An open connection to one manager."""

    async def call(
        self, method: Method[Request, Response], request: Request, *, timeout_s: float
    ) -> Response:
        """Call a method that answers once.

        Raises:
            ClusterError: the manager's answer, or `Unavailable` when it cannot be reached.
        """
        ...

    def stream(
        self, method: Method[Request, Response], request: Request
    ) -> AsyncIterator[Response]:
        """Call a method that answers with a stream.

        Raises:
            ClusterError: as `call`, from the iterator.
        """
        ...


Connect = Callable[[str], AbstractAsyncContextManager[ManagerLink]]
"""Opens a connection to the manager at an address (host:port)."""


class DescribedNode(Protocol):
    """The node that the session is about."""

    async def describe(self) -> NodeDescription:
        """Describe the node.

        Raises:
            Unavailable: its engine is away.
        """
        ...

    async def until_away(self) -> None:
        """Wait until its engine seems to be away; return at once while it does."""
        ...


class Session:
    """The node's session with the managers."""

    def __init__(  # noqa: PLR0913 - each argument is a part of its own
        self,
        worker: Worker,
        connect: Connect,
        node: DescribedNode,
        clock: Clock,
        rng: random.Random,
        *,
        seeds: Sequence[str],
        addr: str,
        manager_addr: str,
        on_message: Callable[[SessionMessage], None],
    ) -> None:
        """Make a session; `run` opens it.

        Args:
            worker: gets the assignments, gives the statuses.
            connect: opens a connection to a manager.
            node: describes itself and tells when its engine goes away.
            clock: tells how long a session lasted.
            rng: spreads the pauses of many nodes.
            seeds: managers (host:port) to try before any is known.
            addr: this node's IP address for others.
            manager_addr: host:port on which others reach it while it is a manager.
            on_message: told of every message about the node and the managers.
        """
        self._worker = worker
        self._connect = connect
        self._node = node
        self._clock = clock
        self._rng = rng
        self._seeds = tuple(seeds)
        self._addr = addr
        self._manager_addr = manager_addr
        self._on_message = on_message
        self._next_addr = ""
        self._addr_now = ""
        self._opened: tuple[ManagerLink, str] | None = None
        self._is_leaving = False
        self._had_opened = False
        self._period_s = 0.0  # of heartbeats, as told last; managers of many nodes ask for more
        self._failures: dict[tuple[str, str], int] = {}  # by address and reason, since a session

    @property
    def is_open(self) -> bool:
        """Whether a manager knows this node as ready."""
        return self._opened is not None

    @property
    def leader_addr(self) -> str:
        """The manager with which a session is open (host:port), "" for none."""
        return self._addr_now if self.is_open else ""

    async def run(self) -> None:
        """Keep a session open until cancelled, or until the node has said goodbye."""
        failures = 0
        while not self._is_leaving:
            addr = self._addr_now = self._choose_addr()
            began_s = self._clock.monotonic_s()
            error = await self._serve(addr)
            if self._clock.monotonic_s() - began_s >= STABLE_AFTER_S:
                failures = 0
            failures += 1
            self._tell(addr, error)
            if isinstance(error, LeaderElsewhere) and error.leader_addr:
                self._next_addr = error.leader_addr
                if failures == 1:  # go there at once, but never round in circles at once
                    continue
            elif not isinstance(error, DescriptionChanged):
                self._next_addr = self._after(addr)
            await asyncio.sleep(self._pause_s(failures))

    async def call(
        self, method: Method[Request, Response], request: Request, *, timeout_s: float
    ) -> Response:
        """Ask the manager with which a session is open.

        Raises:
            Unavailable: none is open.
            ClusterError: the manager's answer.
        """
        if self._opened is None:
            raise Unavailable("no manager can be asked: no session is open; try again")
        return await self._opened[0].call(method, request, timeout_s=timeout_s)

    async def report_diagnosis(self, order_id: str, diagnosis: NodeDiagnosis) -> None:
        """Tell the manager what this node found out.

        Raises:
            ClusterError: it does not take it.
        """
        if self._opened is None:
            raise Unavailable("no manager can be told: no session is open")
        link, session_id = self._opened
        request = DiagnosisRequest(session_id=session_id, order_id=order_id, diagnosis=diagnosis)
        await link.call(methods.REPORT_DIAGNOSIS, request, timeout_s=STATUS_TIMEOUT_S)

    async def goodbye(self) -> None:
        """Tell the manager that this node leaves, so that its tasks move at once.

        No session is opened any more: that would tell the manager that the node is back.

        Raises:
            Unavailable: no session is open, or the manager does not take it.
        """
        self._is_leaving = True
        if self._opened is None:
            raise Unavailable("no manager can be told that this node leaves: no session is open")
        link, session_id = self._opened
        request = GoodbyeRequest(session_id=session_id)
        try:
            await link.call(methods.GOODBYE, request, timeout_s=GOODBYE_TIMEOUT_S)
        except ClusterError as error:
            raise Unavailable(f"the manager does not take the goodbye: {error}") from error

    def _tell(self, addr: str, error: ClusterError) -> None:
        """Log why there is no session: a new reason at once, the same one now and then."""
        if self._had_opened:
            self._failures.clear()
            log.warning("session ended", manager=addr, error=str(error))
            return
        if len(self._failures) > REASONS_KEPT:
            self._failures.clear()
        count = self._failures.get((addr, str(error)), 0)
        self._failures[addr, str(error)] = count + 1
        if count % TOLD_AGAIN_EVERY == 0:
            log.warning("no session", manager=addr, error=str(error), before=count)

    def _choose_addr(self) -> str:
        known = self._known_addrs()
        return self._next_addr or (known[0] if known else "")

    def _known_addrs(self) -> list[str]:
        learned = (manager.addr for manager in self._worker.managers)
        return list(dict.fromkeys((*learned, *self._seeds)))

    def _after(self, addr: str) -> str:
        known = self._known_addrs()
        if not known:
            return ""
        return known[(known.index(addr) + 1) % len(known)] if addr in known else known[0]

    def _pause_s(self, failures: int) -> float:
        at_most_s = max(LONGEST_PAUSE_S, self._patience_s())
        longest = min(at_most_s, FIRST_PAUSE_S * float(1 << min(failures - 1, 16)))
        return longest * self._rng.uniform(0.5, 1.0)

    def _patience_s(self) -> float:
        """Return for how long an answer may take that is not late.

        It grows with the number of nodes, as the period does: many that give up and come again at
        once, because a manager has much to do, would give it more to do still.
        """
        return HEARTBEAT_PATIENCE * self._period_s

    async def _serve(self, addr: str) -> ClusterError:
        """Serve one session to its end, and return what ended it."""
        self._had_opened = False
        if not addr:
            return Unavailable("no manager's address is known")
        causes: list[ClusterError] = []
        try:
            description = await self._node.describe()
            async with self._connect(addr) as link:
                await self._open(link, description)
        except* ClusterError as group:
            causes.extend(_flatten(group))
        finally:
            self._opened = None
        return causes[0]

    async def _open(self, link: ManagerLink, description: NodeDescription) -> None:
        request = SessionRequest(
            description=description, addr=self._addr, manager_addr=self._manager_addr
        )
        messages = link.stream(methods.SESSION, request)
        patience_s = max(FIRST_ANSWER_S, self._patience_s())
        try:
            async with asyncio.timeout(patience_s):
                first = await anext(messages)
        except TimeoutError as error:
            raise Unavailable(f"no answer within {patience_s:.1f} s") from error
        except StopAsyncIteration as error:
            raise SessionOver from error
        self._take_message(first)
        self._opened = link, first.session_id
        self._had_opened = True
        log.info("session opened", session=first.session_id)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(messages))
            group.create_task(self._beat(link, first))
            group.create_task(self._follow_assignments(link, first.session_id))
            group.create_task(self._send_logs(link))
            group.create_task(self._report(link, first.session_id))
            group.create_task(self._watch_description(description))
            group.create_task(self._acknowledge_views(link, first.session_id))

    def _take_message(self, message: SessionMessage) -> None:
        self._worker.learn_managers(message.managers)
        self._on_message(message)

    async def _follow(self, messages: AsyncIterator[SessionMessage]) -> NoReturn:
        async for message in messages:
            self._take_message(message)
        raise SessionOver

    async def _beat(self, link: ManagerLink, first: SessionMessage) -> NoReturn:
        self._period_s = (first.heartbeat_period_ns or SECOND_NS) / SECOND_NS
        while True:
            await asyncio.sleep(self._period_s)
            answer = await link.call(
                methods.HEARTBEAT,
                HeartbeatRequest(session_id=first.session_id),
                timeout_s=max(HEARTBEAT_TIMEOUT_S, self._patience_s()),
            )
            self._period_s = answer.period_ns / SECOND_NS or self._period_s

    async def _follow_assignments(self, link: ManagerLink, session_id: str) -> NoReturn:
        while True:
            expected = 0
            request = AssignmentsRequest(session_id=session_id)
            try:
                async for message in link.stream(methods.ASSIGNMENTS, request):
                    expected = expect_sequence(expected, message)
                    self._worker.apply(message)
            except OutOfSequence:
                log.warning("assignments have a gap, asking for the full set", expected=expected)
                await asyncio.sleep(FIRST_PAUSE_S)
                continue
            raise SessionOver

    async def _send_logs(self, link: ManagerLink) -> NoReturn:
        publisher = LogPublisher(self._worker.task, self._worker.log, link.call)
        async with asyncio.TaskGroup() as group:
            async for order in link.stream(methods.LOGS, LogsRequest()):
                publisher.take(order, group)
            raise SessionOver

    async def _report(self, link: ManagerLink, session_id: str) -> None:
        async def send(updates: tuple[TaskStatusUpdate, ...]) -> None:
            request = UpdateTaskStatusRequest(session_id=session_id, updates=updates)
            await link.call(methods.UPDATE_TASK_STATUS, request, timeout_s=STATUS_TIMEOUT_S)

        await self._worker.reporter.run(send)

    async def _acknowledge_views(self, link: ManagerLink, session_id: str) -> None:
        async def tell(revision: int, failed: tuple[NetworkId, ...]) -> None:
            request = AcknowledgeViewRequest(
                session_id=session_id, revision=revision, failed=failed
            )
            await link.call(methods.ACKNOWLEDGE_VIEW, request, timeout_s=STATUS_TIMEOUT_S)

        await self._worker.acknowledge_views(tell)

    async def _watch_description(self, reported: NodeDescription) -> NoReturn:
        while True:
            await self._until_description_due()
            if await self._describe_patiently() != reported:
                raise DescriptionChanged("the node's description changed")
            await asyncio.sleep(ENGINE_RETRY_S)

    async def _until_description_due(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DESCRIBE_EVERY_S):
                await self._node.until_away()

    async def _describe_patiently(self) -> NodeDescription:
        """Describe the node; an engine may be away for a while, as when it is restarted."""
        deadline_s = self._clock.monotonic_s() + ENGINE_PATIENCE_S
        while True:
            try:
                return await self._node.describe()
            except ClusterError:
                if self._clock.monotonic_s() >= deadline_s:
                    raise
                await asyncio.sleep(ENGINE_RETRY_S)


class DescriptionChanged(Unavailable):
    """The session is opened anew to tell the manager what the node is now."""


class SessionOver(Unavailable):
    """The manager ended the session."""

    def __init__(self) -> None:
        super().__init__("the manager ended the session")


def _flatten(group: BaseExceptionGroup[ClusterError]) -> list[ClusterError]:
    found: list[ClusterError] = []
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            found.extend(_flatten(error))
        else:
            found.append(error)
    return found
