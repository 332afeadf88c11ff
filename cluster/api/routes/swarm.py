"""The cluster as a whole: make, join, leave, look at and change it."""

from __future__ import annotations

from aiohttp import web

from cluster.api.commands.cluster import check_cluster_spec, the_cluster, update_cluster
from cluster.api.context import ApiContext
from cluster.api.convert.cluster import swarm_json
from cluster.api.error_response import Conflict, empty_response, json_response
from cluster.api.local_node import (
    NOT_PART_OF_SWARM,
    already_in_swarm,
)
from cluster.api.payloads.swarm import decode_cluster_spec, decode_init, decode_join
from cluster.api.query import lenient_flag, object_version, strict_flag
from cluster.api.request import ApiRequest
from cluster.api.routing import Route
from cluster.ca.join_token import new_join_token
from cluster.errors import Unavailable, Unimplemented


async def inspect(api: ApiContext, request: ApiRequest) -> web.StreamResponse:  # noqa: ARG001
    """Show the cluster with its join tokens."""
    state = api.state
    return json_response(swarm_json(the_cluster(state), state))


async def init(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Make a cluster with this node as its manager."""
    wanted = decode_init(await request.body())
    if api.node.info().local_state != "inactive" and not wanted.force_new_cluster:
        raise already_in_swarm()
    check_cluster_spec(wanted.spec)
    return json_response(await api.to_the_end(api.node.init(wanted)))


async def join(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Join a cluster."""
    if api.node.info().local_state != "inactive":
        raise already_in_swarm()
    wanted = decode_join(await request.body())
    await api.to_the_end(api.node.join(wanted))
    return empty_response()


async def leave(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Leave the cluster."""
    node = api.node.info()
    force = lenient_flag(request.query, "force")
    if node.local_state == "inactive":
        raise Unavailable(NOT_PART_OF_SWARM)
    if node.control_available and not force:
        raise Unavailable(api.node.leave_warning())
    await api.to_the_end(api.node.leave(force=force))
    return empty_response()


async def update(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Change the cluster's settings, replace its join tokens."""
    store = api.store
    spec = decode_cluster_spec(await request.body())
    version = object_version(request.query, "swarm")
    if strict_flag(request.query, "rotateManagerUnlockKey"):
        raise Unimplemented("rotateManagerUnlockKey: locking managers is not in this version")
    root = the_cluster(store.view()).root_ca.cert_pem
    rotates_worker = strict_flag(request.query, "rotateWorkerToken")
    rotates_manager = strict_flag(request.query, "rotateManagerToken")
    worker_token = new_join_token(root) if rotates_worker else None
    manager_token = new_join_token(root) if rotates_manager else None
    await store.update(
        lambda tx: update_cluster(
            tx, spec, version, new_worker_token=worker_token, new_manager_token=manager_token
        )
    )
    return empty_response()


async def unlock_key(api: ApiContext, request: ApiRequest) -> web.StreamResponse:  # noqa: ARG001
    """Show the unlock key, which is empty: managers are never locked in this version."""
    the_cluster(api.state)
    return json_response({"UnlockKey": ""})


async def unlock(api: ApiContext, request: ApiRequest) -> web.StreamResponse:  # noqa: ARG001
    """Refuse: managers are never locked in this version."""
    if api.node.info().local_state == "inactive":
        raise Unavailable(NOT_PART_OF_SWARM)
    raise Conflict("swarm is not locked")


ROUTES = (
    Route("GET", "/swarm", inspect),
    Route("POST", "/swarm/init", init),
    Route("POST", "/swarm/join", join),
    Route("POST", "/swarm/leave", leave),
    Route("POST", "/swarm/update", update),
    Route("GET", "/swarm/unlockkey", unlock_key),
    Route("POST", "/swarm/unlock", unlock),
)
