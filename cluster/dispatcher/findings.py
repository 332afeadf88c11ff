"""What is wrong with a cluster, from its state and what its nodes found out; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Final

from cluster.model.diagnosis import Answered, Finding, NetworkDiagnosis, PeerReach, Severity
from cluster.model.ids import NodeId
from cluster.model.network_view import DEFAULT_DATA_PORT
from cluster.model.node import Node
from cluster.model.units import SECOND_NS, Timestamp
from cluster.store.state import ClusterState

CHECKS: Final = (
    "nodes",
    "stack-netd",
    "manager port",
    "data port",
    "mtu",
    "clock",
    "certificates",
    "leftovers",
    "networks",
)
"""In the order in which findings are shown."""

SKEW_WARNING_S: Final = 1.0
SKEW_ERROR_S: Final = 30.0
RENEWAL_OVERDUE: Final = 0.1
"""Certificates are renewed long before this part of their time is left."""


def findings(
    state: ClusterState, answers: Mapping[NodeId, Answered], now: Timestamp
) -> tuple[Finding, ...]:
    """Return everything that is wrong, sorted by check and node."""
    found: list[Finding] = []
    for node in state.nodes:
        found += _of_node(node, answers.get(node.id), state, now)
    found += _between(state, answers)
    return tuple(sorted(found, key=lambda f: (CHECKS.index(f.check), f.node, f.text)))


def clock_offset_s(answered: Answered) -> tuple[float, float]:
    """Return how much a node's clock is ahead of the leader's, and how far off that may be.

    The way there and the way back are taken to be equally long, as in NTP (RFC 5905, section 8).
    """
    there = answered.diagnosis.asked_at - answered.sent_at
    back = answered.diagnosis.answered_at - answered.heard_at
    ways = (answered.heard_at - answered.sent_at) - (
        answered.diagnosis.answered_at - answered.diagnosis.asked_at
    )
    return (there + back) / 2 / SECOND_NS, max(0, ways) / 2 / SECOND_NS


def _of_node(
    node: Node, answered: Answered | None, state: ClusterState, now: Timestamp
) -> Iterator[Finding]:
    yield from _certificate(node, state, now)
    if node.status.state != "ready":
        why = f"{node.status.state}: {node.status.message or 'it does not report'}"
        remedy = "start stackd and the Docker Engine there, and open TCP 2377 to the managers"
        yield _finding("error", "nodes", node, f"is {why}", remedy)
        return
    if answered is None:
        yield _finding("error", "nodes", node, "did not answer in time", "look at its log")
        return
    diagnosis = answered.diagnosis
    for addr, error in sorted(diagnosis.managers.items()):
        if error:
            text = f"cannot connect to the manager at {addr}: {error}"
            remedy = f"open TCP {addr.rpartition(':')[2]} from this node to the manager"
            yield _finding("error", "manager port", node, text, remedy)
    yield from _clock(node, answered)
    if diagnosis.network is None:
        text = f"is given no task with networks: {diagnosis.error}"
        remedy = "start stack-netd, then the Docker Engine, then stackd"
        yield _finding("error", "stack-netd", node, text, remedy)
        return
    for leftover in diagnosis.network.leftovers:
        text = f"has {leftover}, which nobody needs"
        remedy = "it is removed within two minutes; else look at the log of stack-netd"
        yield _finding("warning", "leftovers", node, text, remedy)
    for where, problem in sorted(diagnosis.network.problems.items()):
        text = f"network {where} is not as it should be: {problem}"
        yield _finding("error", "networks", node, text, "look at the log of stack-netd")


def _clock(node: Node, answered: Answered) -> Iterator[Finding]:
    offset_s, doubt_s = clock_offset_s(answered)
    surely_s = abs(offset_s) - doubt_s
    if surely_s < SKEW_WARNING_S:
        return
    severity: Severity = "error" if surely_s >= SKEW_ERROR_S else "warning"
    way = "ahead of" if offset_s > 0 else "behind"
    text = f"its clock is {abs(offset_s):.1f} s {way} the leader's"
    yield _finding(severity, "clock", node, text, "keep the time with NTP on all nodes")


def _certificate(node: Node, state: ClusterState, now: Timestamp) -> Iterator[Finding]:
    cluster = state.cluster
    if cluster is None or not node.certificates:
        return
    left_ns = node.certificates[0].not_after - now
    remedy = "look at the node's log for why it is not renewed; when it has ended, join again"
    if left_ns <= 0:
        yield _finding("error", "certificates", node, "its certificate has expired", remedy)
    elif left_ns < cluster.node_cert_expiry_ns * RENEWAL_OVERDUE:
        hours = left_ns / SECOND_NS / 3600
        text = f"its certificate ends in {hours:.1f} hours and should have been renewed"
        yield _finding("warning", "certificates", node, text, remedy)


def _between(state: ClusterState, answers: Mapping[NodeId, Answered]) -> Iterator[Finding]:
    able: list[tuple[Node, NetworkDiagnosis]] = []
    for node in state.nodes:
        answered = answers.get(node.id)
        if answered is not None and answered.diagnosis.network is not None and node.network_index:
            able.append((node, answered.diagnosis.network))
    able.sort(key=lambda one: (one[0].hostname, one[0].id))
    port = state.cluster.data_port if state.cluster is not None else DEFAULT_DATA_PORT
    for (node, own), (other, others) in combinations(able, 2):
        reach = _reach(own, other.network_index)
        back = _reach(others, node.network_index)
        name = other.hostname or other.id
        if not (reach.has_small or back.has_small):
            text = f"and {name} do not reach each other's networks"
            remedy = f"open UDP {port} between the nodes, in both directions"
            yield _finding("error", "data port", node, text, remedy)
        elif any(way.has_small and not way.has_large for way in (reach, back)):
            size = min(own.mtu, others.mtu)
            text = f"and {name} lose packets of {size} bytes, which tasks may send"
            remedy = (
                "give all nodes and what is between them the same MTU, or networks a smaller one: "
                "-o com.docker.network.driver.mtu=BYTES"
            )
            yield _finding("error", "mtu", node, text, remedy)
        elif own.mtu != others.mtu:
            text = f"has networks of MTU {own.mtu}, {name} of {others.mtu}"
            remedy = "give all nodes the same MTU, or networks a fixed one"
            yield _finding("warning", "mtu", node, text, remedy)


def _reach(diagnosis: NetworkDiagnosis, index: int) -> PeerReach:
    return next((p for p in diagnosis.peers if p.index == index), PeerReach(index=index))


def _finding(severity: Severity, check: str, node: Node, text: str, remedy: str) -> Finding:
    return Finding(
        severity=severity,
        check=check,
        node_id=node.id,
        node=node.hostname or node.id,
        text=text,
        remedy=remedy,
    )
