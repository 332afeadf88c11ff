"""A membership in one cluster: the roles this node has in it, and its certificate's renewal."""

from __future__ import annotations

import asyncio
import random

import msgspec
import structlog

from cluster.ca.authority import new_key_and_request
from cluster.ca.chain import is_signed_by
from cluster.ca.credentials import NodeCredentials, belong_together
from cluster.ca.file_key import FileKey
from cluster.ca.key_files import KeyFiles
from cluster.ca.node_lock import NodeLock
from cluster.ca.renewal import renewal_time, retry_delay_s
from cluster.clock import Clock
from cluster.daemon.config import DaemonConfig
from cluster.daemon.manager_role import LEADER_TIMEOUT_S, ManagerRole
from cluster.daemon.resigning import DEMOTION_TIMEOUT_S, resign
from cluster.daemon.state_dir import Membership, StateDir
from cluster.daemon.worker_role import WorkerRole
from cluster.errors import ClusterError, FatalStorageError, Unavailable
from cluster.model.ids import NewId
from cluster.model.node import Node
from cluster.model.units import SECOND_NS
from cluster.replication.bootstrap import FIRST_RAFT_ID, create_joiner
from cluster.rpc import methods
from cluster.rpc.channel import NodeChannel
from cluster.rpc.error_status import LeaderElsewhere
from cluster.rpc.messages import CertificateResponse, LeaveRequest, RenewCertificateRequest

log = structlog.get_logger()

FILE_KEY = "key"
RENEW_TIMEOUT_S = 10.0
ROLE_RETRY_S = 1.0
WORKER_RELEASE_S = 2.0  # how long a worker that leaves asks whether it is one for the leader too
ROTATION_SPREAD_S = 0.5
FOLLOW_FASTER = 10.0  # than a renewal that is not urgent
LOOK_S = 0.05  # between two looks at a state that is on its way


class Member:
    """Runs the roles of one membership."""

    def __init__(
        self,
        membership: Membership,
        *,
        config: DaemonConfig,
        state_dir: StateDir,
        clock: Clock,
        rng: random.Random,
        new_id: NewId,
        lock: NodeLock,
    ) -> None:
        """Read the membership's files; `lock` must be open.

        Raises:
            FatalStorageError: they are damaged or missing.
        """
        self.membership = membership
        self._state_dir = state_dir
        self._api_socket = config.socket
        self._clock = clock
        self._rng = rng
        self._new_id = new_id
        self._group: asyncio.TaskGroup | None = None
        self._managing: asyncio.Task[None] | None = None
        self._renewing = asyncio.Lock()  # one certificate at a time, each on top of the last
        self._lock = lock
        self._key_files = KeyFiles(state_dir.certificates, lock)
        credentials = self._key_files.load()
        if credentials is None:
            raise FatalStorageError(
                f"{state_dir.certificates}: the node's certificate is missing; restore it from a"
                f" copy, or remove {state_dir.root} and join again"
            )
        self._credentials: NodeCredentials = credentials
        state_dir.tasks.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file_key = FileKey(state_dir.tasks / FILE_KEY, lock)
        self.worker = WorkerRole(
            tasks_dir=state_dir.tasks,
            config=config,
            addr=membership.advertise_addr,
            manager_addr=membership.manager_addr,
            seeds=membership.managers,
            credentials=credentials,
            clock=clock,
            rng=rng,
            seal=self._file_key,
        )
        # last, as it takes hold of the log on disk
        self.manager: ManagerRole | None = None
        if membership.role == "manager":
            self.manager = self._new_manager()

    async def run(self) -> None:
        """Run until cancelled.

        Raises:
            BaseExceptionGroup: of what made going on impossible.
        """
        async with asyncio.TaskGroup() as group:
            self._group = group
            if self.manager is None and self._lock.is_there:
                await self._open_up()  # a demotion was cut off
            if self.manager is not None:
                self._managing = group.create_task(self.manager.run(), name="manager")
            group.create_task(self.worker.run(), name="worker")
            group.create_task(self._renew_certificates(), name="renewal")
            group.create_task(self._follow_role(), name="role")
            group.create_task(self._follow_roots(), name="roots")

    async def wait_ready(self) -> None:
        """Return once a manager knows this node, and a manager has the cluster's state."""
        if self.manager is not None:
            await self.manager.listening.wait()
            while True:
                if self.manager.store.view().node(self.membership.node_id) is not None:
                    break
                await asyncio.sleep(LOOK_S)
            await self.manager.wait_leader()
            await self.manager.lock_keeper.settled.wait()
        await self.worker.registered.wait()

    async def resign(self) -> None:
        """Leave the managers in good order, also if this node has not heard yet that it is one.

        Raises:
            ClusterError: they cannot go on without this node, or have no leader.
        """
        node = self.worker.node
        is_wanted = node is not None and "manager" in (node.role, node.spec.role)
        is_manager = self.manager is not None or is_wanted
        patience_s = LEADER_TIMEOUT_S if is_manager else 0.0
        timeout_s = DEMOTION_TIMEOUT_S if is_manager else WORKER_RELEASE_S

        async def ask(addr: str) -> None:
            async with NodeChannel(addr, self._credentials) as channel:
                await channel.call(methods.LEAVE, LeaveRequest(), timeout_s=timeout_s)

        await resign(self._leader_addr, ask, patience_s=patience_s)

    def _leader_addr(self) -> str:
        """The leader's host:port, "" if unknown; a session tells it to who is new in the group."""
        known = self.manager.leader_addr() if self.manager is not None else ""
        return known or self.worker.leader_addr

    def _new_manager(self) -> ManagerRole:
        return ManagerRole(
            membership=self.membership,
            raft_dir=self._state_dir.raft,
            credentials=self._credentials,
            api_socket=self._api_socket,
            clock=self._clock,
            rng=self._rng,
            new_id=self._new_id,
            lock=self._lock,
            save_credentials=self._save_credentials,
        )

    # -- promotion and demotion --------------------------------------------------------------

    async def _follow_role(self) -> None:
        """Become what the managers say that this node is."""
        while True:
            await self.worker.node_changed.wait()
            self.worker.node_changed.clear()
            while not self._has_role(self.worker.node):
                assert self.worker.node is not None
                try:
                    await self._take_role(self.worker.node)
                except ClusterError as error:
                    log.warning("the new role is not taken yet", error=str(error))
                    await asyncio.sleep(ROLE_RETRY_S)

    def _has_role(self, node: Node | None) -> bool:
        if node is None:
            return True
        if node.role != self._credentials.identity.role:
            return False
        if node.role == "worker" or node.manager_status is None:
            return self.manager is None
        raft_id = self.membership.raft_id or FIRST_RAFT_ID
        return self.manager is not None and raft_id == node.manager_status.raft_id

    async def _take_role(self, node: Node) -> None:
        """Get the certificate of the role, then start or end what belongs to it.

        Each step leaves something that a restart can begin from: without the word of the
        membership file, log and snapshots are a leftover.
        """
        if node.role != self._credentials.identity.role:
            await self._renew()
        if node.role != self._credentials.identity.role:
            raise Unavailable("the managers have changed their mind")
        await self._end_manager()
        status = node.manager_status
        if node.role == "manager" and status is not None:
            await asyncio.to_thread(self._write_manager, status.raft_id)
            manager = await asyncio.to_thread(self._new_manager)
            assert self._group is not None
            self._managing = self._group.create_task(manager.run(), name="manager")
            self.manager = manager
            log.info("this node is a manager now", raft_id=status.raft_id)
        else:
            log.info("this node is a worker now")

    async def _end_manager(self) -> None:
        managing, self._managing, self.manager = self._managing, None, None
        if managing is not None:
            managing.cancel()
            await asyncio.wait([managing])
        if self._lock.is_there:
            # the order matters: a worker that restarts could not be unlocked
            await asyncio.to_thread(self._lock.begin_to_open)
            await self._save_credentials()
        await asyncio.to_thread(self._write_worker)
        if self._lock.is_there:
            await asyncio.to_thread(self._lock.complete)

    async def _open_up(self) -> None:
        await self._save_credentials()
        await asyncio.to_thread(self._lock.complete)

    async def _save_credentials(self) -> None:
        async with self._renewing:
            await asyncio.to_thread(self._key_files.save, self._credentials)
            await asyncio.to_thread(self._file_key.save)

    def _write_worker(self) -> None:
        self.membership = msgspec.structs.replace(self.membership, role="worker", raft_id=0)
        self._state_dir.save(self.membership)
        self._state_dir.forget_raft()

    def _write_manager(self, raft_id: int) -> None:
        create_joiner(self._state_dir.raft, self._lock)
        self.membership = msgspec.structs.replace(self.membership, role="manager", raft_id=raft_id)
        self._state_dir.save(self.membership)

    # -- roots -------------------------------------------------------------------------------

    async def _follow_roots(self) -> None:
        """Trust what the managers trust, and have a certificate of the root that signs."""
        failures = 0
        while True:
            await self.worker.roots_changed.wait()
            self.worker.roots_changed.clear()
            while not await self._has_roots():
                if not failures:
                    # all nodes hear of it at the same moment
                    await asyncio.sleep(self._rng.uniform(0.0, ROTATION_SPREAD_S))
                try:
                    await self._renew()
                    failures = 0
                except ClusterError as error:
                    failures += 1
                    log.warning("certificate of the new root not got yet", error=str(error))
                    await asyncio.sleep(retry_delay_s(failures, self._rng) / FOLLOW_FASTER)

    async def _has_roots(self) -> bool:
        """Adopt the root to trust; return whether the certificate needs no renewal for it."""
        assert self.worker.wanted_roots is not None
        root_pem, issuer_pem = self.worker.wanted_roots
        async with self._renewing:
            mine = self._credentials
            wanted = msgspec.structs.replace(mine, root_ca_pem=root_pem)
            if not is_signed_by(mine.certificate_pem, issuer_pem):
                return False
            if wanted != mine and belong_together(wanted):
                await self._adopt(wanted)
                log.info("root of trust replaced", node=self.membership.node_id)
            return True

    # -- certificate -------------------------------------------------------------------------

    async def _renew_certificates(self) -> None:
        failures = 0
        while True:
            due = renewal_time(self._credentials.identity, self._rng)
            pause_s = max(0.0, (due - self._clock.now()) / SECOND_NS)
            if failures:
                pause_s = retry_delay_s(failures, self._rng)
            await asyncio.sleep(pause_s)
            try:
                await self._renew()
            except ClusterError as error:
                failures += 1
                log.warning("certificate not renewed", error=str(error), failures=failures)
            else:
                failures = 0

    async def _renew(self) -> None:
        async with self._renewing:
            await self._renew_once()

    async def _renew_once(self) -> None:
        key_pem, csr_pem = new_key_and_request()
        answer = await self._ask_for_certificate(csr_pem)
        fresh = NodeCredentials(
            key_pem=key_pem,
            certificate_pem=answer.certificate_pem,
            root_ca_pem=answer.root_ca_pem,
        )
        await self._adopt(fresh)
        log.info("certificate renewed", node=self.membership.node_id, role=fresh.identity.role)

    async def _adopt(self, fresh: NodeCredentials) -> None:
        await asyncio.to_thread(self._key_files.save, fresh)
        self._credentials = fresh
        self.worker.replace_credentials(fresh)
        if self.manager is not None:
            self.manager.replace_credentials(fresh)

    async def _ask_for_certificate(self, csr_pem: str) -> CertificateResponse:
        """Ask one manager after the other; whoever does not lead says who does."""
        known = [manager.addr for manager in self.worker.managers]
        asked: list[str] = []
        failure: ClusterError = Unavailable("no manager is known")
        waiting = [*self._rng.sample(known, len(known)), *self.membership.managers]
        while waiting:
            addr = waiting.pop(0)
            if addr in asked:
                continue
            asked.append(addr)
            try:
                async with NodeChannel(addr, self._credentials) as channel:
                    return await channel.call(
                        methods.RENEW_CERTIFICATE,
                        RenewCertificateRequest(csr_pem=csr_pem),
                        timeout_s=RENEW_TIMEOUT_S,
                    )
            except Unavailable as error:
                failure = error
                if isinstance(error, LeaderElsewhere) and error.leader_addr:
                    waiting.insert(0, error.leader_addr)
        raise failure


async def end_of(member: Member) -> ClusterError:
    """Run a member until an error that may pass ends it, and return that."""
    errors: list[ClusterError] = []
    try:
        await member.run()
    except* ClusterError as group:
        errors.append(_first(group))
    return errors[0]


def _first(group: BaseExceptionGroup[ClusterError]) -> ClusterError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
