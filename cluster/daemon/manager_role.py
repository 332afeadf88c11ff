"""What runs on a manager: its copy of the state, the port for other nodes, and the duties."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from cluster.api.forwarding import ForwardedRequests
from cluster.api.local_node import LAST_MANAGER_LEAVES, MANAGER_LEAVES, TOO_FEW_LEFT
from cluster.ca.credentials import NodeCredentials
from cluster.ca.identity import NodeIdentity
from cluster.ca.issuer import CertificateIssuer, next_raft_id
from cluster.ca.membership import check_member
from cluster.ca.node_lock import NodeLock
from cluster.ca.root_rotation import accepted_roots
from cluster.clock import Clock
from cluster.control.leadership import run_duties
from cluster.control.manager_roles import quorum_refusal
from cluster.control.role_manager import RoleManager, view_of
from cluster.daemon.leader_duties import leader_duties
from cluster.daemon.lock_keeper import LockKeeper
from cluster.daemon.resigning import NO_LEADER, RETRY_S, Releases
from cluster.daemon.state_dir import Membership
from cluster.dispatcher.attachments import Attachments
from cluster.dispatcher.log_broker import LogBroker
from cluster.dispatcher.service import Dispatcher
from cluster.errors import ClusterError, FailedPrecondition, NotLeader, Unavailable
from cluster.model.cluster import Cluster
from cluster.model.diagnosis import Finding
from cluster.model.ids import NewId, NodeId
from cluster.model.node import Node
from cluster.raft.quorum import majority
from cluster.replication.bootstrap import FIRST_RAFT_ID, open_store
from cluster.replication.peers import RaftPeers
from cluster.replication.replicated_store import ReplicatedStore
from cluster.rpc import methods
from cluster.rpc.certificate_service import CertificateService
from cluster.rpc.channel import NodeChannel
from cluster.rpc.error_status import NotConnected
from cluster.rpc.front import open_front
from cluster.rpc.join_client import split_addr
from cluster.rpc.join_server import JoinServer
from cluster.rpc.messages import Empty, ForwardPart, ForwardRequest
from cluster.rpc.methods import Method
from cluster.rpc.server import RpcServer
from cluster.rpc.settings import JOIN_SERVER_NAME
from cluster.store.change import Deleted
from cluster.store.state import ClusterState

log = structlog.get_logger()

LEADER_TIMEOUT_S: Final = 5.0
"""How long a request waits for the cluster to have a leader."""

ASK_TIMEOUT_S: Final = 1.0
HANDED_OVER_S: Final = 0.1


class ManagerRole:
    """The manager's part of a node; `run` it, then use `store`."""

    def __init__(  # noqa: PLR0913 - each argument is a part of its own
        self,
        *,
        membership: Membership,
        raft_dir: Path,
        credentials: NodeCredentials,
        api_socket: Path,
        clock: Clock,
        rng: random.Random,
        new_id: NewId,
        lock: NodeLock,
        save_credentials: Callable[[], Awaitable[None]],
    ) -> None:
        """Open the state on disk.

        Args:
            membership: this node's, with its raft ID and addresses.
            raft_dir: folder of log and snapshots.
            credentials: this manager's.
            api_socket: where this node serves the API.
            clock: the time.
            rng: spreads heartbeats.
            new_id: makes identifiers.
            lock: wraps the keys of this node on disk.
            save_credentials: writes the private key anew, as `lock` says.

        Raises:
            FatalStorageError: the state is damaged or another process has it.
        """
        self._credentials = credentials
        self._clock = clock
        self._own_addr = membership.manager_addr
        raft_id = membership.raft_id or FIRST_RAFT_ID
        self._peers = RaftPeers(raft_id, self._own_addr, self, self.connect)
        self.store: ReplicatedStore = open_store(
            raft_dir, clock, raft_id=raft_id, peers=self._peers, lock=lock
        )
        self.raft = self.store.driver
        self.lock_keeper = LockKeeper(lock, self.raft, save_credentials)
        self._peers.attach(self.raft)
        self._listen = split_addr(membership.listen_addr)
        issuer = CertificateIssuer(self.store, clock=clock, new_id=new_id)
        self._join_server = JoinServer(
            credentials, issuer, clock=clock, leader_addr=self.leader_addr
        )
        self.server = RpcServer(
            credentials,
            clock=clock,
            leader_addr=self.leader_addr,
            check_member=self._check_member,
        )
        self._peers.serve_on(self.server)
        self._dispatcher = Dispatcher(self.store, clock=clock, rng=rng, new_id=new_id)
        self._dispatcher.serve_on(self.server)
        Attachments(self.store, new_id).serve_on(self.server)
        self.logs = LogBroker(self.store, clock=clock, new_id=new_id)
        self.logs.serve_on(self.server)
        CertificateService(issuer).serve_on(self.server)
        self.server.handle(methods.LEAVE, Releases(self.store, self.check_demotion).release)
        ForwardedRequests(api_socket, lambda: self.store.is_leader).serve_on(self.server)
        roles = RoleManager(self.store, self.raft, next_raft_id)
        self._duties = leader_duties(self.store, self._dispatcher, self.logs, roles, clock, new_id)
        self.listening = asyncio.Event()
        self.is_informed = False  # whether the state was current once since the start
        self._leader_channel: NodeChannel | None = None
        self._is_channel_stale = False

    # -- AddressBook -------------------------------------------------------------------------

    def address_of(self, raft_id: int) -> str:
        """Return a member's host:port, "" if unknown."""
        node = self._node_of(raft_id)
        return node.manager_status.addr if node and node.manager_status else ""

    def owner_of(self, raft_id: int) -> NodeId | None:
        """Return the node that a raft ID was given to, None if unknown."""
        node = self._node_of(raft_id)
        return node.id if node else None

    def _node_of(self, raft_id: int) -> Node | None:
        for node in self.store.view().nodes:
            if node.manager_status is not None and node.manager_status.raft_id == raft_id:
                return node
        return None

    def connect(self, addr: str) -> NodeChannel:
        """Make a connection to another manager as this node."""
        return NodeChannel(addr, self._credentials)

    # -- leader ------------------------------------------------------------------------------

    def leader_id(self) -> NodeId | None:
        """Return the leading node as far as known."""
        return self.owner_of(self.store.leader)

    def leader_addr(self) -> str:
        """Return the leader's host:port, "" if unknown."""
        leader = self.store.leader
        return self._peers.address_of(leader) if leader else ""

    async def wait_leader(self) -> str:
        """Return the leader's host:port, or "" once this manager leads itself.

        Raises:
            NotLeader: there is none, for longer than an election takes.
        """
        try:
            async with asyncio.timeout(LEADER_TIMEOUT_S):
                while True:
                    if self.store.is_leader:
                        return ""
                    leader = self.store.leader
                    addr = self.leader_addr()
                    if addr and leader != self.raft.raft_id:
                        return addr
                    await asyncio.sleep(RETRY_S)
        except TimeoutError as error:
            raise NotLeader(NO_LEADER) from error

    async def diagnose(self) -> tuple[Finding, ...]:
        """Have all nodes look for trouble, and return what is wrong.

        Raises:
            NotLeader: another manager leads.
            Unavailable: it is being done already.
        """
        return await self._dispatcher.diagnose()

    async def ensure_current(self) -> None:
        """Return once this manager's state holds everything acknowledged before the call.

        The leader proves that it still leads; others ask it how far they have to be (Raft
        thesis, section 6.4).

        Raises:
            NotLeader: no leader answers.
        """
        try:
            async with asyncio.timeout(LEADER_TIMEOUT_S):
                while True:
                    if await self._is_current():
                        return
                    await asyncio.sleep(RETRY_S)
        except TimeoutError as error:
            raise NotLeader(NO_LEADER) from error

    async def _is_current(self) -> bool:
        try:
            if self.store.is_leader:
                await self.store.read_barrier()
                return True
            channel = await self._channel_to_leader()
            if channel is None:
                return False
            answer = await channel.call(methods.RAFT_READ_INDEX, Empty(), timeout_s=ASK_TIMEOUT_S)
        except (NotLeader, Unavailable):
            return False
        await self.raft.wait_applied(answer.index)
        return True

    async def _channel_to_leader(self) -> NodeChannel | None:
        """Return a connection to the leader, which is kept until another one leads."""
        addr = self.leader_addr()
        if not addr or addr == self._own_addr:
            return None
        channel, old = self._leader_channel, None
        if channel is None or channel.addr != addr or self._is_channel_stale:
            old, channel = channel, self.connect(addr)
            self._leader_channel = channel
            self._is_channel_stale = False
        if old is not None:
            await old.close()
        return channel

    async def forward(self, request: ForwardRequest) -> AsyncGenerator[ForwardPart, None]:
        """Let the leader answer a request to the API.

        Raises:
            NotLeader: there is none; the request was not carried out.
            Unavailable: the leader went away; the request may have been carried out.
        """
        deadline_s = self._clock.monotonic_s() + LEADER_TIMEOUT_S
        while True:
            channel = await self._channel_to_leader()
            if channel is None:
                raise NotLeader(NO_LEADER)
            async with aclosing(channel.stream(methods.FORWARD, request)) as parts:
                try:
                    head = await self._first_part(parts)
                except NotConnected as error:  # a new leader will be known soon
                    if self._clock.monotonic_s() > deadline_s:
                        raise NotLeader(NO_LEADER) from error
                    await asyncio.sleep(RETRY_S)
                    continue
                if head is None:
                    return
                yield head
                async for part in parts:
                    yield part
                return

    async def _first_part(self, parts: AsyncGenerator[ForwardPart, None]) -> ForwardPart | None:
        """Return the first part of an answer, as long as the one who was asked leads.

        A leader that stands still is replaced long before its connections end.
        """
        head: ForwardPart | None = None
        failure: ClusterError | None = None
        try:
            async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as group:
                watching = group.create_task(self._until_replaced(limit))
                try:
                    head = await anext(parts, None)
                except ClusterError as error:
                    failure = error
                finally:
                    watching.cancel()
        except TimeoutError as error:
            raise Unavailable(
                "leadership has moved while the request was carried out, which may still come to "
                "pass: look before you try again"
            ) from error
        if failure is None:
            return head
        if isinstance(failure, NotLeader | NotConnected) or not isinstance(failure, Unavailable):
            raise failure
        raise Unavailable(
            "the leader went away while the request was carried out, which may still come to pass:"
            f" look before you try again ({failure})"
        ) from failure

    async def _until_replaced(self, limit: asyncio.Timeout) -> None:
        asked = self.store.leader
        while True:
            await asyncio.sleep(RETRY_S)
            if self.store.leader not in (asked, 0):
                # Whoever handed over in good order still answers what it had begun.
                loop = asyncio.get_running_loop()
                limit.reschedule(loop.time() + HANDED_OVER_S)
                return

    # -- managers that go --------------------------------------------------------------------

    async def check_demotion(self, node: Node) -> None:
        """Refuse to demote a manager without which the others could not go on.

        Raises:
            FailedPrecondition: it would cost the quorum, or it is the last manager.
        """
        status = node.manager_status
        if status is None:
            return
        group = msgspec.structs.replace(view_of(self.raft), reachable=await self.raft.answering())
        refusal = quorum_refusal(group, status.raft_id)
        if refusal is not None:
            raise FailedPrecondition(refusal)

    @property
    def is_alone(self) -> bool:
        """Whether this manager has the only vote, so that nobody is there to let it go."""
        return self.raft.conf.voters == (self.raft.raft_id,)

    def leave_warning(self) -> str:
        """Return what a user must know before this manager leaves."""
        managers = [node for node in self.store.view().nodes if node.manager_status is not None]
        reachable = sum(1 for node in managers if node.status.state == "ready")
        if len(managers) <= 1:
            return LAST_MANAGER_LEAVES
        if not self.store.leader:
            return MANAGER_LEAVES.format(
                consequence="Doing so may lose the consensus of your cluster. "
            )
        if reachable - 1 >= majority(len(managers) - 1):
            return MANAGER_LEAVES.format(consequence="")
        too_few = TOO_FEW_LEFT.format(left=max(0, reachable - 1), all=len(managers))
        return MANAGER_LEAVES.format(consequence=too_few)

    # -- running -----------------------------------------------------------------------------

    def replace_credentials(self, credentials: NodeCredentials) -> None:
        """Serve with a renewed certificate from now on."""
        self._credentials = credentials
        self._is_channel_stale = True
        self._peers.replace_connections()
        self.server.replace_credentials(credentials)
        self._join_server.replace_credentials(credentials)

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            FailedPrecondition: the port is taken.
            FatalStorageError: the disk failed.
        """
        try:
            await self._serve()
        finally:
            self.store.close()
            if self._leader_channel is not None:
                await self._leader_channel.close()

    async def _serve(self) -> None:
        host, port = self._listen
        routes = {JOIN_SERVER_NAME: self._join_server.serve_connection}
        async with (
            asyncio.TaskGroup() as group,
            self.server,
            open_front(host, port, routes, self.server.serve_connection),
        ):
            group.create_task(self._peers.run(), name="raft peers")
            group.create_task(self.store.run(), name="raft")
            group.create_task(run_duties(self.store, self._duties), name="duties")
            group.create_task(self._become_informed(), name="catching up")
            group.create_task(self._follow_members(), name="members")
            self.listening.set()
            await asyncio.Event().wait()

    async def _follow_members(self) -> None:
        """Look at certificates of the roots that count now; break off with removed nodes."""
        async with self.store.subscribe() as feed:
            self._accept_roots(feed.start)
            async for committed in feed:
                for change in committed.changes:
                    if isinstance(change, Deleted) and isinstance(change.item, Node):
                        self.server.end_streams_of(change.item.id)
                    elif isinstance(change.item, Cluster):
                        self._accept_roots(committed.state)

    def _check_member(self, caller: NodeIdentity, chain_pem: str, method: Method[Any, Any]) -> None:
        may_lag = method in (methods.RAFT_MESSAGES, methods.RAFT_SNAPSHOT)
        check_member(caller, chain_pem, self.store.view(), may_lag=may_lag)

    def _accept_roots(self, state: ClusterState) -> None:
        if state.cluster is not None:
            self.server.accept_roots(accepted_roots(state.cluster))

    async def _become_informed(self) -> None:
        while not self.is_informed:
            try:
                await self.ensure_current()
            except NotLeader:
                continue
            self.is_informed = True
        # not before: what was read from the disk may name an unlock key of long ago
        await self.lock_keeper.follow(self.store)
