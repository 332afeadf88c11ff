"""The life of the process: serve the API, be a member or none, stop in order."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import structlog

from cluster.api.local_node import (
    NOT_PART_OF_SWARM,
    AskLeader,
    InitRequest,
    JoinRequest,
    LocalNodeInfo,
    LocalState,
    LogSource,
    RemoteManager,
    RestoreRequest,
    already_in_swarm,
    not_manager,
)
from cluster.api.server import ApiServer
from cluster.ca.credentials import NodeCredentials
from cluster.ca.node_lock import NodeLock
from cluster.clock import SystemClock
from cluster.control.backoff import pause_ns
from cluster.daemon.addresses import (
    address_towards,
    resolve_advertise_addr,
    resolve_listen_addr,
    with_port,
)
from cluster.daemon.config import DEFAULT_LISTEN_ADDR, DaemonConfig
from cluster.daemon.engine_check import check_engine
from cluster.daemon.founding import ask_to_join, found_cluster
from cluster.daemon.manager_role import ManagerRole
from cluster.daemon.member import Member, end_of
from cluster.daemon.membership_files import readdressed, write_alone, write_member
from cluster.daemon.resigning import NO_LEADER
from cluster.daemon.restoring import restore_cluster
from cluster.daemon.state_dir import Membership, StateDir
from cluster.daemon.worker_role import WorkerRole
from cluster.errors import ClusterError, FailedPrecondition, Unavailable
from cluster.model.attachment import PlainPlace
from cluster.model.diagnosis import Finding
from cluster.model.ids import ID_LENGTH, NodeId, TaskId, id_from_int
from cluster.model.node import Node
from cluster.model.units import SECOND_NS
from cluster.replication.backup import open_backup, seal_backup
from cluster.rpc.messages import ForwardPart, ForwardRequest
from cluster.store.interface import ClusterStore
from cluster.store.state import ClusterState

log = structlog.get_logger()

JOIN_TIMEOUT_S = 20.0
STABLE_AFTER_S = 60.0  # roles that ran so long begin a new row of failures
_JOIN_TIMEOUT_TEXT = (
    "Timeout was reached before node joined. The attempt to join the swarm will continue in the"
    ' background. Use the "docker info" command to see the current swarm status of your node.'
)


def new_id() -> str:
    """Return a fresh random identifier."""
    return id_from_int(secrets.randbelow(36**ID_LENGTH))


class NodeProcess:
    """The node; implements the API's port `LocalNode`."""

    def __init__(self, config: DaemonConfig) -> None:
        """Prepare; nothing is read or opened yet."""
        self._config = config
        self._state_dir = StateDir(config.state_dir)
        self._clock = SystemClock()
        self._rng = random.Random()  # noqa: S311 - spreads pauses, guards nothing
        self._changing = asyncio.Lock()  # one init, join or leave at a time
        self._group: asyncio.TaskGroup | None = None
        self._member: Member | None = None
        self._running: asyncio.Task[None] | None = None
        self._is_joining = False
        self._lock: NodeLock | None = None
        self._locked: Membership | None = None  # while an unlock key is waited for
        self._error = ""  # what ended the roles, while they wait to be started again

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; containers then go on without us.

        Raises:
            BaseExceptionGroup: of what made starting or going on impossible.
        """
        with self._state_dir.lock():
            membership = self._state_dir.load()
            if membership is None:
                self._state_dir.sweep()
            self._lock = NodeLock(self._state_dir.root)
            async with asyncio.TaskGroup() as group:
                self._group = group
                if membership is not None and self._lock.is_locked:
                    self._locked = membership
                    log.warning("this manager is locked: it needs its unlock key")
                elif membership is not None:
                    await self._start(self._moved(membership))
                api = ApiServer(
                    self, engine_socket=self._config.engine_socket, clock=self._clock, new_id=new_id
                )
                self._config.socket.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                serving = group.create_task(
                    api.serve(self._config.socket, self._config.tcp), name="api"
                )
                log.info("stackd started", socket=str(self._config.socket))
                await stop.wait()
                log.info("stackd stops; containers go on")
                serving.cancel()
                if self._running is not None:
                    self._running.cancel()

    def _moved(self, membership: Membership) -> Membership:
        """Take a new address from the command line; the managers learn it from the session."""
        if not self._config.advertise_addr:
            return membership
        moved = readdressed(membership, self._config.advertise_addr)
        if moved != membership:
            log.info(
                "this node has moved", before=membership.advertise_addr, now=moved.advertise_addr
            )
            self._state_dir.save(moved)
        return moved

    # -- LocalNode ---------------------------------------------------------------------------

    def info(self) -> LocalNodeInfo:
        """Return this node's place in a cluster."""
        member = self._member
        if self._locked is not None:
            return LocalNodeInfo(node_id=self._locked.node_id, local_state="locked")
        if member is None:
            return LocalNodeInfo(local_state="pending" if self._is_joining else "inactive")
        managers = tuple(
            RemoteManager(node_id=m.node_id, addr=m.addr) for m in member.worker.managers
        )
        return LocalNodeInfo(
            node_id=member.membership.node_id,
            addr=member.membership.advertise_addr,
            local_state=self._local_state(),
            control_available=member.manager is not None,
            error=self._error,
            remote_managers=managers,
        )

    def _local_state(self) -> LocalState:
        if self._error:
            return "error"
        return "pending" if self._is_joining else "active"

    def leader_id(self) -> NodeId | None:
        """Return the leading manager, None if this node does not know it."""
        member = self._member
        return None if member is None or member.manager is None else member.manager.leader_id()

    def store(self) -> ClusterStore:
        """Return the cluster's state, to change it.

        Raises:
            NotManager: this node is none.
            AskLeader: another manager leads.
        """
        manager = self._manager()
        if not manager.store.is_leader:
            raise AskLeader
        return manager.store

    def replica(self) -> ClusterStore:
        """Return this manager's copy of the cluster's state, to read.

        Raises:
            NotManager: this node is none.
            Unavailable: what was read from the disk may lack the newest acknowledged changes,
                so it must not be shown.
        """
        manager = self._manager()
        if not manager.is_informed:
            raise Unavailable(NO_LEADER)
        return manager.store

    async def ensure_current(self) -> None:
        """Return once `replica` holds everything acknowledged before this call."""
        member = self._member
        if member is not None and member.manager is not None:
            await member.manager.ensure_current()
            member.manager.is_informed = True

    async def wait_leader(self) -> bool:
        """Wait until somebody leads, and say whether it is this node."""
        return not await self._manager().wait_leader()

    def forward(self, request: ForwardRequest) -> AsyncGenerator[ForwardPart, None]:
        """Let the leader answer a request."""
        return self._manager().forward(request)

    async def check_demotion(self, node: Node) -> None:
        """Refuse to demote a manager without which the others could not go on."""
        await self._manager().check_demotion(node)

    def leave_warning(self) -> str:
        """Return what a user must know before this manager leaves."""
        return self._manager().leave_warning()

    def _manager(self) -> ManagerRole:
        member = self._member
        if member is None or member.manager is None:
            raise not_manager(self.info())
        return member.manager

    def logs(self) -> LogSource:
        """Return where the logs of tasks come from; raises as `store` does."""
        self.store()
        return self._manager().logs

    async def diagnose(self) -> tuple[Finding, ...]:
        """Have all nodes look for trouble; raises as `store` does."""
        self.store()
        return await self._manager().diagnose()

    async def attach(self, network: str, address: str) -> PlainPlace:
        """Get a place for a plain container in a network of the cluster."""
        return await self._worker().plain_containers.attach(network, address)

    async def release(self, attachment_id: TaskId) -> None:
        """Give back a place that no container came to need."""
        await self._worker().plain_containers.release(attachment_id)

    def made(self, attachment_id: TaskId) -> None:
        """Take note that a place has its container."""
        self._worker().plain_containers.made(attachment_id)

    def network_name(self, text: str) -> str | None:
        """Return the name of a network that this node is in, by name or ID; else None."""
        return self._worker().network_name(text)

    def _worker(self) -> WorkerRole:
        if self._member is None:
            raise not_manager(self.info())
        return self._member.worker

    async def init(self, request: InitRequest) -> NodeId:
        """Make a cluster with this node as its first manager."""
        async with self._changing:
            if self._locked is not None:
                raise not_manager(self.info())
            if self._member is not None:
                if request.force_new_cluster:
                    return await self._restart_alone(self._member, request)
                raise already_in_swarm()
            listen_host, port = resolve_listen_addr(request.listen_addr)
            advertise_host = resolve_advertise_addr(request.advertise_addr, listen_host)
            await check_engine(self._config.engine_socket)
            membership, credentials, initial = found_cluster(
                request,
                listen_addr=with_port(listen_host, port),
                advertise_host=advertise_host,
                advertise_addr=with_port(advertise_host, port),
                clock=self._clock,
                new_id=new_id,
            )
            initial_state = ClusterState().apply(initial)
            await self._become_member(membership, credentials, initial_state)
            return membership.node_id

    async def join(self, request: JoinRequest) -> None:
        """Join a cluster."""
        async with self._changing:
            if self._member is not None or self._locked is not None:
                raise already_in_swarm()
            remotes = tuple(with_port(addr) for addr in request.remote_addrs if addr)
            listen_host, port = resolve_listen_addr(request.listen_addr)
            await check_engine(self._config.engine_socket)
            if request.advertise_addr or not remotes:
                advertise_host = resolve_advertise_addr(request.advertise_addr, listen_host)
            else:
                advertise_host = await asyncio.to_thread(address_towards, remotes[0])
            membership, credentials = await ask_to_join(
                remote_addrs=remotes,
                token=request.join_token,
                availability=request.availability,
                listen_addr=with_port(listen_host, port),
                advertise_host=advertise_host,
                manager_addr=with_port(advertise_host, port),
            )
            await self._become_member(membership, credentials)

    async def leave(self, *, force: bool) -> None:
        """Leave the cluster; a manager only with `force`.

        Other managers are asked to let this one go first, so that they need not count on it.
        With `force` it goes whatever they say.
        """
        async with self._changing:
            member = self._member
            if self._locked is not None:
                if not force:
                    raise not_manager(self.info())
                await self._end_membership()
                return
            if member is None:
                raise Unavailable(NOT_PART_OF_SWARM)
            if member.manager is not None and not force:
                raise Unavailable(member.manager.leave_warning())
            if member.manager is None or not member.manager.is_alone:
                try:
                    await member.resign()
                except ClusterError as error:
                    log.warning("left without the managers' consent", error=str(error))
            await member.worker.leave()
            await self._end_membership()
            log.info("left the cluster", cluster=member.membership.cluster_id)

    async def backup(self, passphrase: str) -> bytes:
        """Return a sealed copy of the cluster; in a thread, as deriving the key takes a while."""
        state = self.replica().view()
        return await asyncio.to_thread(seal_backup, state, passphrase, self._clock.now())

    async def restore(self, request: RestoreRequest, content: bytes) -> NodeId:
        """Begin anew with the cluster in a backup; nothing is written before all of it is read."""
        async with self._changing:
            if self._member is not None or self._locked is not None:
                raise already_in_swarm()
            state = await asyncio.to_thread(open_backup, content, request.passphrase)
            listen_host, port = resolve_listen_addr(request.listen_addr)
            advertise_host = resolve_advertise_addr(request.advertise_addr, listen_host)
            await check_engine(self._config.engine_socket)
            membership, credentials, initial = restore_cluster(
                state,
                availability=request.availability,
                listen_addr=with_port(listen_host, port),
                advertise_host=advertise_host,
                advertise_addr=with_port(advertise_host, port),
                clock=self._clock,
                new_id=new_id,
                author=request.author,
            )
            await self._become_member(membership, credentials, initial)
            log.info("cluster restored", cluster=membership.cluster_id)
            return membership.node_id

    async def unlock(self, unlock_key: str) -> None:
        """Open this manager's keys and start it; it may take a while until it is of use."""
        async with self._changing:
            membership, lock = self._locked, self._lock
            if membership is None or lock is None:
                raise FailedPrecondition("swarm is not locked")
            await asyncio.to_thread(lock.unlock, unlock_key)
            self._locked = None
            member = await self._start(membership)
            log.info("unlocked", cluster=membership.cluster_id)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(JOIN_TIMEOUT_S):
                    await member.wait_ready()

    async def _restart_alone(self, member: Member, request: InitRequest) -> NodeId:
        """Go on as the only manager, with everything this one knows (`--force-new-cluster`)."""
        if member.manager is None:
            raise not_manager(self.info())
        membership = member.membership
        if request.advertise_addr:
            membership = readdressed(membership, request.advertise_addr)
        if request.listen_addr not in ("", DEFAULT_LISTEN_ADDR):
            listen_addr = with_port(*resolve_listen_addr(request.listen_addr))
            membership = msgspec.structs.replace(membership, listen_addr=listen_addr)
        self._is_joining = True
        try:
            await self._end_roles()
            author, lock = request.author, self._node_lock()
            await asyncio.to_thread(
                write_alone, self._state_dir, lock, self._clock, membership, author
            )
            await self._start_and_wait(membership, is_new=False)
        finally:
            self._is_joining = False
        log.warning("went on as the only manager", node=membership.node_id)
        return membership.node_id

    # -- membership --------------------------------------------------------------------------

    async def _become_member(
        self,
        membership: Membership,
        credentials: NodeCredentials,
        initial: ClusterState | None = None,
    ) -> None:
        """Write what makes the node a member and start; whatever fails leaves it a member of none.

        Args:
            membership: written last.
            credentials: this node's.
            initial: the first state of a new cluster, None when one is joined.
        """
        self._is_joining = True
        try:
            lock = self._node_lock()
            await asyncio.to_thread(
                write_member, self._state_dir, lock, membership, credentials, initial
            )
            await self._start_and_wait(membership)
        finally:
            self._is_joining = False

    async def _start_and_wait(self, membership: Membership, *, is_new: bool = True) -> None:
        """Start a member's roles and wait for them; a new membership ends if they fail."""
        assert self._group is not None
        failed: asyncio.Future[ClusterError] = asyncio.get_running_loop().create_future()
        try:
            member = await self._start(membership, failed if is_new else None)
        except BaseException:
            if is_new:
                await self._end_membership()
            raise
        ready = self._group.create_task(member.wait_ready(), name="wait until ready")
        either: set[asyncio.Future[Any]] = {ready, failed}
        await asyncio.wait(either, timeout=JOIN_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        is_ready = ready.done()
        ready.cancel()
        if failed.done():
            await self._end_membership()
            raise failed.result()
        failed.cancel()  # from here on a failure is nobody's answer: the member is started again
        if not is_ready:
            raise Unavailable(_JOIN_TIMEOUT_TEXT)

    async def _start(
        self, membership: Membership, failed: asyncio.Future[ClusterError] | None = None
    ) -> Member:
        """Start a member's roles; an error of their start goes to `failed` if somebody waits."""
        assert self._group is not None
        member = self._member = await asyncio.to_thread(self._new_member, membership)
        self._running = self._group.create_task(self._keep(member, failed), name="member")
        return member

    def _new_member(self, membership: Membership) -> Member:
        return Member(
            membership,
            config=self._config,
            state_dir=self._state_dir,
            clock=self._clock,
            rng=self._rng,
            new_id=new_id,
            lock=self._node_lock(),
        )

    def _node_lock(self) -> NodeLock:
        assert self._lock is not None, "run() has it"
        return self._lock

    async def _keep(self, member: Member, failed: asyncio.Future[ClusterError] | None) -> None:
        """Run a member, and start it again whenever something that may pass has ended it.

        Errors of the disk are not caught: with them the process must end.
        """
        failures = 0
        while True:
            began_s = self._clock.monotonic_s()
            error = await end_of(member)
            if failed is not None and not failed.done():
                failed.set_result(error)
                return
            if self._clock.monotonic_s() - began_s > STABLE_AFTER_S:
                failures = 0
            failures += 1
            self._error = str(error)
            log.error("the node's roles failed and start again", error=self._error)
            await asyncio.sleep(pause_ns(failures) / SECOND_NS)
            member = self._member = await asyncio.to_thread(self._new_member, member.membership)
            self._error = ""

    async def _end_roles(self) -> None:
        running, self._running = self._running, None
        self._member = None
        self._locked = None
        if running is not None:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    async def _end_membership(self) -> None:
        await self._end_roles()
        await asyncio.to_thread(self._state_dir.forget)
        if self._lock is not None:
            self._lock.forget()
