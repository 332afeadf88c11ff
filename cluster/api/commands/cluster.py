"""What a user may do with the cluster as a whole."""

from __future__ import annotations

import msgspec

from cluster.errors import InvalidArgument, Unavailable
from cluster.model.cluster import MIN_HEARTBEAT_PERIOD_NS, Cluster, ClusterSpec
from cluster.model.units import SECOND_NS
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction

CLUSTER_NAME = "default"
_MIN_CERT_EXPIRY_NS = 3_600 * SECOND_NS


def the_cluster(state: ClusterState) -> Cluster:
    """Return the cluster object.

    Raises:
        Unavailable: it is not there yet: the first manager is still starting.
    """
    if state.cluster is None:
        raise Unavailable("the swarm has no leader yet; try again")
    return state.cluster


def check_cluster_spec(spec: ClusterSpec) -> None:
    """Check the settings of a cluster that is to be made or changed.

    Raises:
        InvalidArgument: a setting that is wrong.
    """
    if spec.name != CLUSTER_NAME:
        raise InvalidArgument(f'swarm spec must be named "{CLUSTER_NAME}"')
    if spec.ca_config.node_cert_expiry < _MIN_CERT_EXPIRY_NS:
        raise InvalidArgument("minimum certificate expiry time is: 1h0m0s")
    period_ns = spec.dispatcher.heartbeat_period
    if period_ns and period_ns < MIN_HEARTBEAT_PERIOD_NS:
        raise InvalidArgument(
            f"Dispatcher.HeartbeatPeriod: {period_ns / SECOND_NS:g}s is below the minimum of "
            f"{MIN_HEARTBEAT_PERIOD_NS / SECOND_NS:g}s; 0 means the default"
        )
    if (spec.orchestration.task_history_retention_limit or 0) < 0:
        raise InvalidArgument("Orchestration.TaskHistoryRetentionLimit: a negative number")


def update_cluster(
    tx: Transaction,
    spec: ClusterSpec,
    version: int,
    *,
    new_worker_token: str | None = None,
    new_manager_token: str | None = None,
    new_unlock_key: str = "",
    rotates_unlock_key: bool = False,
) -> None:
    """Change settings, replace join tokens and the unlock key.

    Args:
        tx: the transaction.
        spec: the new settings, complete.
        version: the cluster's version the user has read.
        new_worker_token: what takes the place of the workers' token, None to keep it.
        new_manager_token: the same for managers.
        new_unlock_key: becomes the unlock key if there is to be one and is none yet.
        rotates_unlock_key: whether it takes the place of one that there is, too.

    Raises:
        InvalidArgument: a setting that is wrong.
        OutOfSequence: the cluster changed meanwhile.
    """
    check_cluster_spec(spec)
    cluster = the_cluster(tx.state)
    unlock_key = ""
    if spec.encryption_config.auto_lock_managers:
        keeps = cluster.unlock_key and not rotates_unlock_key
        unlock_key = cluster.unlock_key if keeps else new_unlock_key
    tx.update(
        msgspec.structs.replace(
            cluster,
            spec=spec,
            worker_token=new_worker_token or cluster.worker_token,
            manager_token=new_manager_token or cluster.manager_token,
            unlock_key=unlock_key,
        ),
        expected_version=version,
    )
