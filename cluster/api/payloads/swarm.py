"""The bodies of requests about the cluster as a whole."""

from __future__ import annotations

import msgspec

from cluster.api.local_node import InitRequest, JoinRequest
from cluster.api.payloads.decoding import decode_body
from cluster.api.payloads.nodes import parse_availability
from cluster.errors import InvalidArgument
from cluster.model.cluster import (
    DEFAULT_HEARTBEAT_PERIOD_NS,
    DEFAULT_NODE_CERT_EXPIRY_NS,
    DEFAULT_TASK_HISTORY,
    ClusterSpec,
    RaftConfig,
)
from cluster.model.spec_struct import SpecStruct
from cluster.model.units import Uint32

_DEFAULT_RAFT = RaftConfig(
    snapshot_interval=10_000,
    keep_old_snapshots=0,
    log_entries_for_slow_followers=500,
    election_tick=10,
    heartbeat_tick=1,
)
_MAX_PORT = 65_535


class _InitBody(SpecStruct, frozen=True, kw_only=True, gc=False):
    listen_addr: str = ""
    advertise_addr: str = ""
    data_path_addr: str = ""
    data_path_port: Uint32 = 0
    force_new_cluster: bool = False
    spec: ClusterSpec = ClusterSpec()
    auto_lock_managers: bool = False
    availability: str = ""
    default_addr_pool: tuple[str, ...] = ()
    subnet_size: Uint32 = 0


class _JoinBody(SpecStruct, frozen=True, kw_only=True, gc=False):
    listen_addr: str = ""
    advertise_addr: str = ""
    data_path_addr: str = ""
    remote_addrs: tuple[str, ...] = ()
    join_token: str = ""
    availability: str = ""


def decode_init(body: bytes) -> InitRequest:
    """Return how a client wishes a cluster to be made, absent settings filled in.

    Raises:
        InvalidArgument: a member that is wrong, which the message names.
    """
    given = decode_body(body, _InitBody)
    if not 0 <= given.data_path_port <= _MAX_PORT:
        raise InvalidArgument(f"DataPathPort: {given.data_path_port} is no port number")
    spec = with_defaults(given.spec)
    if given.auto_lock_managers:
        encryption = msgspec.structs.replace(spec.encryption_config, auto_lock_managers=True)
        spec = msgspec.structs.replace(spec, encryption_config=encryption)
    return InitRequest(
        listen_addr=given.listen_addr,
        advertise_addr=given.advertise_addr,
        data_path_addr=given.data_path_addr,
        data_path_port=given.data_path_port,
        force_new_cluster=given.force_new_cluster,
        spec=spec,
        availability=parse_availability(given.availability or "active"),
        default_addr_pool=given.default_addr_pool,
        subnet_size=given.subnet_size,
    )


def decode_join(body: bytes) -> JoinRequest:
    """Return how a client wishes the node to join.

    Raises:
        InvalidArgument: a member that is wrong or missing, which the message names.
    """
    given = decode_body(body, _JoinBody)
    if not given.join_token:
        raise InvalidArgument("JoinToken: it is required; a manager shows it: swarm join-token")
    if not given.remote_addrs:
        raise InvalidArgument("RemoteAddrs: the address of at least one manager is required")
    return JoinRequest(
        listen_addr=given.listen_addr,
        advertise_addr=given.advertise_addr,
        data_path_addr=given.data_path_addr,
        remote_addrs=given.remote_addrs,
        join_token=given.join_token,
        availability=parse_availability(given.availability or "active"),
    )


def decode_cluster_spec(body: bytes) -> ClusterSpec:
    """Return the settings that a client wishes for, absent ones filled in.

    Raises:
        InvalidArgument: a member that is wrong, which the message names.
    """
    return with_defaults(decode_body(body, ClusterSpec))


def with_defaults(spec: ClusterSpec) -> ClusterSpec:
    """Return the settings with the values that apply in place of absent ones."""
    replace = msgspec.structs.replace
    history = spec.orchestration.task_history_retention_limit
    raft = spec.raft
    return replace(
        spec,
        name=spec.name or "default",
        orchestration=replace(
            spec.orchestration,
            task_history_retention_limit=DEFAULT_TASK_HISTORY if history is None else history,
        ),
        raft=RaftConfig(
            snapshot_interval=raft.snapshot_interval or _DEFAULT_RAFT.snapshot_interval,
            keep_old_snapshots=raft.keep_old_snapshots or 0,
            log_entries_for_slow_followers=(
                _DEFAULT_RAFT.log_entries_for_slow_followers
                if raft.log_entries_for_slow_followers is None
                else raft.log_entries_for_slow_followers
            ),
            election_tick=raft.election_tick or _DEFAULT_RAFT.election_tick,
            heartbeat_tick=raft.heartbeat_tick or _DEFAULT_RAFT.heartbeat_tick,
        ),
        dispatcher=replace(
            spec.dispatcher,
            heartbeat_period=spec.dispatcher.heartbeat_period or DEFAULT_HEARTBEAT_PERIOD_NS,
        ),
        ca_config=replace(
            spec.ca_config,
            node_cert_expiry=spec.ca_config.node_cert_expiry or DEFAULT_NODE_CERT_EXPIRY_NS,
        ),
    )
