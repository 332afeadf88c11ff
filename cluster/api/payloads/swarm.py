"""The bodies of requests about the cluster as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cluster.api.local_node import InitRequest, JoinRequest
from cluster.api.payloads.decoding import decode_body
from cluster.api.payloads.nodes import parse_availability
from cluster.api.versions import ApiVersion
from cluster.errors import InvalidArgument, Unimplemented
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
_POOLS_SINCE = ApiVersion(1, 39)
_PATH_PORT_SINCE = ApiVersion(1, 40)


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


class _UnlockBody(SpecStruct, frozen=True, kw_only=True, gc=False):
    unlock_key: str = ""


class RootWish(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A root that a client brings along, as PEM texts; empty ones mean that it brings none."""

    signing_ca_cert: str = msgspec.field(default="", name="SigningCACert")
    signing_ca_key: str = msgspec.field(default="", name="SigningCAKey")

    def __repr__(self) -> str:
        """Leave the key out."""
        return "RootWish(...)"


class _CaBody(RootWish, frozen=True, kw_only=True, gc=False):
    external_cas: tuple[Mapping[str, Any], ...] = msgspec.field(default=(), name="ExternalCAs")


class _UpdateBody(SpecStruct, frozen=True, kw_only=True, gc=False):
    ca_config: _CaBody = msgspec.field(default_factory=_CaBody, name="CAConfig")


def decode_init(body: bytes, version: ApiVersion) -> InitRequest:
    """Return how a client wishes a cluster to be made, absent settings filled in.

    What its version of the API did not have yet is left out, as by Docker.

    Raises:
        InvalidArgument: a member that is wrong, which the message names.
    """
    given = decode_body(body, _InitBody)
    if version < _POOLS_SINCE:
        given = msgspec.structs.replace(given, default_addr_pool=(), subnet_size=0)
    if version < _PATH_PORT_SINCE:
        given = msgspec.structs.replace(given, data_path_port=0)
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


def decode_unlock(body: bytes) -> str:
    """Return the unlock key that a client gives.

    Raises:
        InvalidArgument: there is none.
    """
    given = decode_body(body, _UnlockBody)
    if not given.unlock_key:
        raise InvalidArgument("UnlockKey: it is required; a manager that is not locked shows it")
    return given.unlock_key


def decode_cluster_spec(body: bytes) -> ClusterSpec:
    """Return the settings that a client wishes for, absent ones filled in.

    Raises:
        InvalidArgument: a member that is wrong, which the message names.
    """
    return with_defaults(decode_body(body, ClusterSpec))


def decode_root_wish(body: bytes) -> RootWish | None:
    """Return the root that the settings of a cluster bring along, None if they bring none.

    Raises:
        InvalidArgument: a part of it is missing.
        Unimplemented: an external CA is to sign.
    """
    given = decode_body(body, _UpdateBody).ca_config
    if given.external_cas:
        raise Unimplemented(
            "CAConfig.ExternalCAs: a CA outside of the cluster is not supported; give the cluster"
            " a root of your own with its key (--ca-cert and --ca-key)"
        )
    if not given.signing_ca_cert and not given.signing_ca_key:
        return None
    if not given.signing_ca_key:
        raise InvalidArgument("CAConfig.SigningCAKey: it is required beside SigningCACert")
    if not given.signing_ca_cert:
        raise InvalidArgument("CAConfig.SigningCACert: it is required beside SigningCAKey")
    return RootWish(signing_ca_cert=given.signing_ca_cert, signing_ca_key=given.signing_ca_key)


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
