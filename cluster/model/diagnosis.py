"""What nodes find out about themselves and the ways between them, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from cluster.model.ids import NodeId
from cluster.model.network_view import DEFAULT_DATA_PORT, PeerNode
from cluster.model.spec_struct import ObjectStruct
from cluster.model.units import Timestamp

Severity = Literal["error", "warning"]


class DiagnosisOrder(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Asks a node to look; all nodes look at the same time, as they answer each other.

    `managers` are host:port, `own_index` is 0 for a node without a number.
    """

    id: str
    own_index: int = 0
    own_address: str = ""
    peers: tuple[PeerNode, ...] = ()
    managers: tuple[str, ...] = ()
    data_port: int = DEFAULT_DATA_PORT


class PeerReach(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Whether small packets, and the largest that tasks may send, came back from a peer."""

    index: int
    has_small: bool = False
    has_large: bool = False


class NetworkDiagnosis(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What a node's network process found; `mtu` is that of the tunnels, in bytes."""

    mtu: int = 0
    peers: tuple[PeerReach, ...] = ()
    leftovers: tuple[str, ...] = ()
    problems: Mapping[str, str] = {}


class NodeDiagnosis(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What a node found, with its own clock's time when it was asked and when it answered.

    `managers` holds for each manager why it cannot be connected to, "" if it can; `network` is
    None where no network process answers, and `error` then says why.
    """

    asked_at: Timestamp
    answered_at: Timestamp
    managers: Mapping[str, str] = {}
    network: NetworkDiagnosis | None = None
    error: str = ""


class Answered(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A node's diagnosis between the leader's own times of asking and hearing."""

    sent_at: Timestamp
    heard_at: Timestamp
    diagnosis: NodeDiagnosis


class Finding(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Something that is wrong: where, what, and what to do about it."""

    severity: Severity
    check: str
    node_id: NodeId
    node: str
    text: str
    remedy: str = ""
