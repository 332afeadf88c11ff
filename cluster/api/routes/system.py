"""What the node is: ping, version, info."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from cluster.api.context import ApiContext
from cluster.api.convert.cluster import cluster_json
from cluster.api.error_response import json_response, message_response
from cluster.api.event_stream import serve_events
from cluster.api.local_node import LocalNodeInfo
from cluster.api.passthrough import list_containers
from cluster.api.request import ApiRequest
from cluster.api.routing import Route
from cluster.api.versions import OLDEST, ApiVersion, served_version
from cluster.ca.chain import issuer_info
from cluster.errors import Unavailable

_PING_HEADERS = {
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Content-Type": "text/plain; charset=utf-8",
}

TWO_MANAGERS = 2
_TWO_MANAGERS_WARNING = (
    "WARNING: Running Swarm in a two-manager configuration. This configuration provides no fault"
    " tolerance, and poses a high risk to lose control over the cluster: make it one manager, or"
    " three."
)

_BUILDKIT_SINCE = ApiVersion(1, 42)
"""Engines of this version and later let a client build with BuildKit unless told otherwise."""


async def ping(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Say that the node lives, and in the headers what it is."""
    headers = {**_PING_HEADERS, "Swarm": _swarm_word(api.node.info())}
    if request.version >= _BUILDKIT_SINCE:
        headers["Builder-Version"] = "2"
    return web.Response(body=b"" if request.method == "HEAD" else b"OK", headers=headers)


async def version(api: ApiContext, request: ApiRequest) -> web.StreamResponse:  # noqa: ARG001
    """Show the engine's version with the API versions that are served here."""
    content = await api.engine.version()
    served = {
        "ApiVersion": str(served_version(await api.engine.newest_version())),
        "MinAPIVersion": str(OLDEST),
    }
    content.update(served)
    for component in content.get("Components") or ():
        if component.get("Name") == "Engine":
            component.setdefault("Details", {}).update(served)
    return json_response(content)


async def info(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Show the engine's information with the cluster's part."""
    path = await api.engine.path_for(request.http.raw_path)
    answer = await api.engine.ask("GET", path)
    content = answer.json()
    if answer.status != 200:
        return message_response(answer.status, str(content.get("message", "")))
    content["Swarm"] = _swarm_part(api)
    if content["Swarm"].get("Warnings"):
        content["Warnings"] = [*(content.get("Warnings") or []), *content["Swarm"]["Warnings"]]
    networks = content.setdefault("Plugins", {}).get("Network") or []
    if "overlay" not in networks:
        content["Plugins"]["Network"] = sorted([*networks, "overlay"])
    if api.is_limited:
        return json_response(_in_short(content))
    return json_response(content)


async def containers(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """List the local engine's containers."""
    return await list_containers(api.engine, request)


async def events(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Tell what happens to the engine's objects and the cluster's."""
    return await serve_events(api.events, api.engine, request, api.clock)


ROUTES = (
    Route("GET", "/_ping", ping),
    Route("HEAD", "/_ping", ping),
    Route("GET", "/version", version),
    Route("GET", "/info", info),
    Route("GET", "/containers/json", containers),
    Route("GET", "/events", events),
)


_SHOWN_OF_INFO = ("ID", "Name", "ServerVersion", "OSType", "Architecture", "OperatingSystem")
_SHOWN_OF_SWARM = ("NodeID", "LocalNodeState", "ControlAvailable", "Error")


def _in_short(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a client must know to deploy, and nothing of how the node is set up."""
    shown = {name: info[name] for name in _SHOWN_OF_INFO if name in info}
    return shown | {"Swarm": {name: info["Swarm"][name] for name in _SHOWN_OF_SWARM}}


def _swarm_word(node: LocalNodeInfo) -> str:
    if node.local_state != "active":
        return node.local_state
    return "active/manager" if node.control_available else "active/worker"


def _swarm_part(api: ApiContext) -> dict[str, Any]:
    node = api.node.info()
    managers = [{"NodeID": m.node_id, "Addr": m.addr} for m in node.remote_managers]
    part: dict[str, Any] = {
        "NodeID": node.node_id,
        "NodeAddr": node.addr,
        "LocalNodeState": node.local_state,
        "ControlAvailable": node.control_available,
        "Error": node.error,
        "RemoteManagers": managers or None,
    }
    # As this node knows it, which must not depend on others: they may be what is missing.
    try:
        state = api.state_or_none()
    except Unavailable:
        state = None
    if state is not None and state.cluster is not None:
        part["Nodes"] = len(state.nodes)
        part["Managers"] = sum(1 for n in state.nodes if n.manager_status is not None)
        if part["Managers"] == TWO_MANAGERS:
            part["Warnings"] = [_TWO_MANAGERS_WARNING]
        part["Cluster"] = cluster_json(
            state.cluster, issuer_info(state.cluster.signing_root.cert_pem)
        )
    return part
