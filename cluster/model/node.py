"""A node: a member of the cluster with a Docker Engine."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from cluster.model.ids import NodeId
from cluster.model.meta import Meta
from cluster.model.network_view import DRIVER_NAME
from cluster.model.placement import Platform
from cluster.model.resources import Resources
from cluster.model.spec_struct import Labels, ObjectStruct, SpecStruct, always
from cluster.model.units import Timestamp

Role = Literal["worker", "manager"]
Availability = Literal["active", "pause", "drain"]
NodeState = Literal["unknown", "down", "ready", "disconnected"]


class NodeSpec(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A user's wish for a node."""

    name: str = ""
    labels: Labels = always({})
    role: Role = always("worker")
    availability: Availability = always("active")


class EnginePlugin(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A plugin of the node's engine."""

    type: str = ""
    name: str = ""


NETWORK_PLUGIN: Final = EnginePlugin(type="Network", name=DRIVER_NAME)
"""Among its engine's plugins if tasks on the node can be in the cluster's networks."""


class EngineDescription(SpecStruct, frozen=True, kw_only=True, gc=False):
    """The node's Docker Engine."""

    engine_version: str = ""
    labels: Labels | None = None
    plugins: tuple[EnginePlugin, ...] = ()


class TlsInfo(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Which CA the node trusts: PEM, and base64 DER of the issuer's subject and public key."""

    trust_root: str = ""
    cert_issuer_subject: str = ""
    cert_issuer_public_key: str = ""


class NodeDescription(SpecStruct, frozen=True, kw_only=True, gc=False):
    """What the node says of itself."""

    hostname: str = ""
    platform: Platform = always(Platform())
    resources: Resources = always(Resources())
    engine: EngineDescription = always(EngineDescription())
    tls_info: TlsInfo = msgspec.field(default_factory=TlsInfo, name="TLSInfo")


class NodeStatus(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What the dispatcher last observed of a node; `addr` is the node's IP address."""

    state: NodeState = "unknown"
    message: str = ""
    addr: str = ""
    since: Timestamp = Timestamp(0)


class IssuedCertificate(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A certificate that the CA has given a node: SHA-256 of its DER form in hex, and its end."""

    digest: str
    not_after: Timestamp


class ManagerStatus(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A manager's place in the consensus group; `addr` is host:port for other nodes."""

    raft_id: int
    addr: str


class Node(ObjectStruct, frozen=True, kw_only=True, gc=False, tag="node", tag_field="kind"):
    """A member of the cluster.

    Writers: `spec` the API's commands; `role` and `manager_status` the CA for a node that joins,
    then the role manager; `certificates` the CA; `description`, `status` and `manager_addr` the
    dispatcher; `network_index` and `ingress_address` the allocator.
    """

    id: NodeId
    meta: Meta
    spec: NodeSpec = NodeSpec()
    role: Role = "worker"  # what its certificate says
    description: NodeDescription | None = None
    status: NodeStatus = NodeStatus()
    manager_status: ManagerStatus | None = None
    manager_addr: str = ""  # host:port on which it is reached as long as it is a manager
    certificates: tuple[IssuedCertificate, ...] = ()  # the newest ones, newest first
    network_index: int = 0  # from 1, its own as long as it is a member; 0 until it has one
    ingress_address: str = ""  # its own in the network of published ports

    @property
    def hostname(self) -> str:
        """The node's host name, empty until it has described itself."""
        return self.description.hostname if self.description else ""

    @property
    def accepts_tasks(self) -> bool:
        """Whether new tasks may be put on the node."""
        return self.status.state == "ready" and self.spec.availability == "active"

    @property
    def keeps_tasks(self) -> bool:
        """Whether tasks that run on the node may stay there."""
        return self.status.state != "down" and self.spec.availability != "drain"
