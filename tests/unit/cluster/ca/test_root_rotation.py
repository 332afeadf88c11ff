"""One root in place of another: who is believed before, meanwhile and afterwards."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from cluster.ca.authority import Authority, new_key_and_request, new_root_ca
from cluster.ca.chain import certificates_in, digest_of, is_signed_by, leads_to
from cluster.ca.credentials import NodeCredentials, belong_together, tls_info
from cluster.ca.identity import NodeIdentity, identity_of
from cluster.ca.issuer import CertificateIssuer
from cluster.ca.join_token import is_root_of, parse_join_token
from cluster.ca.membership import check_member
from cluster.ca.root_rotation import KEY, RootRotations, accepted_roots, begin, chain_of
from cluster.clock import SystemClock
from cluster.errors import PermissionDenied, Unauthenticated
from cluster.model.cluster import RemovedNode
from cluster.model.ids import NodeId
from cluster.model.meta import Meta
from cluster.model.node import ManagerStatus, Node, NodeDescription, NodeStatus
from cluster.model.units import SECOND_NS, Timestamp
from cluster.store.change import Created, Updated
from cluster.store.state import ClusterState
from tests.support.identities import CLUSTER_ID, cluster_object
from tests.support.memory_store import MemoryStore

NOW = SystemClock().now()


def ids():
    numbers = itertools.count(1)
    return lambda: f"{next(numbers):025d}"


class Rig:
    """A store with a real issuer, and nodes that hold what it gave them."""

    def __init__(self, count: int) -> None:
        self.store = MemoryStore()
        self.store.put(cluster_object())
        self.issuer = CertificateIssuer(self.store, clock=SystemClock(), new_id=ids())
        self.held: dict[NodeId, NodeCredentials] = {}
        self.count = count

    @property
    def state(self) -> ClusterState:
        return self.store.view()

    @property
    def cluster(self):
        cluster = self.state.cluster
        assert cluster is not None
        return cluster

    async def join_all(self) -> list[NodeId]:
        return [await self.join() for _ in range(self.count)]

    async def join(self) -> NodeId:
        key, csr = new_key_and_request()
        issued = await self.issuer.admit(self.cluster.worker_token, csr, "active", "")
        self._hold(issued, key)
        self.report(issued.node_id, "ready")
        return issued.node_id

    async def renew(self, node_id: NodeId) -> None:
        key, csr = new_key_and_request()
        issued = await self.issuer.renew(self.held[node_id].identity, csr)
        self._hold(issued, key)
        self.report(node_id, "ready")

    def _hold(self, issued, key) -> None:
        self.held[issued.node_id] = NodeCredentials(
            key_pem=key, certificate_pem=issued.certificate_pem, root_ca_pem=issued.root_ca_pem
        )
        assert belong_together(self.held[issued.node_id])

    def trust(self, node_id: NodeId) -> None:
        """Adopt the root that the managers tell."""
        self.held[node_id] = msgspec.structs.replace(
            self.held[node_id], root_ca_pem=self.cluster.root_ca.cert_pem
        )
        assert belong_together(self.held[node_id])

    def report(self, node_id: NodeId, state) -> None:
        node = self.state.node(node_id)
        assert node is not None
        description = NodeDescription(tls_info=tls_info(self.held[node_id]))
        self.store.put(
            msgspec.structs.replace(node, description=description, status=NodeStatus(state=state))
        )

    def begin(self) -> None:
        self.store.put(begin(self.cluster, new_root_ca(NOW)))

    def reconcile(self) -> bool:
        """Carry the reconciler's plan out; return whether there was one."""
        plan = RootRotations().reconcile(self.state, KEY, NOW, ids())
        for item in plan.update:
            self.store.put(item)
        return not plan.is_empty

    def believes(self, one: NodeId, other: NodeId) -> bool:
        """Whether a node accepts what another shows it, as TLS does."""
        return leads_to(self.held[other].certificate_pem, self.held[one].root_ca_pem)

    def admits(self, node_id: NodeId) -> bool:
        """Whether a manager lets the node call: TLS, then the check of membership."""
        mine = self.held[node_id]
        if not leads_to(mine.certificate_pem, accepted_roots(self.cluster)):
            return False
        leaf = certificates_in(mine.certificate_pem)[0]
        try:
            check_member(mine.identity, leaf, self.state)
        except Unauthenticated:
            return False
        return True


async def test_everybody_believes_everybody_at_every_step() -> None:
    rig = Rig(4)
    nodes = await rig.join_all()

    def all_is_well() -> None:
        for one, other in itertools.permutations(nodes, 2):
            assert rig.believes(one, other)
        assert all(rig.admits(node) for node in nodes)

    old_token = rig.cluster.worker_token
    all_is_well()
    rig.begin()
    all_is_well()
    for node in nodes:
        assert not rig.reconcile()  # somebody has not renewed yet
        await rig.renew(node)
        all_is_well()
    fresh = rig.cluster.signing_root
    assert rig.cluster.root_ca != fresh
    assert rig.reconcile()
    assert rig.cluster.root_ca == fresh
    assert rig.cluster.root_rotation is None
    assert rig.cluster.retired_roots == ()
    all_is_well()
    for node in nodes:
        rig.trust(node)
        all_is_well()
    assert not rig.reconcile()
    assert rig.cluster.worker_token != old_token
    assert is_root_of(parse_join_token(rig.cluster.worker_token), fresh.cert_pem)
    assert is_root_of(parse_join_token(rig.cluster.manager_token), fresh.cert_pem)


async def test_a_node_that_joins_meanwhile_has_the_new_root_and_knows_both() -> None:
    rig = Rig(1)
    [first] = await rig.join_all()
    rig.begin()
    late = await rig.join()
    assert rig.believes(first, late)
    assert rig.believes(late, first)
    await rig.renew(first)
    assert rig.reconcile()


async def test_a_node_that_slept_through_two_rotations_comes_back() -> None:
    rig = Rig(2)
    manager, sleeper = await rig.join_all()
    rig.report(sleeper, "down")
    for _ in range(2):
        rig.begin()
        await rig.renew(manager)
        assert rig.reconcile()
        rig.trust(manager)
    assert len(rig.cluster.retired_roots) == 2
    # It believes the manager by the chain of cross-signed roots, and is believed by the note.
    assert rig.believes(sleeper, manager)
    assert rig.admits(sleeper)
    await rig.renew(sleeper)
    rig.trust(sleeper)
    assert rig.believes(manager, sleeper)
    assert rig.reconcile()
    assert rig.cluster.retired_roots == ()
    assert rig.admits(sleeper)
    assert not rig.reconcile()


async def test_the_old_key_is_of_no_use_to_a_thief() -> None:
    rig = Rig(2)
    manager, sleeper = await rig.join_all()
    stolen = rig.cluster.root_ca
    rig.report(sleeper, "down")
    rig.begin()
    key, csr = new_key_and_request()
    forged = Authority(stolen).sign(
        csr,
        node_id=sleeper,
        role="manager",
        cluster_id=CLUSTER_ID,
        validity_ns=3600 * SECOND_NS,
        now=NOW,
    )
    true_one = rig.held[sleeper]
    for _ in range(2):  # while it rotates, and afterwards
        rig.held[sleeper] = NodeCredentials(
            key_pem=key, certificate_pem=forged, root_ca_pem=stolen.cert_pem
        )
        assert not rig.admits(sleeper)
        rig.held[sleeper] = true_one
        assert rig.admits(sleeper)
        await rig.renew(manager)
        rig.reconcile()
    assert rig.cluster.root_ca != stolen


async def test_a_certificate_that_was_given_and_never_arrived_does_no_harm() -> None:
    rig = Rig(2)
    manager, sleeper = await rig.join_all()
    before = rig.held[sleeper]
    await rig.renew(sleeper)
    rig.held[sleeper] = before  # it went down before it could write
    rig.report(sleeper, "down")
    rig.begin()
    await rig.renew(manager)
    assert rig.reconcile()
    assert rig.admits(sleeper)


async def test_a_node_of_unknown_state_is_waited_for_and_one_that_is_down_is_not() -> None:
    rig = Rig(2)
    manager, other = await rig.join_all()
    rig.begin()
    await rig.renew(manager)
    rig.report(other, "unknown")  # a new leader has not heard of it yet
    assert not rig.reconcile()
    rig.report(other, "down")
    assert rig.reconcile()


async def test_a_manager_is_waited_for_though_it_is_down() -> None:
    rig = Rig(2)
    one, other = await rig.join_all()
    node = rig.state.node(other)
    assert node is not None
    status = ManagerStatus(raft_id=2, addr="10.0.0.2:2377")
    rig.store.put(msgspec.structs.replace(node, manager_status=status))
    rig.begin()
    await rig.renew(one)
    rig.report(other, "down")
    assert not rig.reconcile()
    assert rig.believes(one, other)  # so they can go on to elect and replicate
    assert rig.believes(other, one)
    await rig.renew(other)
    assert rig.reconcile()


async def test_a_second_wish_takes_the_place_of_the_first() -> None:
    rig = Rig(2)
    one, other = await rig.join_all()
    rig.begin()
    await rig.renew(one)
    rig.begin()
    assert rig.believes(one, other)
    assert rig.believes(other, one)
    assert rig.admits(one)
    await rig.renew(other)
    assert not rig.reconcile()
    await rig.renew(one)
    assert rig.reconcile()


def test_only_nodes_and_the_cluster_wake_it_and_only_while_there_is_something_to_do() -> None:
    node = Node(id=NodeId("n"), meta=Meta())
    idle = ClusterState().apply((Created(cluster_object()), Created(node)))
    assert not tuple(RootRotations().keys_of(Updated(node), idle))
    busy = idle.apply((Updated(begin(cluster_object(), new_root_ca(NOW))),))
    assert tuple(RootRotations().keys_of(Updated(node), busy)) == (KEY,)


def test_secrets_do_not_show() -> None:
    rotation = begin(cluster_object(), new_root_ca(NOW)).root_rotation
    assert rotation is not None
    assert "PRIVATE" not in repr(rotation) + repr(rotation.root) + chain_of(cluster_object())


def test_a_removed_node_is_no_member_though_its_certificate_holds() -> None:
    cluster = msgspec.structs.replace(
        cluster_object(),
        removed_nodes=(RemovedNode(id=NodeId("n1"), until=Timestamp(NOW + SECOND_NS)),),
    )
    state = ClusterState().apply((Created(cluster),))
    root = cluster.root_ca
    key, csr = new_key_and_request()
    del key
    for node_id, is_removed in (("n1", True), ("n2", False)):
        certificate = Authority(root).sign(
            csr,
            node_id=NodeId(node_id),
            role="manager",
            cluster_id=CLUSTER_ID,
            validity_ns=SECOND_NS,
            now=NOW,
        )
        caller: NodeIdentity = identity_of(certificate)
        if is_removed:
            with pytest.raises(PermissionDenied, match="no member of this cluster"):
                check_member(caller, certificate, state)
        else:
            check_member(caller, certificate, state)


def test_certificates_are_told_apart() -> None:
    one, two = new_root_ca(NOW), new_root_ca(NOW)
    assert certificates_in(one.cert_pem + "noise\n" + two.cert_pem) == [one.cert_pem, two.cert_pem]
    assert digest_of(one.cert_pem) != digest_of(two.cert_pem)
    assert is_signed_by(one.cert_pem, one.cert_pem)
    assert not is_signed_by(one.cert_pem, two.cert_pem)  # of the same name
    cross = Authority(one).cross_sign(two.cert_pem)
    assert leads_to(two.cert_pem, two.cert_pem)
    assert not leads_to(two.cert_pem, one.cert_pem)
    assert leads_to(cross, one.cert_pem)
