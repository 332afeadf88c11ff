"""Nodes: list, inspect, change, remove."""

from __future__ import annotations

from aiohttp import web

from cluster.api.commands.lookup import find_node
from cluster.api.commands.nodes import remove_node, update_node
from cluster.api.context import ApiContext
from cluster.api.convert.nodes import node_in_short, node_json
from cluster.api.encoded_objects import json_list
from cluster.api.error_response import empty_response, raw_json_response
from cluster.api.filters import Filters
from cluster.api.payloads.nodes import decode_node_spec
from cluster.api.query import lenient_flag, object_version
from cluster.api.request import ApiRequest
from cluster.api.routing import Route
from cluster.errors import InvalidArgument
from cluster.model.node import Node

_FILTERS = ("id", "name", "label", "node.label", "role", "membership")
_MEMBERSHIPS = ("accepted", "pending")


async def list_nodes(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """List the nodes that fit the filters."""
    state = api.state
    filters = Filters.parse(request.query.get("filters"), _FILTERS)
    _check_words(filters, "role", ("worker", "manager"))
    _check_words(filters, "membership", _MEMBERSHIPS)
    nodes = [node for node in state.nodes if _fits(node, filters)]
    api.encoded.forget_all_but(len(state.nodes) + len(state.tasks) + len(state.services))
    return raw_json_response(json_list(_encoded(api, node) for node in nodes))


async def inspect_node(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Show one node."""
    return raw_json_response(_encoded(api, find_node(api.state, request.parameter("id"))))


async def change_node(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Give a node a new spec."""
    store = api.store
    version = object_version(request.query, "node")
    spec = decode_node_spec(await request.body())
    node_text = request.parameter("id")
    node = find_node(store.view(), node_text)
    if node.spec.role == "manager" and spec.role == "worker":
        await api.node.check_demotion(node)
    await store.update(lambda tx: update_node(tx, node_text, version, spec))
    return empty_response()


async def delete_node(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Remove a node."""
    node_text = request.parameter("id")
    force = lenient_flag(request.query, "force")
    await api.store.update(lambda tx: remove_node(tx, node_text, force=force))
    return empty_response()


ROUTES = (
    Route("GET", "/nodes", list_nodes),
    Route("GET", "/nodes/{id}", inspect_node),
    Route("POST", "/nodes/{id}/update", change_node),
    Route("DELETE", "/nodes/{id}", delete_node),
)


def _encoded(api: ApiContext, node: Node) -> bytes:
    is_leader = node.id == api.node.leader_id()
    variant = "leader" if is_leader else ""
    if api.is_limited:
        return api.encoded.encode(node, lambda: node_in_short(node))
    return api.encoded.encode(node, lambda: node_json(node, is_leader=is_leader), variant)


def _fits(node: Node, filters: Filters) -> bool:
    engine_labels = node.description.engine.labels if node.description else None
    return (
        filters.one_starts("id", node.id)
        and filters.one_starts("name", node.spec.name, node.hostname)
        and filters.labels_fit("label", engine_labels)
        and filters.labels_fit("node.label", node.spec.labels)
        and filters.one_is("role", node.spec.role)
        and filters.one_is("membership", "accepted")
    )


def _check_words(filters: Filters, key: str, words: tuple[str, ...]) -> None:
    for value in filters.get(key):
        if value not in words:
            raise InvalidArgument(f"invalid {key} filter: '{value}'; expected {' or '.join(words)}")
