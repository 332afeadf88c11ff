"""Which requests a deploy token may send at all; all others are refused, new ones too."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

from cluster.api.commands.lookup import (
    find_config,
    find_network,
    find_secret,
    find_service,
    find_task,
)
from cluster.api.commands.token_scope import denied
from cluster.api.context import ApiContext
from cluster.api.error_response import JSON, json_response
from cluster.api.request import ApiRequest
from cluster.api.routing import Match, RouteTable
from cluster.errors import NotFound
from cluster.model.network import PREDEFINED_NETWORKS
from cluster.model.token import DeployToken
from cluster.store.state import ClusterState

_OF_THE_ENGINE: Final = frozenset({"/_ping", "/version", "/info", "/distribution", "/images"})

_ALLOWED: Final = frozenset(
    {
        *(("GET", path) for path in ("/_ping", "/version", "/info")),
        ("HEAD", "/_ping"),
        *(("GET", path) for path in ("/nodes", "/nodes/{id}")),
        *(("GET", path) for path in ("/tasks", "/tasks/{id}", "/tasks/{id}/logs")),
        *(("GET", path) for path in ("/services", "/services/{id}", "/services/{id}/logs")),
        *(("POST", path) for path in ("/services/create", "/services/{id}/update")),
        ("DELETE", "/services/{id}"),
        *(("GET", path) for path in ("/networks/?", "/networks/{id}")),
        ("POST", "/networks/create"),
        ("DELETE", "/networks/{id}"),
        *(("GET", path) for path in ("/secrets", "/secrets/{id}")),
        *(("POST", path) for path in ("/secrets/create", "/secrets/{id}/update")),
        ("DELETE", "/secrets/{id}"),
        *(("GET", path) for path in ("/configs", "/configs/{id}")),
        *(("POST", path) for path in ("/configs/create", "/configs/{id}/update")),
        ("DELETE", "/configs/{id}"),
        *(("GET", path) for path in ("/stacks", "/stacks/{name}", "/stacks/{name}/revisions")),
        ("GET", "/stacks/{name}/revisions/{number}"),
        *(("POST", f"/stacks/{{name}}/{what}") for what in ("deploy", "rollback", "lease")),
        ("DELETE", "/stacks/{name}/lease"),
    }
)

_IMAGE: Final = re.compile(
    r"/(?P<kind>distribution|images)/(?P<image>[a-zA-Z0-9]+(?:[._:/@-]{1,2}[a-zA-Z0-9]+)*)/json"
)

_FINDERS: Final[Mapping[str, Callable[[ClusterState, str], object]]] = {
    "services": find_service,
    "tasks": find_task,
    "networks": find_network,
    "secrets": find_secret,
    "configs": find_config,
}

_ID: Final = re.compile(r"[0-9a-z]{25}")


def find_limited(routes: RouteTable, method: str, path: str) -> Match | None:
    """Return the handler for a token's request, None if no token may send it.

    Args:
        routes: of the server.
        method: of the request.
        path: of the request, without version.
    """
    image = _IMAGE.fullmatch(path) if method == "GET" else None
    if image is not None and ".." not in path and "//" not in path:
        handler = _distribution if image["kind"] == "distribution" else _image
        return Match(handler, f"/{image['kind']}", {"image": image["image"]})
    match = routes.find(method, path)
    return match if match is not None and (method, match.pattern) in _ALLOWED else None


def is_of_the_engine(match: Match) -> bool:
    """Whether a request concerns the node that it was sent to, and nothing of the cluster."""
    return match.pattern in _OF_THE_ENGINE


def check_target(
    token: DeployToken, state: ClusterState, match: Match | None, request: ApiRequest
) -> None:
    """Check that a token may send a request at all, and to the object that its path names.

    Args:
        token: whose request it is.
        state: what the token may see.
        match: what `find_limited` returned.
        request: the request, with its parameters.

    Raises:
        PermissionDenied: it may not.
        NotFound: there is no such object.
    """
    if match is None:
        raise denied(token, f"send {request.method} {request.path[:80]}")
    kind = request.path.split("/")[1]
    if "name" in request.parameters:
        stack = request.parameter("name")
        if not token.covers(stack):
            raise denied(token, f"use stack {stack}")
    elif "id" in request.parameters and kind in _FINDERS:
        text = request.parameter("id")
        if kind == "networks" and text in PREDEFINED_NETWORKS:
            return
        try:
            _FINDERS[kind](state, text)
        except NotFound:
            if not _ID.fullmatch(text) and not token.covers_name(text):
                raise denied(token, f"use {kind.removesuffix('s')} {text}") from None
            raise


async def _distribution(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Let the local engine ask a registry for an image's digest."""
    path = await api.engine.path_for(f"/distribution/{request.parameters['image']}/json")
    login = request.http.headers.get("X-Registry-Auth", "")
    headers = {"X-Registry-Auth": login} if login else {}
    async with api.engine.stream("GET", path, headers=headers) as answer:
        body = await answer.read()
        return web.Response(status=answer.status, body=body, headers={"Content-Type": JSON})


async def _image(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Show by which digests the local engine has an image, and nothing else of it."""
    image = request.parameters["image"]
    answer = await api.engine.ask("GET", await api.engine.path_for(f"/images/{image}/json"))
    if answer.status != 200:
        raise NotFound(f"No such image: {image}")
    return json_response({"RepoDigests": answer.json().get("RepoDigests") or []})
