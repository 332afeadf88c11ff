"""The cluster as a whole: make, join, leave, look at and change it."""

from __future__ import annotations

from aiohttp import web
from msgspec.structs import replace

from cluster.api.commands.cluster import check_cluster_spec, the_cluster, update_cluster
from cluster.api.context import ApiContext
from cluster.api.convert.cluster import swarm_json
from cluster.api.error_response import Conflict, empty_response, json_response
from cluster.api.local_node import (
    NOT_PART_OF_SWARM,
    already_in_swarm,
)
from cluster.api.payloads.swarm import (
    decode_cluster_spec,
    decode_init,
    decode_join,
    decode_root_wish,
    decode_unlock,
)
from cluster.api.query import lenient_flag, object_version, strict_flag
from cluster.api.request import ApiRequest
from cluster.api.routing import Route
from cluster.ca.authority import imported_root_ca, new_root_ca
from cluster.ca.chain import issuer_info
from cluster.ca.join_token import new_join_token
from cluster.ca.node_lock import new_unlock_key
from cluster.ca.root_rotation import begin
from cluster.errors import Unavailable
from cluster.store.transaction import Transaction


async def inspect(api: ApiContext, request: ApiRequest) -> web.StreamResponse:  # noqa: ARG001
    """Show the cluster with its join tokens."""
    cluster = the_cluster(api.state)
    return json_response(swarm_json(cluster, issuer_info(cluster.signing_root.cert_pem)))


async def init(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Make a cluster with this node as its manager."""
    wanted = replace(decode_init(await request.body(), request.version), author=api.author)
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
    """Change the cluster's settings, replace its join tokens, unlock key and root."""
    store = api.store
    body = await request.body()
    spec = decode_cluster_spec(body)
    version = object_version(request.query, "swarm")
    rotates_unlock_key = strict_flag(request.query, "rotateManagerUnlockKey")
    root = the_cluster(store.view()).root_ca.cert_pem
    rotates_worker = strict_flag(request.query, "rotateWorkerToken")
    rotates_manager = strict_flag(request.query, "rotateManagerToken")
    worker_token = new_join_token(root) if rotates_worker else None
    manager_token = new_join_token(root) if rotates_manager else None
    wish = decode_root_wish(body)
    now = api.clock.now()
    brought = imported_root_ca(wish.signing_ca_cert, wish.signing_ca_key, now) if wish else None

    def work(tx: Transaction) -> None:
        before = the_cluster(tx.state)
        update_cluster(
            tx,
            spec,
            version,
            new_worker_token=worker_token,
            new_manager_token=manager_token,
            new_unlock_key=new_unlock_key(),
            rotates_unlock_key=rotates_unlock_key,
        )
        fresh = brought
        if fresh is None and spec.ca_config.force_rotate != before.spec.ca_config.force_rotate:
            fresh = new_root_ca(now)
        if fresh is not None and fresh.cert_pem != before.signing_root.cert_pem:
            tx.update(begin(the_cluster(tx.state), fresh))

    await store.update(work)
    return empty_response()


async def unlock_key(api: ApiContext, request: ApiRequest) -> web.StreamResponse:  # noqa: ARG001
    """Show the unlock key, which is empty unless managers lock themselves."""
    return json_response({"UnlockKey": the_cluster(api.state).unlock_key})


async def unlock(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Give a locked manager the key."""
    state = api.node.info().local_state
    if state == "inactive":
        raise Unavailable(NOT_PART_OF_SWARM)
    if state != "locked":
        raise Conflict("swarm is not locked")
    key = decode_unlock(await request.body())
    await api.to_the_end(api.node.unlock(key))
    return empty_response()


ROUTES = (
    Route("GET", "/swarm", inspect),
    Route("POST", "/swarm/init", init),
    Route("POST", "/swarm/join", join),
    Route("POST", "/swarm/leave", leave),
    Route("POST", "/swarm/update", update),
    Route("GET", "/swarm/unlockkey", unlock_key),
    Route("POST", "/swarm/unlock", unlock),
)
