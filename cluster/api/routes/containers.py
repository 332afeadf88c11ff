"""Plain containers: the local engine's, with a place of the cluster's where they are to join it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp import web

from cluster.api.commands.networks import PREDEFINED
from cluster.api.context import ApiContext
from cluster.api.engine import EngineAnswer
from cluster.api.error_response import JSON
from cluster.api.passthrough import pass_through
from cluster.api.request import ApiRequest
from cluster.api.routes.networks import is_local_name
from cluster.api.routing import Route
from cluster.errors import ClusterError, NotFound
from cluster.model.attachment import PlainPlace
from cluster.model.network_view import ADDRESS_OPTION, ATTACHMENT_OPTION

CREATE_LIMIT_S = 300.0
"""An engine that copies a large image's files into volumes takes its time."""

Json = dict[str, Any]


async def create_container(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Let the local engine create a container, with places in the cluster's networks."""
    body = _decoded(await request.body())
    if body is None or api.node.info().local_state != "active":
        return await pass_through(api.engine, request)
    places: dict[str, PlainPlace] = {}
    try:
        for name, settings in _wanted(body).items():
            if (place := await _place(api, name, settings)) is not None:
                places[name] = place
        if not places:
            return await pass_through(api.engine, request)
        _put_into(body, places)
        path = await api.engine.path_for(request.http.raw_path)
        answer = await api.engine.ask("POST", path, content=body, timeout_s=CREATE_LIMIT_S)
    except ClusterError:
        await _release(api, places.values())
        raise
    await _settle(api, places.values(), is_made=answer.status == 201)
    return _passed_on(answer)


async def connect_network(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Let the local engine connect a container, with a place if the network is the cluster's."""
    body = _decoded(await request.body())
    network = request.parameter("id")
    if body is None or api.node.info().local_state != "active" or network in PREDEFINED:
        return await pass_through(api.engine, request)
    settings = body.get("EndpointConfig") or {}
    unknown = await _refused(api, str(body.get("Container") or ""))
    if unknown is not None:
        return _passed_on(unknown)
    place = await _place(api, network, settings)
    if place is None:
        return await pass_through(api.engine, request)
    body["EndpointConfig"] = _with_place(settings, place)
    try:
        path = await api.engine.path_for(f"/networks/{place.network_name}/connect")
        answer = await api.engine.ask("POST", path, content=body, timeout_s=CREATE_LIMIT_S)
    except ClusterError:
        await _release(api, [place])
        raise
    await _settle(api, [place], is_made=answer.status == 200)
    return _passed_on(answer)


async def disconnect_network(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Let the local engine disconnect a container; its place is given back as it is seen gone."""
    body = _decoded(await request.body())
    if body is None or api.node.info().local_state != "active":
        return await pass_through(api.engine, request)
    name = api.node.network_name(request.parameter("id"))
    if name is None:
        return await pass_through(api.engine, request)
    path = await api.engine.path_for(f"/networks/{name}/disconnect")
    return _passed_on(await api.engine.ask("POST", path, content=body, timeout_s=CREATE_LIMIT_S))


ROUTES = (
    Route("POST", "/containers/create", create_container),
    Route("POST", "/networks/{id}/connect", connect_network),
    Route("POST", "/networks/{id}/disconnect", disconnect_network),
)


def _decoded(body: bytes) -> Json | None:
    """Return the request, None for one that the engine shall refuse in its own words."""
    try:
        return msgspec.json.decode(body, type=Json)
    except msgspec.DecodeError:
        return None


def _wanted(body: Json) -> dict[str, Json]:
    """Return the networks that a new container names, with what it says of its place in each."""
    named = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    wanted: dict[str, Json] = {name: settings or {} for name, settings in named.items()}
    mode = str((body.get("HostConfig") or {}).get("NetworkMode") or "")
    if mode:
        wanted.setdefault(mode, {})
    return {
        name: settings
        for name, settings in wanted.items()
        if name not in {*PREDEFINED, "default"} and ":" not in name
    }


async def _refused(api: ApiContext, container: str) -> EngineAnswer | None:
    """Return the engine's words for a container that it has not, None for one that it has."""
    path = await api.engine.path_for(f"/containers/{quote(container, safe='')}/json")
    answer = await api.engine.ask("GET", path)
    return answer if answer.status != 200 else None


async def _place(api: ApiContext, network: str, settings: Json) -> PlainPlace | None:
    """Return a place in the cluster's network of that name or ID, None if it is the engine's."""
    if await is_local_name(api, network):
        return None
    address = (settings.get("IPAMConfig") or {}).get("IPv4Address") or ""
    try:
        return await api.node.attach(network, address)
    except NotFound:
        return None  # of neither: the engine says so


def _put_into(body: Json, places: dict[str, PlainPlace]) -> None:
    host = body.setdefault("HostConfig", {})
    networking = body.setdefault("NetworkingConfig", {}) or {}
    endpoints = networking.get("EndpointsConfig") or {}
    for name, place in places.items():
        endpoints[place.network_name] = _with_place(endpoints.pop(name, None) or {}, place)
        if host.get("NetworkMode") == name:
            host["NetworkMode"] = place.network_name
    body["NetworkingConfig"] = {**networking, "EndpointsConfig": endpoints}
    resolver = next(iter(places.values())).gateway
    host["Dns"] = [resolver, *(host.get("Dns") or ())]


def _with_place(settings: Json, place: PlainPlace) -> Json:
    """Return what the engine is told of an endpoint; the address goes to our driver alone."""
    options = {
        **(settings.get("DriverOpts") or {}),
        ADDRESS_OPTION: place.address,
        ATTACHMENT_OPTION: place.attachment_id,
    }
    kept = {key: value for key, value in settings.items() if key != "IPAMConfig"}
    return {**kept, "DriverOpts": options}


async def _settle(api: ApiContext, places: Iterable[PlainPlace], *, is_made: bool) -> None:
    """Tell the node what has become of places."""
    if not is_made:
        await _release(api, places)
        return
    for place in places:
        api.node.made(place.attachment_id)


async def _release(api: ApiContext, places: Iterable[PlainPlace]) -> None:
    for place in places:
        await api.node.release(place.attachment_id)


def _passed_on(answer: EngineAnswer) -> web.Response:
    headers = {"Content-Type": JSON} if answer.body else {}
    return web.Response(status=answer.status, body=answer.body, headers=headers)
