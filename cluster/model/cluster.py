"""The cluster itself: settings, certificate authority and join tokens."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from cluster.model.container import Driver
from cluster.model.ids import ClusterId, NodeId
from cluster.model.meta import Meta
from cluster.model.network_view import DEFAULT_DATA_PORT
from cluster.model.spec_struct import Labels, ObjectStruct, SpecStruct, always
from cluster.model.units import SECOND_NS, DurationNs, Timestamp, Uint64

DEFAULT_HEARTBEAT_PERIOD_NS = 1 * SECOND_NS
MIN_HEARTBEAT_PERIOD_NS = 1 * SECOND_NS
DEFAULT_NODE_CERT_EXPIRY_NS = 90 * 24 * 3600 * SECOND_NS
DEFAULT_TASK_HISTORY = 5
DEFAULT_ADDRESS_POOL = "10.0.0.0/8"
DEFAULT_SUBNET_SIZE = 24


class OrchestrationConfig(SpecStruct, frozen=True, kw_only=True, gc=False):
    """`task_history_retention_limit`: tasks kept a slot, the live one included."""

    task_history_retention_limit: int | None = None


class RaftConfig(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Knobs of the consensus, as Docker Swarm names them; a tick lasts 100 ms here."""

    snapshot_interval: Uint64 | None = None
    keep_old_snapshots: Uint64 | None = None
    log_entries_for_slow_followers: Uint64 | None = None
    election_tick: int = always(0)
    heartbeat_tick: int = always(0)


class DispatcherConfig(SpecStruct, frozen=True, kw_only=True, gc=False):
    """`heartbeat_period` in nanoseconds, 0 means the default.

    One shorter than `MIN_HEARTBEAT_PERIOD_NS` would call nodes down that have a busy moment.
    """

    heartbeat_period: DurationNs = 0


class CaConfig(SpecStruct, frozen=True, kw_only=True, gc=False):
    """`node_cert_expiry` in nanoseconds, 0 means the default."""

    node_cert_expiry: DurationNs = 0
    force_rotate: Uint64 = 0


class EncryptionConfig(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Whether a restarted manager stays locked until it is given the unlock key."""

    auto_lock_managers: bool = always(value=False)


class TaskDefaults(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Defaults for tasks that say nothing themselves."""

    log_driver: Driver | None = None


class ClusterSpec(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A user's wish for the whole cluster."""

    name: str = "default"
    labels: Labels = always({})
    orchestration: OrchestrationConfig = always(OrchestrationConfig())
    raft: RaftConfig = always(RaftConfig())
    dispatcher: DispatcherConfig = always(DispatcherConfig())
    ca_config: CaConfig = msgspec.field(default_factory=CaConfig, name="CAConfig")
    task_defaults: TaskDefaults = always(TaskDefaults())
    encryption_config: EncryptionConfig = always(EncryptionConfig())


REBALANCE_LABEL: Final = "com.stackyard.rebalance"
"""Label of the cluster's spec: each new value asks once that tasks be spread anew."""


class Rebalancing(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """How far the tasks have been spread anew."""

    request: str  # the label's value that is being answered
    state: Literal["moving", "done", "stopped"] = "moving"
    moved: int = 0
    message: str = ""  # what is waited for, or why it was stopped


class RootCa(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """The cluster's certificate authority; `key_pem` never leaves the managers."""

    cert_pem: str
    key_pem: str

    def __repr__(self) -> str:
        """Leave the key out."""
        return "RootCa(...)"


class RootRotation(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A root on its way in: it signs already, and nodes still trust the one before.

    `cross_signed_pem` certifies the new root's key by the old root, so that whoever trusts the
    old one believes what the new one signs.
    """

    root: RootCa
    cross_signed_pem: str

    def __repr__(self) -> str:
        """Leave the key out."""
        return "RootRotation(...)"


class RetiredRoot(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A root that signs no more; nodes that were away since then still trust it alone.

    Its own certificate, the next root's key certified by it, and when the last certificate that
    it has signed ends.
    """

    cert_pem: str
    cross_signed_pem: str
    until: Timestamp


class RemovedNode(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A node that was removed; by `until` every certificate it has is void by itself."""

    id: NodeId
    until: Timestamp


class Cluster(ObjectStruct, frozen=True, kw_only=True, gc=False, tag="cluster", tag_field="kind"):
    """The one cluster object.

    Tokens, `unlock_key` and the roots' keys are secrets: never log this object.  `unlock_key` is
    empty unless managers lock themselves. `last_raft_id` is the newest
    ID that a manager was given in the consensus group; none is ever given again.
    """

    id: ClusterId
    meta: Meta
    spec: ClusterSpec
    root_ca: RootCa
    worker_token: str
    manager_token: str
    last_raft_id: int = 1
    root_rotation: RootRotation | None = None
    retired_roots: tuple[RetiredRoot, ...] = ()  # oldest first
    removed_nodes: tuple[RemovedNode, ...] = ()
    unlock_key: str = ""
    rebalancing: Rebalancing | None = None  # written by the rebalancer
    address_pools: tuple[str, ...] = ()  # for networks without a subnet; none: the default one
    subnet_size: int = DEFAULT_SUBNET_SIZE  # their prefix length
    data_port: int = DEFAULT_DATA_PORT  # UDP port of the traffic between nodes

    @property
    def task_history_limit(self) -> int:
        """Tasks kept a slot, the live one included."""
        limit = self.spec.orchestration.task_history_retention_limit
        return DEFAULT_TASK_HISTORY if limit is None else limit

    @property
    def heartbeat_period_ns(self) -> DurationNs:
        """How often a node must say that it lives; never too often, whatever is stored."""
        period_ns = self.spec.dispatcher.heartbeat_period or DEFAULT_HEARTBEAT_PERIOD_NS
        return max(MIN_HEARTBEAT_PERIOD_NS, period_ns)

    @property
    def signing_root(self) -> RootCa:
        """The root that signs certificates now."""
        return self.root_rotation.root if self.root_rotation else self.root_ca

    @property
    def node_cert_expiry_ns(self) -> DurationNs:
        """Validity of a node's certificate."""
        return self.spec.ca_config.node_cert_expiry or DEFAULT_NODE_CERT_EXPIRY_NS

    def __repr__(self) -> str:
        """Name the cluster without its secrets."""
        return f"Cluster(id={self.id!r})"
