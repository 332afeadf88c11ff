"""The way to the other members of the raft group: gRPC calls between managers.

One call at a time goes to each member and carries everything that has gathered since the last
one, so a busy group needs few calls and an idle one no time. What the member says to it soon, such
as that entries are on its disk, comes back as the answer: that is half the calls. Snapshots go in
pieces, by calls of their own, so that they hold up nobody.

What cannot be delivered is lost: raft repeats it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from cluster.ca.identity import NodeIdentity
from cluster.errors import ClusterError, FailedPrecondition, PermissionDenied
from cluster.model.ids import NodeId
from cluster.raft.entry import Snapshot
from cluster.raft.messages import (
    AppendEntries,
    Heartbeat,
    InstallSnapshot,
    Message,
    VoteRequest,
)
from cluster.rpc import methods
from cluster.rpc.channel import NodeChannel
from cluster.rpc.messages import (
    Empty,
    RaftBatch,
    ReadIndex,
    SnapshotChunk,
    SnapshotProgress,
)
from cluster.rpc.server import RpcServer

log = structlog.get_logger()

CALL_TIMEOUT_S: Final = 1.5
CHUNK_TIMEOUT_S: Final = 30.0
RETRY_S: Final = 0.05
ANSWER_S: Final = 0.1
"""How long a call waits for what the member says to it; later it is said by a call of its own."""

MAX_BATCH_BYTES: Final = 4 << 20
MAX_WAITING: Final = 4096
CHUNK_BYTES: Final = 1 << 20


_ANSWERED: Final = (AppendEntries, Heartbeat, VoteRequest)
"""Messages that are answered as a rule."""


class Member(Protocol):
    """The member of this manager; `cluster.replication.driver.Driver` is one."""

    def step(self, message: Message) -> None:
        """Take a message."""
        ...

    async def receive_snapshot(self, message: InstallSnapshot, data: bytes) -> None:
        """Take a snapshot."""
        ...

    async def load_snapshot(self, snapshot: Snapshot) -> bytes:
        """Return a snapshot's state."""
        ...

    def report_snapshot(self, peer: int, *, delivered: bool) -> None:
        """Learn how sending a snapshot ended."""
        ...

    def report_unreachable(self, peer: int) -> None:
        """Learn that messages were lost."""
        ...

    async def read_barrier(self) -> int:
        """Return an index that holds everything acknowledged before."""
        ...


class AddressBook(Protocol):
    """Who the members are, as the store has it."""

    def address_of(self, raft_id: int) -> str:
        """Return a member's host:port, "" if unknown."""
        ...

    def owner_of(self, raft_id: int) -> NodeId | None:
        """Return the node that a raft ID was given to, None if unknown."""
        ...


class RaftPeers:
    """`Peers` of a driver, and the handlers by which others reach it."""

    def __init__(
        self,
        raft_id: int,
        own_addr: str,
        book: AddressBook,
        connect: Callable[[str], NodeChannel],
    ) -> None:
        """Make it; `attach` must follow before `run`.

        Args:
            raft_id: this member's.
            own_addr: host:port on which others reach this manager.
            book: knows the others.
            connect: makes a connection with this manager's certificate.
        """
        self._raft_id = raft_id
        self._own_addr = own_addr
        self._book = book
        self._connect = connect
        self._member: Member | None = None
        self._group: asyncio.TaskGroup | None = None
        self._links: dict[int, _Link] = {}
        self._sending: set[int] = set()  # members that a snapshot is on its way to
        self._arriving: dict[int, _Arriving] = {}
        # What members said of themselves, with what this manager's own state said then: it may not
        # speak of them yet, or still name the address that they have moved away from.
        self._learned: dict[int, tuple[str, str]] = {}

    def attach(self, member: Member) -> None:
        """Serve this member."""
        self._member = member

    def serve_on(self, server: RpcServer) -> None:
        """Add the handlers to a server that is not started yet."""
        server.handle(methods.RAFT_MESSAGES, self.take_messages)
        server.handle(methods.RAFT_SNAPSHOT, self.take_chunk)
        server.handle(methods.RAFT_READ_INDEX, self.read_index)

    async def run(self) -> None:
        """Deliver messages until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                await asyncio.Event().wait()
        finally:
            self._group = None
            self._links.clear()

    def replace_connections(self) -> None:
        """Connect anew before the next call: the certificate has changed."""
        for link in self._links.values():
            link.is_stale = True

    # -- out ---------------------------------------------------------------------------------

    def send(self, messages: Sequence[Message]) -> None:
        """Send without waiting; what cannot be sent is lost."""
        for message in messages:
            if self._group is None:
                if isinstance(message, InstallSnapshot):
                    self._own_member().report_snapshot(message.to, delivered=False)
            elif isinstance(message, InstallSnapshot):
                self._send_snapshot(self._group, message)
            else:
                self._link_to(self._group, message.to).put(message)

    def address_of(self, raft_id: int) -> str:
        """Return where a member is reached (host:port), "" if nobody has said so."""
        written = self._book.address_of(raft_id)
        own_word, written_then = self._learned.get(raft_id, ("", ""))
        return own_word if own_word and written in ("", written_then) else written

    def _link_to(self, group: asyncio.TaskGroup, raft_id: int) -> _Link:
        link = self._links.get(raft_id)
        if link is None:
            link = self._links[raft_id] = _Link()
            group.create_task(self._deliver(raft_id, link), name=f"raft to {raft_id}")
        return link

    async def _deliver(self, raft_id: int, link: _Link) -> None:
        channel: NodeChannel | None = None
        try:
            while True:
                batch = await link.take()
                addr = self.address_of(raft_id)
                if channel is not None and (link.is_stale or channel.addr != addr):
                    await channel.close()
                    channel = None
                if channel is None and addr:
                    channel = self._connect(addr)
                    link.is_stale = False
                error = await self._call(channel, batch)
                self._note(raft_id, link, error)
                if error:
                    if channel is not None:  # a fresh one does not pause before it tries again
                        await channel.close()
                        channel = None
                    await asyncio.sleep(RETRY_S)
        finally:
            if channel is not None:
                await channel.close()

    async def _call(self, channel: NodeChannel | None, batch: tuple[Message, ...]) -> str:
        """Deliver a batch; return what went wrong."""
        if channel is None:
            return "its address is not known"
        request = RaftBatch(messages=batch, sender_addr=self._own_addr)
        try:
            answer = await channel.call(methods.RAFT_MESSAGES, request, timeout_s=CALL_TIMEOUT_S)
        except ClusterError as error:
            return str(error)
        member, asked = self._own_member(), batch[0].to
        for message in answer.messages:
            if (message.sender, message.to) == (asked, self._raft_id):
                member.step(message)
        return ""

    def _note(self, raft_id: int, link: _Link, error: str) -> None:
        if error:
            link.drop_all()
            self._own_member().report_unreachable(raft_id)
        if bool(error) != link.is_failing:
            link.is_failing = bool(error)
            if error:
                log.warning("raft member unreachable", member=raft_id, error=error)
            else:
                log.info("raft member reached", member=raft_id)

    def _send_snapshot(self, group: asyncio.TaskGroup, message: InstallSnapshot) -> None:
        if message.to in self._sending:
            return  # the end of that transfer is reported
        self._sending.add(message.to)
        group.create_task(self._transfer(message), name=f"snapshot to {message.to}")

    async def _transfer(self, message: InstallSnapshot) -> None:
        delivered = False
        try:
            data = await self._own_member().load_snapshot(message.snapshot)
            addr = self.address_of(message.to)
            if addr:
                async with self._connect(addr) as channel:
                    await self._send_chunks(channel, message, data)
                delivered = True
                log.info("snapshot sent", member=message.to, index=message.snapshot.index)
        except ClusterError as error:
            log.warning("snapshot not sent", member=message.to, error=str(error))
        finally:
            self._sending.discard(message.to)
            self._own_member().report_snapshot(message.to, delivered=delivered)

    async def _send_chunks(
        self, channel: NodeChannel, message: InstallSnapshot, data: bytes
    ) -> None:
        offset = 0
        while True:
            chunk = SnapshotChunk(
                message=message,
                total=len(data),
                offset=offset,
                data=data[offset : offset + CHUNK_BYTES],
                sender_addr=self._own_addr,
            )
            answer = await channel.call(methods.RAFT_SNAPSHOT, chunk, timeout_s=CHUNK_TIMEOUT_S)
            if answer.received >= len(data):
                return
            offset = answer.received

    # -- in ----------------------------------------------------------------------------------

    async def take_messages(self, caller: NodeIdentity, request: RaftBatch) -> RaftBatch:
        """Hand messages to this member, and return what it says to them soon.

        Raises:
            PermissionDenied: they are not the caller's own.
            FailedPrecondition: they are for another member.
        """
        member = self._own_member()
        for message in request.messages:
            self._check(caller, message, request.sender_addr)
            if isinstance(message, InstallSnapshot):
                raise FailedPrecondition("snapshots come in pieces, by a call of their own")
            member.step(message)
        said: tuple[Message, ...] = ()
        if self._group is not None and any(isinstance(m, _ANSWERED) for m in request.messages):
            said = await self._link_to(self._group, request.messages[0].sender).answer()
        return RaftBatch(messages=said)

    async def take_chunk(self, caller: NodeIdentity, request: SnapshotChunk) -> SnapshotProgress:
        """Take a piece of a snapshot; with the last one it goes to this member.

        Raises:
            PermissionDenied: it is not the caller's own.
            FailedPrecondition: it is for another member.
        """
        message = request.message
        self._check(caller, message, request.sender_addr)
        arriving = self._arriving.get(message.sender)
        if arriving is None or arriving.message != message or request.offset == 0:
            arriving = self._arriving[message.sender] = _Arriving(message)
        if request.offset != len(arriving.data):
            return SnapshotProgress(received=len(arriving.data))
        arriving.data += request.data
        if len(arriving.data) >= request.total:
            del self._arriving[message.sender]
            await self._own_member().receive_snapshot(message, bytes(arriving.data))
        return SnapshotProgress(received=request.offset + len(request.data))

    async def read_index(self, caller: NodeIdentity, request: Empty) -> ReadIndex:  # noqa: ARG002
        """Tell another manager up to where it must have applied its log to be current.

        Raises:
            NotLeader: this manager cannot prove that it leads.
        """
        return ReadIndex(index=await self._own_member().read_barrier())

    def _check(self, caller: NodeIdentity, message: Message, sender_addr: str) -> None:
        if message.to != self._raft_id:
            raise FailedPrecondition(
                f"raft member {message.to} is meant, this is member {self._raft_id}"
            )
        owner = self._book.owner_of(message.sender)
        if owner is not None and owner != caller.node_id:
            raise PermissionDenied(
                f"raft member {message.sender} is node {owner}, not {caller.node_id}"
            )
        # A member that lags behind may not know a newer one yet, which may lead already: what
        # counts is that the CA called it a manager.
        if sender_addr:
            self._learned[message.sender] = sender_addr, self._book.address_of(message.sender)

    def _own_member(self) -> Member:
        assert self._member is not None, "attach() was forgotten"
        return self._member


class _Link:
    """What waits for one member."""

    def __init__(self) -> None:
        self.is_stale = False
        self.is_failing = False
        self._waiting: deque[Message] = deque(maxlen=MAX_WAITING)
        self._asking = 0  # calls of this member that wait for an answer
        self._answers: list[Message] = []
        self._answered = asyncio.Event()
        self._wake = asyncio.Event()

    def put(self, message: Message) -> None:
        """Let a message go with the answer to a call that waits for one, else the next call."""
        if self._asking:
            self._answers.append(message)
            self._answered.set()
        else:
            self._waiting.append(message)
            self._wake.set()

    async def answer(self) -> tuple[Message, ...]:
        """Return what is put soon; nothing if that takes longer."""
        self._asking += 1
        self._answered.clear()
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._answered.wait()
        except TimeoutError:
            pass
        finally:
            self._asking -= 1
        said = tuple(self._answers)
        self._answers.clear()
        return said

    async def take(self) -> tuple[Message, ...]:
        """Return what goes into the next call, at least one message."""
        while not self._waiting:
            self._wake.clear()
            await self._wake.wait()
        batch: list[Message] = []
        size_bytes = 0
        while self._waiting and size_bytes < MAX_BATCH_BYTES:
            message = self._waiting.popleft()
            if isinstance(message, AppendEntries):
                size_bytes += sum(len(entry.data) for entry in message.entries)
            batch.append(message)
        return tuple(batch)

    def drop_all(self) -> None:
        """Lose what waits."""
        self._waiting.clear()


class _Arriving:
    """A snapshot of which a part is here."""

    def __init__(self, message: InstallSnapshot) -> None:
        self.message = message
        self.data = bytearray()
