"""Serves nodes that have no certificate yet, over TLS with only the manager's certificate."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from cluster.ca.credentials import NodeCredentials
from cluster.ca.issuer import Issued
from cluster.clock import Clock
from cluster.errors import ClusterError, InvalidArgument, NotLeader, Unavailable
from cluster.model.node import Availability
from cluster.rpc.attempt_limit import AttemptLimit
from cluster.rpc.error_status import LeaderElsewhere, kind_of
from cluster.rpc.join_messages import (
    Answer,
    BadFrame,
    GetRootCa,
    IssueCertificate,
    IssuedAnswer,
    Question,
    Refusal,
    RootCaAnswer,
    read_question,
    write_frame,
)
from cluster.rpc.messages import CertificateResponse
from cluster.rpc.tls_context import server_context

log = structlog.get_logger()

_TIMEOUT_S: Final = 20.0


class Admission(Protocol):
    """Who decides on new members; `cluster.ca.issuer.CertificateIssuer` does."""

    def root_ca_pem(self) -> str:
        """Return the root certificate that members trust."""
        ...

    async def admit(
        self, token: str, csr_pem: str, availability: Availability, manager_addr: str
    ) -> Issued:
        """Make a new node and its certificate; raises a `ClusterError` otherwise."""
        ...


class JoinServer:
    """Answers questions of joining nodes, one a connection."""

    def __init__(
        self,
        credentials: NodeCredentials,
        admission: Admission,
        *,
        clock: Clock,
        leader_addr: Callable[[], str],
    ) -> None:
        """Serve as the manager of `credentials`.

        Args:
            credentials: what joining nodes recognise the cluster by.
            admission: decides.
            clock: measures the pause after many failures.
            leader_addr: host:port of the leader, "" if unknown; sent along with `NotLeader`.
        """
        self._context = server_context(credentials)
        self._admission = admission
        self._clock = clock
        self._leader_addr = leader_addr
        self._limit = AttemptLimit()

    def replace_credentials(self, credentials: NodeCredentials) -> None:
        """Use a renewed certificate for connections made from now on."""
        self._context = server_context(credentials)

    async def serve_connection(self, connection: socket.socket) -> None:
        """Serve one connection that the public port accepted, until it ends."""
        address = str(connection.getpeername()[0])
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._converse(connection, address)
        except (BadFrame, ssl.SSLError, OSError, TimeoutError) as error:
            log.debug("a joining node's connection broke", peer=address, error=str(error))

    async def _converse(self, connection: socket.socket, address: str) -> None:
        reader, writer = await _secured(connection, self._context)
        try:
            question = await read_question(reader)
            await write_frame(writer, await self._answer(question, address))
        finally:
            writer.close()
        await writer.wait_closed()

    async def _answer(self, question: Question, address: str) -> Answer:
        try:
            match question:
                case GetRootCa():
                    return RootCaAnswer(root_ca_pem=self._admission.root_ca_pem())
                case IssueCertificate():
                    return await self._admit(question, address)
        except ClusterError as error:
            leader = ""
            if isinstance(error, NotLeader):
                known = error.leader_addr if isinstance(error, LeaderElsewhere) else ""
                leader = known or self._leader_addr()
            return Refusal(kind=kind_of(error), message=str(error), leader_addr=leader)

    async def _admit(self, question: IssueCertificate, address: str) -> Answer:
        now_s = self._clock.monotonic_s()
        wait_s = self._limit.wait_s(address, now_s)
        if wait_s > 0:
            raise Unavailable(
                f"too many failed attempts to join from {address}: try again in {wait_s:.0f} s"
            )
        try:
            issued = await self._admission.admit(
                question.token, question.csr_pem, question.availability, question.manager_addr
            )
        except InvalidArgument as error:
            self._limit.failed(address, now_s)
            log.warning("a node was refused", peer=address, error=str(error))
            raise
        self._limit.succeeded(address)
        log.info("node admitted", node=issued.node_id, peer=address)
        return IssuedAnswer(
            certificate=CertificateResponse(
                node_id=issued.node_id,
                certificate_pem=issued.certificate_pem,
                root_ca_pem=issued.root_ca_pem,
                raft_id=issued.raft_id,
            )
        )


async def _secured(
    connection: socket.socket, context: ssl.SSLContext
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Do the server's side of the TLS handshake on an accepted connection."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=context)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
