"""Networks: the cluster's and the local engine's under one path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp import web

from cluster.api.commands.lookup import find_network
from cluster.api.commands.networks import (
    PREDEFINED,
    create_network,
    remove_network,
)
from cluster.api.context import ApiContext
from cluster.api.convert.network_members import (
    containers_json,
    is_in,
    peers_json,
    verbose_network_json,
)
from cluster.api.convert.networks import network_json, predefined_network_json
from cluster.api.error_response import empty_response, json_response, message_response
from cluster.api.filters import Filters
from cluster.api.forwarding import ask_leader, is_forwarded
from cluster.api.leased_store import leased_store
from cluster.api.local_node import AskLeader, not_manager
from cluster.api.passthrough import pass_through
from cluster.api.payloads.decoding import parse_body
from cluster.api.payloads.networks import (
    decode_network_request,
    decode_network_spec,
)
from cluster.api.query import strict_flag
from cluster.api.request import ApiRequest
from cluster.api.routing import Route
from cluster.errors import (
    AlreadyExists,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from cluster.model.ids import NetworkId
from cluster.model.network import Network
from cluster.model.network_view import DRIVER_NAME, NETWORK_OPTION
from cluster.model.units import SECOND_NS, Timestamp
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction

_FILTERS = ("dangling", "driver", "id", "label", "name", "scope", "type")
_PRUNE_FILTERS = ("until", "label", "label!")
_ON_WORKER = (
    "Cannot create a multi-host network from a worker node. "
    "Please create the network from a manager node."
)


async def list_networks(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """List the networks of both kinds that fit the filters."""
    state = api.state_or_none()
    if state is None:
        return await pass_through(api.engine, request)
    filters = Filters.parse(request.query.get("filters"), _FILTERS)
    fitting = (n for n in state.networks if _fits(state, n, filters))
    clusters = [network_json(network, request.version) for network in fitting]
    if api.is_limited:
        return json_response(clusters)
    answer = await api.engine.ask("GET", await api.engine.path_for(request.http.raw_path))
    if answer.status != 200:
        return message_response(answer.status, _message(answer.json()))
    return json_response(clusters + [n for n in answer.json() if not _stands_for_another(n)])


async def inspect_network(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Show one network; the parameter ``scope`` tells which kind is meant."""
    state = api.state_or_none()
    text = request.parameter("id")
    scope = request.query.get("scope", "")
    if state is None or scope == "local":
        _check_engine_is_seen(api, text)
        return await pass_through(api.engine, request)
    network = _cluster_network(state, text)
    if network is not None:
        shown = network_json(network, request.version)
        node_id = api.node.info().node_id
        shown["Containers"] = containers_json(network, state, node_id) or None
        if is_in(network, node_id, state):
            shown["Peers"] = peers_json(network, state)
        if strict_flag(request.query, "verbose"):
            shown |= verbose_network_json(network, state)
        return json_response(shown)
    if scope == "swarm":
        if text in PREDEFINED:
            return json_response(predefined_network_json(text, PREDEFINED[text], request.version))
        raise NotFound(f"network {text} not found")
    _check_engine_is_seen(api, text)
    return await pass_through(api.engine, request)


async def make_network(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Make a network in the cluster, or let the local engine make one."""
    tree = parse_body(await request.body())
    wanted = decode_network_request(tree)
    if not wanted.is_for_cluster:
        _check_engine_is_seen(api, wanted.name)
        state = api.state_or_none()
        if state is not None and state.network_by_name(wanted.name) is not None:
            raise AlreadyExists(f"network with name {wanted.name} already exists")
        return await pass_through(api.engine, request)
    if wanted.config_only or wanted.config_from is not None:
        raise InvalidArgument("ConfigOnly: a network of settings only is local to a node")
    if not api.node.info().control_available:
        if api.node.info().local_state == "active":
            raise PermissionDenied(_ON_WORKER)
        raise not_manager(api.node.info())
    spec = decode_network_spec(tree)
    api.check_own("network", spec.name, spec.labels)
    if await is_local_name(api, spec.name):
        raise AlreadyExists(f"network with name {spec.name} already exists")
    network_id = NetworkId(api.new_id())
    await leased_store(api, request).update(lambda tx: create_network(tx, spec, network_id))
    return json_response({"Id": network_id, "Warning": ""}, status=201)


async def delete_network(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Remove a network of either kind."""
    state = api.state_or_none()
    text = request.parameter("id")
    if state is None or _cluster_network(state, text) is None:
        _check_engine_is_seen(api, text)
        return await pass_through(api.engine, request)
    await leased_store(api, request).update(lambda tx: remove_network(tx, text))
    return empty_response(204)


async def prune_networks(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Remove networks of both kinds that nothing uses.

    The cluster's are the leader's business, and the engine's those of the node that was asked.
    """
    if api.state_or_none() is None:
        return await pass_through(api.engine, request)
    filters = Filters.parse(request.query.get("filters"), _PRUNE_FILTERS)
    before = _until(filters, api.clock.now())
    names = await _pruned_in_cluster(api, request, filters, before)
    if not is_forwarded(request):
        answer = await api.engine.ask("POST", await api.engine.path_for(request.http.raw_path))
        if answer.status != 200:
            return message_response(answer.status, _message(answer.json()))
        names += answer.json().get("NetworksDeleted") or []
    return json_response({"NetworksDeleted": names or None})


async def _pruned_in_cluster(
    api: ApiContext, request: ApiRequest, filters: Filters, before: Timestamp | None
) -> list[str]:
    try:
        return await api.store.update(lambda tx: _prune(tx, filters, before))
    except AskLeader:
        if is_forwarded(request) or await api.node.wait_leader():
            raise
    status, content = await ask_leader(api.node, request, api.caller)
    if status != 200:
        raise Unavailable(f"the leader does not prune networks: {_message(content)}")
    names: list[str] = content.get("NetworksDeleted") or []
    return names


ROUTES = (
    Route("GET", "/networks/?", list_networks),
    Route("POST", "/networks/create", make_network),
    Route("POST", "/networks/prune", prune_networks),
    Route("GET", "/networks/{id}", inspect_network),
    Route("DELETE", "/networks/{id}", delete_network),
)


def _check_engine_is_seen(api: ApiContext, name: str) -> None:
    """Keep who may use the cluster only from the engine's own networks."""
    if api.is_limited:
        raise NotFound(f"network {name} not found")


def _stands_for_another(local: Mapping[str, Any]) -> bool:
    """Whether an engine's network is only its part of a cluster network, which is listed itself."""
    return local.get("Driver") == DRIVER_NAME and NETWORK_OPTION in (local.get("Options") or {})


def _cluster_network(state: ClusterState, text: str) -> Network | None:
    """Return the cluster network that is meant, None if it must be a local one."""
    try:
        return find_network(state, text)
    except NotFound:
        return None


def _fits(state: ClusterState, network: Network, filters: Filters) -> bool:
    dangling = filters.flag("dangling")
    is_used = _is_used(state, network)
    return (
        (dangling is None or dangling != is_used)
        and filters.one_is("driver", network.spec.driver)
        and filters.one_is_part_of("id", network.id)
        and filters.labels_fit("label", network.spec.labels)
        and filters.one_is_part_of("name", network.spec.name)
        and filters.one_is("scope", "swarm", "global")
        and filters.one_is("type", "custom")
    )


def _is_used(state: ClusterState, network: Network) -> bool:
    return bool(
        state.services.count("network", network.id)
        or state.attachments.count("network", network.id)
    )


async def is_local_name(api: ApiContext, name: str) -> bool:
    """Whether the local engine has a network of that name."""
    filters = quote(msgspec.json.encode({"name": [name]}).decode())
    answer = await api.engine.ask("GET", f"/networks?filters={filters}")
    return answer.status == 200 and any(
        n.get("Name") == name and not _stands_for_another(n) for n in answer.json()
    )


def _prune(tx: Transaction, filters: Filters, before: Timestamp | None) -> list[str]:
    names = []
    for network in list(tx.state.networks):
        if (
            not network.spec.ingress
            and not _is_used(tx.state, network)
            and (before is None or network.meta.created_at < before)
            and filters.labels_fit("label", network.spec.labels)
            and filters.labels_avoid("label!", network.spec.labels)
        ):
            tx.delete(network)
            names.append(network.spec.name)
    return names


_UNITS_NS = {"h": 3_600 * SECOND_NS, "m": 60 * SECOND_NS, "s": SECOND_NS}


def _until(filters: Filters, now: Timestamp) -> Timestamp | None:
    """Return the moment before which a network must have been made, None for any."""
    values = filters.get("until")
    if not values:
        return None
    text = values[0]
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return Timestamp(int(float(text) * SECOND_NS))
    if re.fullmatch(r"(?:[0-9]+(?:\.[0-9]+)?[hms])+", text):
        parts = re.findall(r"([0-9.]+)([hms])", text)
        return Timestamp(now - sum(int(float(n) * _UNITS_NS[unit]) for n, unit in parts))
    raise InvalidArgument(
        f"filters: until: {text!r} is neither a duration such as 24h nor seconds since 1970"
    )


def _message(content: Mapping[str, Any]) -> str:
    return str(content.get("message", "the local engine refused"))
