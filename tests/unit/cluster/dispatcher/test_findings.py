"""What is wrong follows from the state and what nodes found out."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from cluster.dispatcher.findings import clock_offset_s, findings
from cluster.model.diagnosis import Answered, NetworkDiagnosis, NodeDiagnosis, PeerReach
from cluster.model.ids import NodeId
from cluster.model.node import IssuedCertificate, Node
from cluster.model.units import SECOND_NS, Timestamp
from tests.support.builders import make_node, make_state
from tests.support.identities import cluster_object

NOW = Timestamp(1_000_000 * SECOND_NS)


def node(name: str, index: int, **options: Any) -> Node:
    return replace(make_node(name, addr=f"192.0.2.{index}", **options), network_index=index)


def answer(
    *peers: PeerReach,
    offset_s: float = 0.0,
    managers: dict[str, str] | None = None,
    mtu: int = 1450,
    **network: Any,
) -> Answered:
    """An answer that took five seconds and a tenth on each way, by a clock that may differ."""
    asked = NOW + round((offset_s + 0.1) * SECOND_NS)
    return Answered(
        sent_at=NOW,
        heard_at=Timestamp(NOW + round(5.2 * SECOND_NS)),
        diagnosis=NodeDiagnosis(
            asked_at=Timestamp(asked),
            answered_at=Timestamp(asked + 5 * SECOND_NS),
            managers=managers or {},
            network=NetworkDiagnosis(mtu=mtu, peers=peers, **network),
        ),
    )


def reach(index: int, *, small: bool = True, large: bool = True) -> PeerReach:
    return PeerReach(index=index, has_small=small, has_large=large)


A, B = node("a", 1), node("b", 2)


def found(
    a: Answered | None, b: Answered | None, *items: Any, one: Node = A
) -> list[tuple[str, str, str]]:
    answers = {NodeId(n): x for n, x in (("a", a), ("b", b)) if x is not None}
    state = make_state(cluster_object(), one, B, *items)
    return [(f.severity, f.check, f.node) for f in findings(state, answers, NOW)]


def test_a_healthy_cluster_has_no_findings() -> None:
    assert found(answer(reach(2)), answer(reach(1))) == []


def test_ways_between_nodes() -> None:
    closed = reach(2, small=False, large=False), reach(1, small=False, large=False)
    assert found(answer(closed[0]), answer(closed[1])) == [("error", "data port", "a")]
    assert found(answer(reach(2)), answer(reach(1, large=False))) == [("error", "mtu", "a")]
    assert found(answer(reach(2)), answer(reach(1), mtu=1350)) == [("warning", "mtu", "a")]
    assert found(answer(), answer()) == [("error", "data port", "a")]


def test_nodes_that_are_away_or_silent() -> None:
    assert found(answer(), None) == [("error", "nodes", "b")]
    away = node("a", 1, state="down")
    assert found(None, answer(), one=away) == [("error", "nodes", "a")]


def test_what_a_node_says_of_itself() -> None:
    managers = {"192.0.2.1:2377": "", "192.0.2.9:2377": "no answer within 4 s"}
    said = answer(reach(2), managers=managers, leftovers=("link v1",), problems={"host": "no"})
    assert found(said, answer(reach(1))) == [
        ("error", "manager port", "a"),
        ("warning", "leftovers", "a"),
        ("error", "networks", "a"),
    ]
    without = replace(said, diagnosis=replace(said.diagnosis, network=None, managers={}))
    assert found(without, answer(reach(1))) == [("error", "stack-netd", "a")]


@pytest.mark.parametrize(
    ("offset_s", "expected"),
    [
        (0.9, []),
        (-5.0, [("warning", "clock", "a")]),
        (60.0, [("error", "clock", "a")]),
    ],
)
def test_clocks_that_differ(offset_s: float, expected: list[tuple[str, str, str]]) -> None:
    ahead = answer(reach(2), offset_s=offset_s)
    measured_s, doubt_s = clock_offset_s(ahead)
    assert measured_s == pytest.approx(offset_s)
    assert doubt_s == pytest.approx(0.1)
    assert found(ahead, answer(reach(1))) == expected


def test_certificates_that_were_not_renewed() -> None:
    day_ns = 24 * 3600 * SECOND_NS

    def with_certificate(left_ns: int) -> Node:
        issued = IssuedCertificate(digest="0", not_after=Timestamp(NOW + left_ns))
        return replace(A, certificates=(issued,))

    healthy = answer(reach(2)), answer(reach(1))
    assert found(*healthy, one=with_certificate(80 * day_ns)) == []
    assert found(*healthy, one=with_certificate(day_ns)) == [("warning", "certificates", "a")]
    assert found(*healthy, one=with_certificate(-1)) == [("error", "certificates", "a")]
