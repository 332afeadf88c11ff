"""The joining node's side: recognise the cluster, then ask to become a member."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from cluster.ca.identity import identity_of
from cluster.ca.join_token import is_root_of, parse_join_token
from cluster.errors import InvalidArgument, PermissionDenied, Unauthenticated, Unavailable
from cluster.model.node import Availability
from cluster.rpc.error_status import LeaderElsewhere, error_of_kind
from cluster.rpc.join_messages import (
    Answer,
    BadFrame,
    GetRootCa,
    IssueCertificate,
    IssuedAnswer,
    Question,
    Refusal,
    RootCaAnswer,
    read_answer,
    write_frame,
)
from cluster.rpc.messages import CertificateResponse
from cluster.rpc.settings import JOIN_SERVER_NAME
from cluster.rpc.tls_context import client_context, unverified_client_context

_REDIRECTS: Final = 3
_TIMEOUT_S: Final = 10.0


async def fetch_root_ca(addr: str, token: str) -> str:
    """Return the root certificate of the cluster that the token belongs to.

    The manager at `addr` (host:port) is believed only if the certificate it gives has the digest
    that stands in the token.

    Raises:
        InvalidArgument: "invalid join token": the token has not the form of one, or `addr` is no
            host:port.
        Unauthenticated: the manager belongs to another cluster, or is a fraud.
        Unavailable: it cannot be reached.
    """
    parsed = parse_join_token(token)
    answer = await _ask(addr, unverified_client_context(), GetRootCa())
    match answer:
        case RootCaAnswer():
            pass
        case Refusal():
            raise _refused(answer, addr)
        case IssuedAnswer():
            raise _misunderstood(addr)
    if not is_root_of(parsed, answer.root_ca_pem):
        raise Unauthenticated(
            f"the manager at {addr} is of another cluster than the token: the digest of its root"
            " certificate differs; check the address, or get a new token from that cluster"
        )
    return answer.root_ca_pem


async def request_certificate(
    addr: str,
    token: str,
    root_ca_pem: str,
    csr_pem: str,
    *,
    availability: Availability,
    manager_addr: str,
) -> CertificateResponse:
    """Become a member: return the new node's ID and certificate.

    A manager that does not lead names the leader, which is then asked.

    Args:
        addr: host:port of a manager.
        token: decides the role.
        root_ca_pem: what `fetch_root_ca` returned.
        csr_pem: request for the certificate of a key that stays here.
        availability: whether the new node takes tasks at once.
        manager_addr: host:port on which it will be reached if the token makes it a manager.

    Raises:
        InvalidArgument: "invalid join token": it is none of the cluster's.
        LeaderElsewhere: the cluster has no leader now.
        Unauthenticated: the manager cannot prove that it belongs to the cluster.
        Unavailable: it cannot be reached, or refuses for the moment.
    """
    question = IssueCertificate(
        token=token.strip(),
        csr_pem=csr_pem,
        availability=availability,
        manager_addr=manager_addr,
    )
    context = client_context(root_ca_pem)
    asked = addr
    for _ in range(_REDIRECTS):
        answer = await _ask(asked, context, question)
        if isinstance(answer, IssuedAnswer):
            return answer.certificate
        if isinstance(answer, RootCaAnswer):
            raise _misunderstood(asked)
        error = _refused(answer, asked)
        if not isinstance(error, LeaderElsewhere) or not error.leader_addr:
            raise error
        asked = error.leader_addr
    raise LeaderElsewhere("the cluster has no leader now: try again", "")


async def _ask(addr: str, context: ssl.SSLContext, question: Question) -> Answer:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await _converse(addr, context, question)
    except TimeoutError as error:
        raise Unavailable(
            f"the manager at {addr} did not answer within {_TIMEOUT_S:.0f} s:"
            " check the address, the port and firewalls between"
        ) from error


async def _converse(addr: str, context: ssl.SSLContext, question: Question) -> Answer:
    host, port = split_addr(addr)
    try:
        reader, writer = await asyncio.open_connection(
            host, port, ssl=context, server_hostname=JOIN_SERVER_NAME
        )
    except ssl.SSLCertVerificationError as error:
        raise Unauthenticated(
            f"the manager at {addr} cannot prove that it belongs to the cluster:"
            f" {error.verify_message}"
        ) from error
    except OSError as error:  # also TLS errors
        raise Unavailable(
            f"the manager at {addr} cannot be reached: {error.strerror or error};"
            " check the address, the port and firewalls between"
        ) from error
    try:
        if context.verify_mode is ssl.CERT_REQUIRED:
            _check_is_manager(writer, addr)
        await write_frame(writer, question)
        return await read_answer(reader)
    except (OSError, BadFrame) as error:
        raise Unavailable(f"the manager at {addr} broke off: {error}") from error
    finally:
        writer.close()


def split_addr(addr: str) -> tuple[str, int]:
    """Take host:port or [IPv6]:port apart.

    Raises:
        InvalidArgument: it has another form.
    """
    host, _, port = addr.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InvalidArgument(f"address {addr!r} is not of the form host:port")
    return host, int(port)


def _check_is_manager(writer: asyncio.StreamWriter, addr: str) -> None:
    shown: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    assert shown is not None, "the handshake required a certificate"
    if identity_of(ssl.DER_cert_to_PEM_cert(shown)).role != "manager":
        raise PermissionDenied(f"the node at {addr} is no manager: give the address of one")


def _refused(refusal: Refusal, addr: str) -> Exception:
    error = error_of_kind(refusal.kind, refusal.message, refusal.leader_addr)
    return error or Unavailable(f"the manager at {addr} refused: {refusal.message}")


def _misunderstood(addr: str) -> Exception:
    return Unavailable(f"the manager at {addr} answered another question than was asked")
