"""Joining over real sockets: the true cluster with a true token, and every other case."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager

import pytest

from cluster.ca.authority import new_key_and_request
from cluster.ca.credentials import NodeCredentials, belong_together
from cluster.ca.issuer import CertificateIssuer
from cluster.ca.join_token import new_join_token
from cluster.clock import SystemClock
from cluster.errors import (
    InvalidArgument,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from cluster.model.ids import NodeId, id_from_int
from cluster.model.node import ManagerStatus
from cluster.rpc import methods
from cluster.rpc.attempt_limit import FAILURES
from cluster.rpc.certificate_service import CertificateService
from cluster.rpc.channel import NodeChannel
from cluster.rpc.error_status import LeaderElsewhere
from cluster.rpc.front import open_front
from cluster.rpc.join_client import fetch_root_ca, request_certificate, split_addr
from cluster.rpc.join_server import JoinServer
from cluster.rpc.messages import RenewCertificateRequest
from cluster.rpc.server import RpcServer
from cluster.rpc.settings import JOIN_SERVER_NAME
from tests.support.identities import cluster_object, credentials, root_ca
from tests.support.memory_store import MemoryStore

WORKER_TOKEN = cluster_object().worker_token
MANAGER_TOKEN = cluster_object().manager_token
ROOT = root_ca().cert_pem
OWN = "10.0.0.9:2377"  # where a joining node says it can be reached


def new_store() -> MemoryStore:
    return MemoryStore(cluster_object(), clock=SystemClock())


@asynccontextmanager
async def manager(store: MemoryStore, who: NodeCredentials | None = None):
    clock, dice = SystemClock(), random.Random(1)
    issuer = CertificateIssuer(
        store, clock=clock, new_id=lambda: id_from_int(dice.getrandbits(129))
    )
    who = who or credentials("m1", "manager")
    rpc = RpcServer(who, clock=clock, leader_addr=lambda: store.leader_addr)
    CertificateService(issuer).serve_on(rpc)
    join = JoinServer(who, issuer, clock=clock, leader_addr=lambda: store.leader_addr)
    async with (
        rpc,
        open_front(
            "127.0.0.1", 0, {JOIN_SERVER_NAME: join.serve_connection}, rpc.serve_connection
        ) as (host, port),
    ):
        yield f"{host}:{port}"


async def ask(addr, token, root, csr_pem, availability="active", own_addr=OWN):
    return await request_certificate(
        addr, token, root, csr_pem, availability=availability, manager_addr=own_addr
    )


async def join(addr: str, token: str, own_addr: str = OWN) -> NodeCredentials:
    root = await fetch_root_ca(addr, token)
    key_pem, csr_pem = new_key_and_request()
    answer = await ask(addr, token, root, csr_pem, own_addr=own_addr)
    joined = NodeCredentials(
        key_pem=key_pem, certificate_pem=answer.certificate_pem, root_ca_pem=answer.root_ca_pem
    )
    assert joined.identity.node_id == answer.node_id
    return joined


async def test_the_token_decides_the_role() -> None:
    store = new_store()
    async with manager(store) as addr:
        joined = await join(addr, WORKER_TOKEN)
    assert belong_together(joined)
    assert joined.identity.role == "worker"
    node = store.view().node(joined.identity.node_id)
    assert node.role == node.spec.role == "worker"
    assert node.status.state == "unknown"
    (entry,) = store.view().audit
    assert (entry.author.name, entry.action) == ("worker join token", "cluster join")
    assert [(one.kind, one.name) for one in entry.changes] == [("node", node.id)]


async def test_a_new_manager_gets_a_place_in_the_consensus_group() -> None:
    store = new_store()
    async with manager(store) as addr:
        joined = [await join(addr, MANAGER_TOKEN) for _ in range(2)]
    assert [one.identity.role for one in joined] == ["manager", "manager"]
    statuses = [store.view().node(one.identity.node_id).manager_status for one in joined]
    assert statuses == [ManagerStatus(raft_id=2, addr=OWN), ManagerStatus(raft_id=3, addr=OWN)]
    assert store.view().cluster.last_raft_id == 3


async def test_a_manager_that_does_not_tell_its_address_is_refused() -> None:
    store = new_store()
    async with manager(store) as addr:
        with pytest.raises(InvalidArgument, match="the address it is reached on"):
            await join(addr, MANAGER_TOKEN, own_addr="")
    assert len(store.view().nodes) == 0
    assert store.view().cluster.last_raft_id == 1


async def test_the_availability_asked_for_is_given() -> None:
    store = new_store()
    async with manager(store) as addr:
        _, csr = new_key_and_request()
        answer = await ask(addr, WORKER_TOKEN, ROOT, csr, "drain")
    assert store.view().node(answer.node_id).spec.availability == "drain"


async def test_a_joined_node_renews_over_grpc_on_the_same_port() -> None:
    store = new_store()
    async with manager(store) as addr:
        joined = await join(addr, WORKER_TOKEN)
        key_pem, csr_pem = new_key_and_request()
        async with NodeChannel(addr, joined) as channel:
            answer = await channel.call(
                methods.RENEW_CERTIFICATE, RenewCertificateRequest(csr_pem=csr_pem), timeout_s=5
            )
    renewed = NodeCredentials(
        key_pem=key_pem, certificate_pem=answer.certificate_pem, root_ca_pem=answer.root_ca_pem
    )
    assert belong_together(renewed)
    assert renewed.identity.node_id == joined.identity.node_id


async def test_a_removed_node_is_not_renewed() -> None:
    store = new_store()
    async with manager(store) as addr:
        joined = await join(addr, WORKER_TOKEN)
        store.remove(store.view().node(joined.identity.node_id))
        _, csr_pem = new_key_and_request()
        async with NodeChannel(addr, joined) as channel:
            with pytest.raises(PermissionDenied, match="no member of this cluster"):
                await channel.call(
                    methods.RENEW_CERTIFICATE, RenewCertificateRequest(csr_pem=csr_pem), timeout_s=5
                )


async def test_a_promoted_node_gets_the_new_role_when_it_renews() -> None:
    store = new_store()
    async with manager(store) as addr:
        joined = await join(addr, WORKER_TOKEN)
        node = store.view().node(NodeId(joined.identity.node_id))
        store.put(type(node)(id=node.id, meta=node.meta, spec=node.spec, role="manager"))
        key_pem, csr_pem = new_key_and_request()
        async with NodeChannel(addr, joined) as channel:
            answer = await channel.call(
                methods.RENEW_CERTIFICATE, RenewCertificateRequest(csr_pem=csr_pem), timeout_s=5
            )
    renewed = NodeCredentials(
        key_pem=key_pem, certificate_pem=answer.certificate_pem, root_ca_pem=answer.root_ca_pem
    )
    assert renewed.identity.role == "manager"


async def test_a_wrong_secret_is_refused_and_changes_nothing() -> None:
    store = new_store()
    wrong = new_join_token(ROOT)
    async with manager(store) as addr:
        with pytest.raises(InvalidArgument, match="invalid join token"):
            await join(addr, wrong)
    assert store.view().revision == 1


async def test_a_malformed_token_is_refused_before_anybody_is_asked() -> None:
    with pytest.raises(InvalidArgument, match="invalid join token"):
        await fetch_root_ca("127.0.0.1:1", "SWMTKN-1-abc")


async def test_a_token_of_another_cluster_does_not_leave_the_joining_node() -> None:
    other = new_join_token(root_ca("theirs").cert_pem)
    async with manager(new_store()) as addr:
        with pytest.raises(Unauthenticated, match="another cluster than the token"):
            await join(addr, other)


async def test_a_fraud_that_shows_the_true_root_gets_no_token() -> None:
    # it can copy the public root certificate, but holds no key that the root has certified
    fraud = credentials("m1", "manager", root="theirs")
    store = new_store()
    async with manager(store, fraud) as addr:
        assert await fetch_root_ca(addr, WORKER_TOKEN) == ROOT
        with pytest.raises(Unauthenticated, match="cannot prove that it belongs to the cluster"):
            await join(addr, WORKER_TOKEN)
    assert store.view().revision == 1


async def test_a_worker_that_poses_as_a_manager_gets_no_token() -> None:
    store = new_store()
    async with manager(store, credentials("w9", "worker")) as addr:
        with pytest.raises(PermissionDenied, match="is no manager"):
            await join(addr, WORKER_TOKEN)
    assert store.view().revision == 1


async def test_a_bad_request_changes_nothing() -> None:
    store = new_store()
    async with manager(store) as addr:
        with pytest.raises(InvalidArgument, match="certificate request"):
            await ask(addr, WORKER_TOKEN, ROOT, "nonsense", "active")
    assert store.view().revision == 1


async def test_nobody_there() -> None:
    async with manager(new_store()) as addr:
        pass
    with pytest.raises(Unavailable, match="cannot be reached"):
        await fetch_root_ca(addr, WORKER_TOKEN)


async def test_a_peer_that_hangs_up_is_told() -> None:
    async def hang_up(connection):
        pass

    async with open_front("127.0.0.1", 0, {}, hang_up) as (host, port):
        with pytest.raises(Unavailable):
            await fetch_root_ca(f"{host}:{port}", WORKER_TOKEN)


async def test_a_follower_sends_the_joining_node_to_the_leader() -> None:
    leader, follower = new_store(), new_store()
    follower.is_leader = False
    async with manager(leader) as leader_addr, manager(follower) as addr:
        follower.leader_addr = leader_addr
        joined = await join(addr, WORKER_TOKEN)
    assert leader.view().node(joined.identity.node_id) is not None


async def test_no_leader_is_told() -> None:
    store = new_store()
    store.is_leader = False
    async with manager(store) as addr:
        with pytest.raises(LeaderElsewhere, match="not the leader"):
            await join(addr, WORKER_TOKEN)


async def test_many_failures_are_braked() -> None:
    async with manager(new_store()) as addr:
        wrong = new_join_token(ROOT)
        for _ in range(FAILURES):
            with pytest.raises(InvalidArgument):
                await ask(addr, wrong, ROOT, "", "active")
        with pytest.raises(
            Unavailable, match=r"too many failed attempts to join from 127\.0\.0\.1"
        ):
            await ask(addr, wrong, ROOT, "", "active")


@pytest.mark.parametrize("addr", ["", "host", "host:", ":5", "host:0", "host:99999", "host:x"])
async def test_an_address_must_name_host_and_port(addr) -> None:
    with pytest.raises(InvalidArgument, match="host:port"):
        await fetch_root_ca(addr, WORKER_TOKEN)


def test_ipv6_addresses_stand_in_brackets() -> None:
    assert split_addr("[::1]:2377") == ("::1", 2377)
