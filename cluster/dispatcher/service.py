"""The managers' side of the nodes: registers them, tells them their tasks, hears their reports.

All of it lives on the leader.  What is kept in memory, sessions and their deadlines, belongs to
one term of leadership: a new leader knows no session, calls every node unknown and gives it time
to come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from random import Random
from typing import Final

import msgspec
import structlog

from cluster.ca.identity import NodeIdentity
from cluster.ca.membership import no_member
from cluster.clock import Clock
from cluster.dispatcher.assignments import Assignments, wanted_by
from cluster.dispatcher.drains import Drains
from cluster.dispatcher.findings import findings
from cluster.dispatcher.heartbeats import GRACE_FACTOR, Heartbeats, beat_period_s
from cluster.dispatcher.network_views import NetworkViews
from cluster.dispatcher.node_status import with_status
from cluster.dispatcher.peer_news import PeerNews
from cluster.dispatcher.rounds import Round, order_for
from cluster.dispatcher.session import Session, is_news, session_message
from cluster.dispatcher.status_writer import StatusWriter
from cluster.errors import (
    ClusterError,
    NotFound,
    NotLeader,
    PermissionDenied,
    Unavailable,
)
from cluster.model.cluster import DEFAULT_HEARTBEAT_PERIOD_NS, Cluster
from cluster.model.diagnosis import Answered, Finding
from cluster.model.ids import NetworkId, NewId, NodeId
from cluster.model.node import Node
from cluster.model.task import Task
from cluster.model.units import SECOND_NS
from cluster.rpc import methods
from cluster.rpc.messages import (
    AcknowledgeViewRequest,
    AssignmentsMessage,
    AssignmentsRequest,
    DiagnosisRequest,
    Empty,
    GoodbyeRequest,
    HeartbeatRequest,
    HeartbeatResponse,
    SessionMessage,
    SessionRequest,
    UpdateTaskStatusRequest,
)
from cluster.rpc.server import RpcServer
from cluster.store.change import Change, Deleted
from cluster.store.interface import ClusterStore, Committed, Subscription
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction

log = structlog.get_logger()

DOWN_MESSAGE: Final = "heartbeat failure"
GOODBYE_MESSAGE: Final = "the node left of its own will"
UNKNOWN_MESSAGE: Final = "the leader changed: the node has yet to report to the new one"

_WRITE_RETRY_S: Final = 0.5
_STALL_S: Final = 1.0
"""A deadline noticed this much too late means that this process itself stood still."""


class Dispatcher:
    """The handlers, always there, and the duty that makes them answer while this node leads."""

    def __init__(self, store: ClusterStore, *, clock: Clock, rng: Random, new_id: NewId) -> None:
        """Work on `store`; `rng` varies the heartbeat, `new_id` names sessions."""
        self._store = store
        self._clock = clock
        self._rng = rng
        self._new_id = new_id
        self._term: _Term | None = None

    def serve_on(self, server: RpcServer) -> None:
        """Add the handlers to a server that is not started yet."""
        server.handle_stream(methods.SESSION, self.session)
        server.handle_stream(methods.ASSIGNMENTS, self.assignments)
        server.handle(methods.HEARTBEAT, self.heartbeat)
        server.handle(methods.UPDATE_TASK_STATUS, self.update_task_status)
        server.handle(methods.ACKNOWLEDGE_VIEW, self.acknowledge_view)
        server.handle(methods.GOODBYE, self.goodbye)
        server.handle(methods.REPORT_DIAGNOSIS, self.report_diagnosis)

    async def run(self) -> None:
        """Do the dispatcher's duty until cancelled; run only while this manager leads.

        Raises:
            BaseExceptionGroup: of `NotLeader` when this manager ceased to lead, of another error
                on a bug.
        """
        async with self._store.subscribe() as feed:
            term = _Term(self._store, feed.start, self._clock, self._rng.random, self._new_id)
            try:
                await term.begin()
                self._term = term
                async with asyncio.TaskGroup() as group:
                    group.create_task(term.follow(feed))
                    group.create_task(term.mark_late_nodes())
                    group.create_task(term.peer_news.tell())
                    group.create_task(term.statuses.run())
            finally:
                self._term = None
                term.end()

    async def session(
        self, caller: NodeIdentity, request: SessionRequest
    ) -> AsyncGenerator[SessionMessage, None]:
        """Register the caller and stream what concerns it as a whole.

        The end of the stream does not make the node down: it may open another one.

        Raises:
            PermissionDenied: the node is no member (any more).
            NotFound: the session was replaced, or the node was silent for too long.
            NotLeader: register with the leader.
        """
        session = await self._leading().register(caller.node_id, request)
        told: SessionMessage | None = None
        while True:
            session.node_changed.clear()
            session.check()
            message = session_message(self._store.view(), session)
            if is_news(told, message):
                told = message
                yield message
            await session.node_changed.wait()

    async def assignments(
        self, caller: NodeIdentity, request: AssignmentsRequest
    ) -> AsyncGenerator[AssignmentsMessage, None]:
        """Stream the caller's tasks and their files: the complete set, then differences.

        Raises:
            NotFound: the session is not the caller's, or ended.
            NotLeader: register with the leader.
        """
        term = self._leading()
        session = term.session_of(caller.node_id, request.session_id)
        assignments = Assignments()
        while True:
            session.tasks_changed.clear()
            session.check()
            view = term.views.view_of(caller.node_id)
            wanted = wanted_by(self._store.view(), caller.node_id, view, session.drained)
            session.drained = wanted.drained
            message = assignments.next_message(wanted, term.views.revision)
            session.note_told(term.views.revision, assignments.view_revision)
            term.look_at_drains()
            if message is not None:
                yield message
            await session.tasks_changed.wait()

    async def heartbeat(self, caller: NodeIdentity, request: HeartbeatRequest) -> HeartbeatResponse:
        """Note that the caller lives and say when to report next.

        Raises:
            NotFound: the session is not the caller's, or ended.
            NotLeader: register with the leader.
        """
        return HeartbeatResponse(period_ns=self._leading().beat(caller.node_id, request.session_id))

    async def update_task_status(
        self, caller: NodeIdentity, request: UpdateTaskStatusRequest
    ) -> Empty:
        """Write what the caller reports of its tasks.

        Tasks that are gone, and moves that an agent may not make, are passed over.

        Raises:
            PermissionDenied: a task is another node's; then nothing is written.
            NotFound: the session is not the caller's, or ended.
            NotLeader: report to the leader.
        """
        term = self._leading()
        term.session_of(caller.node_id, request.session_id)
        state = self._store.view()
        for update in request.updates:
            task = state.task(update.task_id)
            if task is not None and task.node_id != caller.node_id:
                raise PermissionDenied(
                    f"cannot update a task not assigned this node: task {task.id},"
                    f" node {caller.node_id}"
                )
        await term.statuses.write(request.updates)
        return Empty()

    async def acknowledge_view(
        self, caller: NodeIdentity, request: AcknowledgeViewRequest
    ) -> Empty:
        """Note how far the caller's networks are.

        Raises:
            NotFound: the session is not the caller's, or ended.
            NotLeader: tell the leader.
        """
        session = self._leading().session_of(caller.node_id, request.session_id)
        session.note_applied(request.revision, request.failed)
        self._leading().look_at_drains()
        return Empty()

    async def goodbye(self, caller: NodeIdentity, request: GoodbyeRequest) -> Empty:
        """Mark the caller down at once, because it says so.

        Raises:
            NotFound: the session is not the caller's, or ended.
            NotLeader: tell the leader.
        """
        term = self._leading()
        term.session_of(caller.node_id, request.session_id)
        await term.mark_down([caller.node_id], GOODBYE_MESSAGE)
        return Empty()

    async def report_diagnosis(self, caller: NodeIdentity, request: DiagnosisRequest) -> Empty:
        """Hear what the caller found out; nobody may wait for it any more.

        Raises:
            NotFound: the session is not the caller's, or ended.
            NotLeader: tell the leader.
        """
        term = self._leading()
        term.session_of(caller.node_id, request.session_id)
        term.take_diagnosis(caller.node_id, request)
        return Empty()

    async def diagnose(self) -> tuple[Finding, ...]:
        """Have all nodes look for trouble, and return what is wrong.

        Raises:
            NotLeader: ask the leader.
            Unavailable: it is being done already.
        """
        answers = await self._leading().diagnose()
        return findings(self._store.view(), answers, self._clock.now())

    def _leading(self) -> _Term:
        if self._term is None:
            raise NotLeader("this manager does not lead")
        return self._term


class _Term:
    """What one term of leadership keeps in memory."""

    def __init__(
        self,
        store: ClusterStore,
        start: ClusterState,
        clock: Clock,
        dice: Callable[[], float],
        new_id: NewId,
    ) -> None:
        self.statuses = StatusWriter(store)
        self.views = NetworkViews(start)
        self._drains = Drains(start)
        self._round: Round | None = None
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._heartbeats = Heartbeats(dice)
        self._deadline_added = asyncio.Event()
        self._sessions: dict[NodeId, Session] = {}
        self.peer_news = PeerNews(self._sessions)
        self._known_period_s = self._period_s()

    async def begin(self) -> None:
        """Call every node unknown that is not down, and give it time to come back."""

        def work(tx: Transaction) -> list[NodeId]:
            absent = [node for node in tx.state.nodes if node.status.state != "down"]
            for node in absent:
                tx.update(with_status(node, tx, "unknown", UNKNOWN_MESSAGE))
            return [node.id for node in absent]

        for node_id in await self._update_surely(work):
            self._await_return(node_id)

    def end(self) -> None:
        """End every session: nodes look for the new leader."""
        for session in self._sessions.values():
            session.end(NotLeader("this manager leads no more"))
        self._sessions.clear()

    async def register(self, node_id: NodeId, request: SessionRequest) -> Session:
        """Open a session for a node, in place of its earlier one."""
        session = Session(node_id, self._new_id())
        session.diagnosis = self._round.order_of(node_id) if self._round else None
        session.drained = self._drains.done_on(node_id)

        def work(tx: Transaction) -> None:
            node = tx.state.node(node_id)
            if node is None:
                raise no_member(node_id)
            # from here on the node is watched, so that it cannot be marked down between
            self._heartbeats.open_session(
                node_id, session.id, self._clock.monotonic_s(), self._beat_period_s()
            )
            self._deadline_added.set()
            described = msgspec.structs.replace(
                node,
                description=request.description,
                manager_addr=request.manager_addr or node.manager_addr,
            )
            tx.update(with_status(described, tx, "ready", "", addr=request.addr))

        await self._store.update(work)
        self._heartbeats.check(node_id, session.id)  # a later registration may have overtaken
        self._end_session(node_id, NotFound("the session was replaced by a newer one"))
        self._sessions[node_id] = session
        log.info("node registered", node=node_id, addr=request.addr)
        return session

    async def diagnose(self) -> Mapping[NodeId, Answered]:
        """Have all nodes with a session look for trouble; one round at a time."""
        if self._round is not None:
            raise Unavailable("the cluster is being looked at already: try again in some seconds")
        self._round = Round(order_for(self._store.view(), self._new_id()), self._clock)
        try:
            return await self._round.run(self._sessions, self._store.view())
        finally:
            self._round = None

    def take_diagnosis(self, node_id: NodeId, request: DiagnosisRequest) -> None:
        """Take what a node found out."""
        if self._round is not None:
            self._round.take(node_id, request.order_id, request.diagnosis)

    def session_of(self, node_id: NodeId, session_id: str) -> Session:
        """Return the session of a node that names it rightly."""
        self._heartbeats.check(node_id, session_id)
        session = self._sessions.get(node_id)
        if session is None or session.id != session_id:
            raise NotFound(f"node {node_id} has no such session: open a new one")
        return session

    def beat(self, node_id: NodeId, session_id: str) -> int:
        """Count a heartbeat; return nanoseconds until the next."""
        period_s = self._heartbeats.beat(
            node_id, session_id, self._clock.monotonic_s(), self._beat_period_s()
        )
        return round(period_s * SECOND_NS)

    async def mark_late_nodes(self) -> None:
        """Mark nodes down that were not heard of in time."""
        while True:
            deadline_s = self._heartbeats.next_deadline_s()
            if not await self._reached(deadline_s):
                continue
            assert deadline_s is not None
            now_s = self._clock.monotonic_s()
            if now_s - deadline_s > _STALL_S:
                # we were stopped or starved ourselves: what nodes sent meanwhile is still queued
                log.warning("this manager stood still", seconds=round(now_s - deadline_s, 1))
                self._heartbeats.forgive(now_s - deadline_s + _STALL_S)
                continue
            late = self._heartbeats.take_late(now_s)
            if late:
                await self.mark_down(late, DOWN_MESSAGE)

    async def mark_down(self, node_ids: list[NodeId], message: str) -> None:
        """End the nodes' sessions and mark them down."""
        for node_id in node_ids:
            self._heartbeats.end(node_id)
            self._end_session(node_id, NotFound(f"the session ended: {message}"))

        def work(tx: Transaction) -> list[NodeId]:
            marked = []
            for node_id in node_ids:
                node = tx.state.node(node_id)
                if node is None or node_id in self._heartbeats:
                    continue  # removed, or back again
                tx.update(with_status(node, tx, "down", message))
                marked.append(node_id)
            return marked

        for node_id in await self._update_surely(work):
            log.info("node is down", node=node_id, reason=message)

    async def _update_surely(self, work: Callable[[Transaction], list[NodeId]]) -> list[NodeId]:
        """Update the store, again and again while too much is on its way to the disk."""
        while True:
            try:
                return await self._store.update(work)
            except NotLeader:
                raise
            except Unavailable as error:
                log.warning("nothing can be written for now", error=str(error))
                await asyncio.sleep(_WRITE_RETRY_S)

    async def follow(self, feed: Subscription) -> None:
        """Wake the streams that a committed change concerns."""
        async for committed in feed:
            self._look_at(committed)

    def look_at_drains(self) -> None:
        """Tell nodes which of their tasks nobody connects to any more."""
        for task in self._drains.take_done(self._has_applied):
            if task.node_id in self._sessions:
                self._sessions[task.node_id].drained |= {task.id}
                self._sessions[task.node_id].tasks_changed.set()

    def _has_applied(self, node_id: NodeId, revision: int, networks: Iterable[NetworkId]) -> bool:
        if (session := self._sessions.get(node_id)) is not None:
            return session.has_applied(revision, networks)
        # A node that has not come back yet, as after a change of the leader, may send connections.
        node = self._store.view().node(node_id)
        return node is None or node.status.state == "down"

    def _look_at(self, committed: Committed) -> None:
        concern = self.views.look_at(committed.changes, committed.state)
        for node_id in self._sessions if concern.is_all else concern.nodes & self._sessions.keys():
            self._sessions[node_id].tasks_changed.set()
        if concern.is_peers:
            self.peer_news.note()
        self._drains.look_at(committed.changes, committed.state)
        for change in committed.changes:
            match change.item:
                case Task() as task:
                    session = self._sessions.get(task.node_id)
                    if session is not None:
                        session.tasks_changed.set()
                case Node() as node:
                    self._look_at_node(change, node)
                case Cluster():
                    self._adopt_period()
                    self._wake_all()
                case _:
                    pass

    def _look_at_node(self, change: Change, node: Node) -> None:
        if isinstance(change, Deleted):
            self._heartbeats.end(node.id)
            self._end_session(node.id, no_member(node.id))
        else:
            self._watch(node)
        self.look_at_drains()  # one that is down or gone is waited for no more
        if node.manager_status is not None or node.role == "manager":
            self._wake_all()
        elif node.id in self._sessions:
            self._sessions[node.id].node_changed.set()

    def _watch(self, node: Node) -> None:
        """Give a node that has joined and not reported yet its time to do so."""
        current = self._store.view().node(node.id)
        if (
            current is not None
            and current.status.state == "unknown"
            and node.id not in self._heartbeats
        ):
            self._await_return(node.id)

    def _await_return(self, node_id: NodeId) -> None:
        self._heartbeats.await_return(node_id, self._clock.monotonic_s(), self._beat_period_s())
        self._deadline_added.set()

    def _adopt_period(self) -> None:
        """Let nodes that hear of a longer period at once wait for as long."""
        period_s = self._period_s()
        if period_s > self._known_period_s:
            self._heartbeats.forgive((period_s - self._known_period_s) * GRACE_FACTOR)
        self._known_period_s = period_s

    def _wake_all(self) -> None:
        for session in self._sessions.values():
            session.node_changed.set()

    def _end_session(self, node_id: NodeId, reason: ClusterError) -> None:
        session = self._sessions.pop(node_id, None)
        if session is not None:
            session.end(reason)

    async def _reached(self, deadline_s: float | None) -> bool:
        """Wait for the deadline; return False early when there may be a nearer one."""
        delay_s = None if deadline_s is None else deadline_s - self._clock.monotonic_s()
        try:
            async with asyncio.timeout(delay_s):
                await self._deadline_added.wait()
        except TimeoutError:
            return True
        self._deadline_added.clear()
        return False

    def _beat_period_s(self) -> float:
        return beat_period_s(self._period_s(), len(self._store.view().nodes))

    def _period_s(self) -> float:
        cluster = self._store.view().cluster
        period_ns = DEFAULT_HEARTBEAT_PERIOD_NS if cluster is None else cluster.heartbeat_period_ns
        return period_ns / SECOND_NS
