"""Every method between nodes, called with every kind of certificate, over real TLS."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest

from cluster.ca.authority import Authority, new_key_and_request
from cluster.ca.credentials import NodeCredentials
from cluster.ca.membership import check_member
from cluster.ca.root_rotation import accepted_roots, begin, chain_of
from cluster.clock import SystemClock
from cluster.errors import InvalidArgument, PermissionDenied, Unauthenticated, Unavailable
from cluster.model.cluster import RemovedNode, RetiredRoot
from cluster.model.ids import ClusterId, NodeId
from cluster.model.units import SECOND_NS, Timestamp
from cluster.rpc import methods
from cluster.rpc.channel import NodeChannel
from cluster.rpc.front import open_front
from cluster.rpc.messages import LogOrder, LogsRequest
from cluster.rpc.methods import ALL_METHODS, MANAGERS
from cluster.rpc.server import RpcServer
from cluster.rpc.tls_context import client_context, server_context, unverified_client_context
from cluster.store.change import Created
from cluster.store.state import ClusterState
from tests.support.identities import CLUSTER_ID, cluster_object, credentials, root_ca

NOW = SystemClock().now()
STATE = ClusterState().apply(
    (
        Created(
            msgspec.structs.replace(
                cluster_object(),
                removed_nodes=tuple(
                    RemovedNode(id=NodeId(name), until=Timestamp(NOW + 3600 * SECOND_NS))
                    for name in ("gone-worker", "gone-manager")
                ),
            )
        ),
    )
)
HANDLED = "the handler was reached"


def expired(node_id: str) -> NodeCredentials:
    key_pem, csr_pem = new_key_and_request()
    certificate_pem = Authority(root_ca()).sign(
        csr_pem,
        node_id=NodeId(node_id),
        role="manager",
        cluster_id=CLUSTER_ID,
        validity_ns=SECOND_NS,
        now=Timestamp(NOW - 10 * SECOND_NS),
    )
    return NodeCredentials(
        key_pem=key_pem, certificate_pem=certificate_pem, root_ca_pem=root_ca().cert_pem
    )


async def reached(caller, request):
    raise InvalidArgument(HANDLED)


async def reached_stream(caller, request):
    raise InvalidArgument(HANDLED)
    yield


@asynccontextmanager
async def serving(state=STATE, who=None, roots=""):
    server = RpcServer(
        who or credentials("m1", "manager"),
        clock=SystemClock(),
        leader_addr=str,
        check_member=lambda caller, chain, method: check_member(
            caller, chain, state, may_lag=method is methods.RAFT_MESSAGES
        ),
    )
    if roots:
        server.accept_roots(roots)
    for method in ALL_METHODS:
        if method.is_streaming:
            server.handle_stream(method, reached_stream)
        else:
            server.handle(method, reached)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server)
        host, port = await stack.enter_async_context(
            open_front("127.0.0.1", 0, {}, server.serve_connection)
        )
        yield f"{host}:{port}"


async def call(addr, who, method) -> Exception:
    """Call a method and return the error it ends with.

    The caller is looked at before the request, so one that cannot be read shows who is let in.
    """
    request: object = {"no such member": 1}
    async with NodeChannel(addr, who) as channel:
        try:
            if method.is_streaming:
                async for _ in channel.stream(method, request):
                    pass
            else:
                await channel.call(method, request, timeout_s=5)
        except Exception as error:
            return error
    raise AssertionError("no answer is possible")


def is_past_the_door(error: Exception) -> bool:
    """Whether the caller was let in: then only the request is wrong, or the handler answers."""
    return isinstance(error, InvalidArgument)


@pytest.mark.parametrize("method", ALL_METHODS, ids=lambda method: method.name)
async def test_each_method_lets_in_whom_it_is_for(method) -> None:
    async with serving() as addr:
        manager = await call(addr, credentials("m2", "manager"), method)
        assert is_past_the_door(manager)
        worker = await call(addr, credentials("w1", "worker"), method)
        if method.roles == MANAGERS:
            assert isinstance(worker, PermissionDenied)
            assert "is for a manager: node w1 is a worker" in str(worker)
        else:
            assert is_past_the_door(worker)
        for gone in (credentials("gone-worker", "worker"), credentials("gone-manager", "manager")):
            refusal = await call(addr, gone, method)
            assert isinstance(refusal, PermissionDenied)
        stranger = credentials("m2", "manager", cluster_id=ClusterId("other"))
        assert isinstance(await call(addr, stranger, method), Unauthenticated)
        theirs = credentials("m2", "manager", root="theirs")
        mixed = msgspec.structs.replace(theirs, root_ca_pem=root_ca().cert_pem)
        assert isinstance(await call(addr, mixed, method), Unavailable)  # no TLS connection
        assert isinstance(await call(addr, expired("m2"), method), Unavailable | Unauthenticated)


def test_only_what_a_node_needs_is_open_to_workers() -> None:
    open_to_workers = {method.name for method in ALL_METHODS if "worker" in method.roles}
    assert open_to_workers == {
        "Dispatcher/Session",
        "Dispatcher/Heartbeat",
        "Dispatcher/Assignments",
        "Dispatcher/UpdateTaskStatus",
        "Dispatcher/AcknowledgeView",
        "Dispatcher/Goodbye",
        "Dispatcher/ReportDiagnosis",
        "Networks/Attach",
        "Networks/PlainContainers",
        "Logs/Orders",
        "Logs/Publish",
        "Certificates/Renew",
        "Managers/Leave",  # of the caller itself only, which may have been promoted just now
    }


async def test_a_stream_to_a_removed_node_is_broken_off() -> None:
    server = RpcServer(credentials("m1", "manager"), clock=SystemClock(), leader_addr=str)

    async def endless(caller, request):
        yield LogOrder(log_id=caller.node_id)
        await asyncio.Event().wait()

    server.handle_stream(methods.LOGS, endless)
    async with (
        server,
        open_front("127.0.0.1", 0, {}, server.serve_connection) as (host, port),
        NodeChannel(f"{host}:{port}", credentials("w1", "worker")) as one,
        NodeChannel(f"{host}:{port}", credentials("w2", "worker")) as two,
    ):
        streams = [channel.stream(methods.LOGS, LogsRequest()) for channel in (one, two)]
        assert [(await anext(stream)).log_id for stream in streams] == ["w1", "w2"]
        server.end_streams_of(NodeId("w1"))
        with pytest.raises(PermissionDenied, match="no member of this cluster"):
            await anext(streams[0])
        for stream in streams:
            await stream.aclose()


# ---- roots that follow each other, over real TLS


def signed(root, node_id, role="manager", chain="", trust="") -> NodeCredentials:
    key_pem, csr_pem = new_key_and_request()
    certificate_pem = Authority(root).sign(
        csr_pem,
        node_id=NodeId(node_id),
        role=role,
        cluster_id=CLUSTER_ID,
        validity_ns=3600 * SECOND_NS,
        now=NOW,
    )
    return NodeCredentials(
        key_pem=key_pem,
        certificate_pem=certificate_pem + chain,
        root_ca_pem=trust or root.cert_pem,
    )


async def beat(addr, who) -> Exception:
    return await call(addr, who, methods.HEARTBEAT)


async def test_old_and_new_certificates_reach_each_other_while_roots_change() -> None:
    rotating = begin(cluster_object(), root_ca("next"))
    old, new = rotating.root_ca, rotating.signing_root
    chain = chain_of(rotating)
    state = ClusterState().apply((Created(rotating),))
    had = signed(old, "m1")
    got = signed(new, "m1", chain=chain, trust=old.cert_pem)
    adopted = msgspec.structs.replace(got, root_ca_pem=new.cert_pem)
    for server in (had, got):
        async with serving(state, server, accepted_roots(rotating)) as addr:
            for caller in (got, adopted) if server is got else (got,):
                assert is_past_the_door(await beat(addr, caller))
            # not noted as given out, so the old root does not speak for it
            assert isinstance(await beat(addr, had), Unauthenticated)


async def test_who_slept_through_two_rotations_still_finds_the_managers() -> None:
    first = cluster_object()
    once = begin(first, root_ca("second"))
    assert once.root_rotation is not None
    retired = RetiredRoot(
        cert_pem=first.root_ca.cert_pem,
        cross_signed_pem=once.root_rotation.cross_signed_pem,
        until=Timestamp(NOW + 3600 * SECOND_NS),
    )
    settled = msgspec.structs.replace(
        once, root_ca=once.signing_root, root_rotation=None, retired_roots=(retired,)
    )
    twice = begin(settled, root_ca("third"))
    manager = signed(twice.signing_root, "m1", chain=chain_of(twice))
    sleeper = signed(first.root_ca, "w1", "worker")
    async with serving(ClusterState(), manager, accepted_roots(twice)) as addr:
        assert is_past_the_door(await beat(addr, sleeper))


async def test_a_manager_that_missed_the_new_root_takes_what_brings_it_up_to_date() -> None:
    first = cluster_object()
    once = begin(first, root_ca("second"))
    assert once.root_rotation is not None
    retired = RetiredRoot(
        cert_pem=first.root_ca.cert_pem,
        cross_signed_pem=once.root_rotation.cross_signed_pem,
        until=Timestamp(NOW + 3600 * SECOND_NS),
    )
    settled = msgspec.structs.replace(
        once, root_ca=once.signing_root, root_rotation=None, retired_roots=(retired,)
    )
    begun, begun_anew = (begin(settled, root_ca(name)) for name in ("third", "fourth"))
    mine = signed(settled.root_ca, "m1")
    for known, is_now in ((settled, begun), (begun, begun_anew)):
        leader = signed(
            is_now.signing_root, "m2", chain=chain_of(is_now), trust=settled.root_ca.cert_pem
        )
        lagging = ClusterState().apply((Created(known),))
        async with serving(lagging, mine, accepted_roots(known)) as addr:
            assert is_past_the_door(await call(addr, leader, methods.RAFT_MESSAGES))
            # a root that is retired vouches for nobody
            thief = signed(first.root_ca, "m2", trust=settled.root_ca.cert_pem)
            refusal = await call(addr, thief, methods.RAFT_MESSAGES)
            assert isinstance(refusal, Unauthenticated)


def test_nothing_below_tls_1_2_is_spoken() -> None:
    contexts = (
        server_context(credentials("m1", "manager")),
        client_context(root_ca().cert_pem),
        unverified_client_context(),
    )
    assert {context.minimum_version for context in contexts} == {ssl.TLSVersion.TLSv1_2}
