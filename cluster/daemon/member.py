"""A membership in one cluster: the roles this node has in it, and its certificate's renewal."""

from __future__ import annotations

import asyncio
import random

import structlog

from cluster.ca.authority import new_key_and_request
from cluster.ca.credentials import NodeCredentials
from cluster.ca.key_files import KeyFiles
from cluster.ca.renewal import renewal_time, retry_delay_s
from cluster.clock import Clock
from cluster.daemon.config import DaemonConfig
from cluster.daemon.manager_role import ManagerRole
from cluster.daemon.state_dir import Membership, StateDir
from cluster.daemon.worker_role import WorkerRole
from cluster.errors import ClusterError, FatalStorageError, Unavailable
from cluster.model.ids import NewId
from cluster.model.units import SECOND_NS
from cluster.rpc import methods
from cluster.rpc.channel import NodeChannel
from cluster.rpc.join_client import split_addr
from cluster.rpc.messages import RenewCertificateRequest

log = structlog.get_logger()

RENEW_TIMEOUT_S = 10.0


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
    ) -> None:
        """Read the membership's files.

        Raises:
            FatalStorageError: they are damaged or missing.
        """
        self.membership = membership
        self._clock = clock
        self._rng = rng
        self._key_files = KeyFiles(state_dir.certificates)
        credentials = self._key_files.load()
        if credentials is None:
            raise FatalStorageError(
                f"{state_dir.certificates}: the node's certificate is missing; restore it from a"
                f" copy, or remove {state_dir.root} and join again"
            )
        self._credentials: NodeCredentials = credentials
        self.worker = WorkerRole(
            tasks_dir=state_dir.tasks,
            config=config,
            addr=membership.advertise_addr,
            seeds=membership.managers,
            credentials=credentials,
            clock=clock,
            rng=rng,
        )
        # last, as it takes hold of the log on disk
        self.manager: ManagerRole | None = None
        if membership.role == "manager":
            self.manager = ManagerRole(
                raft_dir=state_dir.raft,
                listen=split_addr(membership.listen_addr),
                credentials=credentials,
                clock=clock,
                rng=rng,
                new_id=new_id,
            )

    async def run(self) -> None:
        """Run until cancelled.

        Raises:
            BaseExceptionGroup: of what made going on impossible.
        """
        async with asyncio.TaskGroup() as group:
            if self.manager is not None:
                group.create_task(self.manager.run(), name="manager")
            group.create_task(self.worker.run(), name="worker")
            group.create_task(self._renew_certificates(), name="renewal")

    async def wait_ready(self) -> None:
        """Return once a manager knows this node (and, on a manager, once it leads)."""
        if self.manager is not None:
            await self.manager.listening.wait()
            await self.manager.store.wait_leader()
        await self.worker.registered.wait()

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
        known = [manager.addr for manager in self.worker.managers] or self.membership.managers
        if not known:
            raise Unavailable("no manager is known")
        key_pem, csr_pem = new_key_and_request()
        async with NodeChannel(self._rng.choice(known), self._credentials) as channel:
            answer = await channel.call(
                methods.RENEW_CERTIFICATE,
                RenewCertificateRequest(csr_pem=csr_pem),
                timeout_s=RENEW_TIMEOUT_S,
            )
        fresh = NodeCredentials(
            key_pem=key_pem,
            certificate_pem=answer.certificate_pem,
            root_ca_pem=answer.root_ca_pem,
        )
        await asyncio.to_thread(self._key_files.save, fresh)
        self._credentials = fresh
        self.worker.replace_credentials(fresh)
        if self.manager is not None:
            self.manager.replace_credentials(fresh)
        log.info("certificate renewed", node=self.membership.node_id)
