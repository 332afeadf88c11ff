"""The wire between nodes, over real sockets: who is let in, and what becomes of errors."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import grpc
import pytest

from cluster.clock import SystemClock
from cluster.errors import (
    InvalidArgument,
    NotFound,
    NotLeader,
    OutOfSequence,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from cluster.model.ids import ClusterId
from cluster.model.meta import Meta
from cluster.model.node import Node, NodeDescription
from cluster.rpc import methods
from cluster.rpc.channel import NodeChannel
from cluster.rpc.error_status import LeaderElsewhere
from cluster.rpc.front import open_front
from cluster.rpc.messages import (
    Empty,
    GoodbyeRequest,
    HeartbeatRequest,
    HeartbeatResponse,
    SessionMessage,
    SessionRequest,
)
from cluster.rpc.methods import MANAGERS, Method
from cluster.rpc.server import RpcServer
from tests.support.identities import credentials

META = Meta()
ONLY_MANAGERS = Method("Test/OnlyManagers", GoodbyeRequest, Empty, roles=MANAGERS)


@asynccontextmanager
async def serving(handlers=(), streams=(), node="m1", leader=""):
    server = RpcServer(
        credentials(node, "manager"), clock=SystemClock(), leader_addr=lambda: leader
    )
    for method, handler in handlers:
        server.handle(method, handler)
    for method, handler in streams:
        server.handle_stream(method, handler)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server)
        host, port = await stack.enter_async_context(
            open_front("127.0.0.1", 0, {}, server.serve_connection)
        )
        yield server, f"{host}:{port}"


async def beat(caller, request):
    return HeartbeatResponse(period_ns=len(caller.node_id))


async def call_heartbeat(addr, who, session="s", timeout_s=5.0):
    async with NodeChannel(addr, who) as channel:
        return await channel.call(
            methods.HEARTBEAT, HeartbeatRequest(session_id=session), timeout_s=timeout_s
        )


async def test_a_member_is_served_and_the_handler_knows_who_calls() -> None:
    seen = []

    async def handler(caller, request):
        seen.append((caller.node_id, caller.role, request.session_id))
        return HeartbeatResponse(period_ns=7)

    async with serving([(methods.HEARTBEAT, handler)]) as (_, addr):
        answer = await call_heartbeat(addr, credentials("w1", "worker"), "abc")
    assert answer == HeartbeatResponse(period_ns=7)
    assert seen == [("w1", "worker", "abc")]


async def test_a_caller_without_certificate_is_refused() -> None:
    async with serving([(methods.HEARTBEAT, beat)]) as (_, addr):
        root = credentials("w1", "worker").root_ca_pem.encode()
        async with grpc.aio.secure_channel(
            addr,
            grpc.ssl_channel_credentials(root),
            options=[("grpc.ssl_target_name_override", "swarm-manager")],
        ) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(methods.HEARTBEAT.path)(b"\x80", timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_caller_of_another_ca_is_refused() -> None:
    ours = credentials("w1", "worker")
    theirs = credentials("w1", "worker", root="theirs")
    mixed = type(ours)(
        key_pem=theirs.key_pem,
        certificate_pem=theirs.certificate_pem,
        root_ca_pem=ours.root_ca_pem,
    )
    async with serving([(methods.HEARTBEAT, beat)]) as (_, addr):
        with pytest.raises(Unavailable):
            await call_heartbeat(addr, mixed)


async def test_a_server_of_another_ca_is_not_believed() -> None:
    async with serving([(methods.HEARTBEAT, beat)]) as (_, addr):
        with pytest.raises(Unavailable, match="cannot be reached"):
            await call_heartbeat(addr, credentials("w1", "worker", root="theirs"))


async def test_a_worker_that_poses_as_a_manager_is_not_believed() -> None:
    server = RpcServer(credentials("w9", "worker"), clock=SystemClock(), leader_addr=str)
    server.handle(methods.HEARTBEAT, beat)
    async with (
        server,
        open_front("127.0.0.1", 0, {}, server.serve_connection) as (host, port),
    ):
        with pytest.raises(Unavailable):
            await call_heartbeat(f"{host}:{port}", credentials("w1", "worker"))


async def test_a_node_of_another_cluster_under_the_same_root_is_refused() -> None:
    stranger = credentials("w1", "worker", cluster_id=ClusterId("other"))
    async with serving([(methods.HEARTBEAT, beat)]) as (_, addr):
        with pytest.raises(Unauthenticated, match="of cluster other"):
            await call_heartbeat(addr, stranger)


async def test_a_worker_may_not_call_what_is_for_managers() -> None:
    async def handler(caller, request):
        return Empty()

    request = GoodbyeRequest(session_id="s")
    async with serving([(ONLY_MANAGERS, handler)]) as (_, addr):
        async with NodeChannel(addr, credentials("w1", "worker")) as channel:
            with pytest.raises(PermissionDenied, match="is for a manager: node w1 is a worker"):
                await channel.call(ONLY_MANAGERS, request, timeout_s=5)
        async with NodeChannel(addr, credentials("m2", "manager")) as channel:
            assert await channel.call(ONLY_MANAGERS, request, timeout_s=5) == Empty()


@pytest.mark.parametrize("kind", [InvalidArgument, NotFound, PermissionDenied, Unavailable])
async def test_an_error_arrives_as_what_it_was(kind) -> None:
    async def handler(caller, request):
        raise kind("services.web: no")

    async with serving([(methods.HEARTBEAT, handler)]) as (_, addr):
        with pytest.raises(kind, match=r"^services\.web: no$"):
            await call_heartbeat(addr, credentials("w1", "worker"))


async def test_out_of_sequence_arrives_as_such() -> None:
    async def handler(caller, request):
        raise OutOfSequence

    async with serving([(methods.HEARTBEAT, handler)]) as (_, addr):
        with pytest.raises(OutOfSequence):
            await call_heartbeat(addr, credentials("w1", "worker"))


async def test_a_follower_names_the_leader() -> None:
    async def handler(caller, request):
        raise NotLeader("this manager does not lead")

    async with serving([(methods.HEARTBEAT, handler)], leader="10.0.0.7:2377") as (_, addr):
        with pytest.raises(LeaderElsewhere, match="does not lead") as caught:
            await call_heartbeat(addr, credentials("w1", "worker"))
    assert caught.value.leader_addr == "10.0.0.7:2377"


async def test_a_request_that_cannot_be_read_is_refused() -> None:
    wrong = Method("Dispatcher/Heartbeat", dict, HeartbeatResponse, roles=MANAGERS)
    async with (
        serving([(methods.HEARTBEAT, beat)]) as (_, addr),
        NodeChannel(addr, credentials("w1", "worker")) as channel,
    ):
        with pytest.raises(InvalidArgument, match="session_id"):
            await channel.call(wrong, {"session_id": 5}, timeout_s=5)


async def test_a_bug_in_a_handler_is_told_without_its_details() -> None:
    async def handler(caller, request):
        raise ZeroDivisionError("private")

    async with serving([(methods.HEARTBEAT, handler)]) as (_, addr):
        with pytest.raises(Unavailable, match="see the log of the manager") as caught:
            await call_heartbeat(addr, credentials("w1", "worker"))
    assert "private" not in str(caught.value)


async def test_a_manager_that_is_not_there_is_unavailable() -> None:
    async with serving() as (_, addr):
        pass
    with pytest.raises(Unavailable, match=f"manager {addr}"):
        await call_heartbeat(addr, credentials("w1", "worker"))


async def test_a_late_answer_is_unavailable() -> None:
    async def handler(caller, request):
        await asyncio.Event().wait()

    async with serving([(methods.HEARTBEAT, handler)]) as (_, addr):
        with pytest.raises(Unavailable, match="did not answer in time"):
            await call_heartbeat(addr, credentials("w1", "worker"), timeout_s=0.2)


async def test_a_stream_delivers_in_order_and_its_end_reaches_the_handler() -> None:
    ended = asyncio.Event()

    async def handler(caller, request):
        try:
            for number in range(1000):
                yield SessionMessage(
                    session_id=f"s{number}", node=Node(id=caller.node_id, meta=META)
                )
                if number == 3:
                    await asyncio.Event().wait()
        finally:
            ended.set()

    request = SessionRequest(description=NodeDescription(hostname="w1"), addr="10.0.0.1")
    async with (
        serving(streams=[(methods.SESSION, handler)]) as (_, addr),
        NodeChannel(addr, credentials("w1", "worker")) as channel,
    ):
        got = []
        async with aclosing(channel.stream(methods.SESSION, request)) as stream:
            async for message in stream:
                got.append(message.session_id)
                if len(got) == 4:
                    break
        await ended.wait()
    assert got == ["s0", "s1", "s2", "s3"]


async def test_an_error_in_a_stream_arrives_after_what_was_sent() -> None:
    async def handler(caller, request):
        yield SessionMessage(session_id="s", node=Node(id=caller.node_id, meta=META))
        raise NotFound("session gone")

    request = SessionRequest(description=NodeDescription(hostname="w1"), addr="10.0.0.1")
    async with (
        serving(streams=[(methods.SESSION, handler)]) as (_, addr),
        NodeChannel(addr, credentials("w1", "worker")) as channel,
    ):
        stream = channel.stream(methods.SESSION, request)
        assert (await anext(stream)).session_id == "s"
        with pytest.raises(NotFound, match="session gone"):
            await anext(stream)


async def test_a_stopping_server_ends_streams() -> None:
    async def handler(caller, request):
        yield SessionMessage(session_id="s", node=Node(id=caller.node_id, meta=META))
        await asyncio.Event().wait()

    request = SessionRequest(description=NodeDescription(hostname="w1"), addr="10.0.0.1")
    async with AsyncExitStack() as outer:
        _, addr = await outer.enter_async_context(serving(streams=[(methods.SESSION, handler)]))
        async with NodeChannel(addr, credentials("w1", "worker")) as channel:
            stream = channel.stream(methods.SESSION, request)
            await anext(stream)
            await outer.aclose()
            with pytest.raises(Unavailable):
                await anext(stream)


async def test_a_renewed_certificate_is_shown_on_new_connections() -> None:
    shown = []
    async with serving([(methods.HEARTBEAT, beat)]) as (server, addr):
        for node in ("m1", "m2"):
            if node == "m2":
                server.replace_credentials(credentials("m2", "manager"))
            root = credentials("w1", "worker")
            async with grpc.aio.secure_channel(
                addr,
                grpc.ssl_channel_credentials(
                    root.root_ca_pem.encode(), root.key_pem.encode(), root.certificate_pem.encode()
                ),
                # each certificate carries the node's ID as a name, too
                options=[
                    ("grpc.ssl_target_name_override", node),
                    ("grpc.use_local_subchannel_pool", 1),
                ],
            ) as channel:
                await channel.unary_unary(methods.HEARTBEAT.path)(
                    b"\x81\xaasession_id\xa1s", timeout=5
                )
                shown.append(node)
    assert shown == ["m1", "m2"]


@pytest.mark.slow  # some 5 s: what gRPC takes to give a silent peer up
async def test_many_nodes_may_connect_at_once() -> None:
    """With a certificate that is replaced at every connection gRPC ends the process."""
    async with serving([(methods.HEARTBEAT, beat)]) as (_, addr):
        for _ in range(4):
            async with asyncio.TaskGroup() as group:
                calls = [
                    group.create_task(
                        call_heartbeat(addr, credentials("w1", "worker"), timeout_s=30)
                    )
                    for _ in range(50)
                ]
            assert {call.result().period_ns for call in calls} == {2}


async def test_a_peer_that_falls_silent_is_noticed() -> None:
    silent = asyncio.Event()

    async def handler(caller, request):
        yield SessionMessage(session_id="s", node=Node(id=caller.node_id, meta=META))
        await asyncio.Event().wait()

    async def pump(reader, writer):
        while data := await reader.read(65536):
            if silent.is_set():
                await asyncio.Event().wait()
            writer.write(data)

    server = RpcServer(credentials("m1", "manager"), clock=SystemClock(), leader_addr=str)
    server.handle_stream(methods.SESSION, handler)

    async def relay(connection):
        near, far = (
            await asyncio.open_connection(sock=connection),
            await asyncio.open_unix_connection(server.socket_path),
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(pump(near[0], far[1]))
                group.create_task(pump(far[0], near[1]))
        finally:
            near[1].close()
            far[1].close()

    request = SessionRequest(description=NodeDescription(hostname="w1"), addr="10.0.0.1")
    async with (
        server,
        open_front("127.0.0.1", 0, {}, relay) as (host, port),
        NodeChannel(f"{host}:{port}", credentials("w1", "worker")) as channel,
    ):
        stream = channel.stream(methods.SESSION, request)
        await anext(stream)
        silent.set()
        with pytest.raises(Unavailable):
            await anext(stream)
