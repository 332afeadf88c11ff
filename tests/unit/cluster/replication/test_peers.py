"""Where the other members are reached, and whose messages are taken."""

from __future__ import annotations

import asyncio

import pytest

from cluster.ca.identity import NodeIdentity
from cluster.clock import SystemClock
from cluster.errors import FailedPrecondition, PermissionDenied
from cluster.model.ids import ClusterId, NodeId
from cluster.raft.messages import Heartbeat, HeartbeatReply, Message
from cluster.replication.peers import RaftPeers
from cluster.rpc.channel import NodeChannel
from cluster.rpc.front import open_front
from cluster.rpc.messages import RaftBatch
from cluster.rpc.server import RpcServer
from tests.support.identities import credentials


class Book:
    """An address book to write in."""

    def __init__(self) -> None:
        self.addrs: dict[int, str] = {}
        self.owners: dict[int, NodeId] = {}

    def address_of(self, raft_id: int) -> str:
        return self.addrs.get(raft_id, "")

    def owner_of(self, raft_id: int) -> NodeId | None:
        return self.owners.get(raft_id)


class Inbox:
    """A member that only takes messages."""

    def __init__(self) -> None:
        self.taken: list[Message] = []

    def step(self, message: Message) -> None:
        self.taken.append(message)


def caller(node_id: str) -> NodeIdentity:
    return NodeIdentity(
        node_id=NodeId(node_id),
        cluster_id=ClusterId("c"),
        role="manager",
        not_before=0,
        not_after=1 << 60,
    )


def batch(sender: int, addr: str, to: int = 1) -> RaftBatch:
    return RaftBatch(
        messages=(Heartbeat(sender=sender, to=to, term=1, commit=0),), sender_addr=addr
    )


class Talker(Inbox):
    """A member that answers heartbeats, a little later, as one that has to write first."""

    def __init__(self) -> None:
        super().__init__()
        self.peers: RaftPeers | None = None

    def step(self, message: Message) -> None:
        super().step(message)
        if isinstance(message, Heartbeat):
            reply = HeartbeatReply(
                sender=message.to, to=message.sender, term=message.term, read_number=7
            )
            assert self.peers is not None
            asyncio.get_running_loop().call_later(0.01, self.peers.send, [reply])


async def test_an_answer_comes_back_with_the_call_that_asked_for_it(book: Book) -> None:
    """The one that is asked knows no address of the other: there is no other way back."""
    here, there = credentials("a", "manager"), credentials("b", "manager")
    asking, talking = Inbox(), Talker()
    server = RpcServer(there, clock=SystemClock(), leader_addr=lambda: "")
    far = RaftPeers(2, "", Book(), lambda addr: NodeChannel(addr, there))
    far.attach(talking)  # type: ignore[arg-type]
    far.serve_on(server)
    talking.peers = far
    async with (
        server,
        open_front("127.0.0.1", 0, {}, server.serve_connection) as (host, port),
        asyncio.TaskGroup() as group,
    ):
        book.addrs[2] = f"{host}:{port}"
        near = RaftPeers(1, "", book, lambda addr: NodeChannel(addr, here))
        near.attach(asking)  # type: ignore[arg-type]
        running = [group.create_task(near.run()), group.create_task(far.run())]
        await asyncio.sleep(0)
        near.send([Heartbeat(sender=1, to=2, term=3, commit=0)])
        async with asyncio.timeout(20):
            while not asking.taken:
                await asyncio.sleep(0.01)
        for task in running:
            task.cancel()
    assert [type(message) for message in talking.taken] == [Heartbeat]
    assert asking.taken == [HeartbeatReply(sender=2, to=1, term=3, read_number=7)]


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def peers(book: Book) -> RaftPeers:
    made = RaftPeers(1, "own:1", book, lambda addr: pytest.fail(f"nobody is called, {addr}"))
    made.attach(Inbox())  # type: ignore[arg-type]
    return made


async def test_a_member_is_reached_where_it_says_until_the_state_says_more(
    peers: RaftPeers, book: Book
) -> None:
    assert peers.address_of(2) == ""
    await peers.take_messages(caller("b"), batch(2, "two:1"))
    assert peers.address_of(2) == "two:1"
    book.addrs[2], book.owners[2] = "two:1", NodeId("b")
    assert peers.address_of(2) == "two:1"
    # It moves: it says so itself before a majority has written it down.
    await peers.take_messages(caller("b"), batch(2, "two:2"))
    assert peers.address_of(2) == "two:2"
    # What is written down later is newer than what it said.
    book.addrs[2] = "two:3"
    assert peers.address_of(2) == "two:3"


async def test_nobody_speaks_for_another_member(peers: RaftPeers, book: Book) -> None:
    book.addrs[2], book.owners[2] = "two:1", NodeId("b")
    with pytest.raises(PermissionDenied, match="member 2 is node b, not c"):
        await peers.take_messages(caller("c"), batch(2, "elsewhere:1"))
    assert peers.address_of(2) == "two:1"
    with pytest.raises(FailedPrecondition, match="member 7 is meant"):
        await peers.take_messages(caller("b"), batch(2, "two:1", to=7))
