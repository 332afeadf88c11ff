"""Secrets and configs: none exist in this version, and none can be made.

The lists are empty rather than refused, because ``docker stack deploy`` reads them for every file.
"""

from __future__ import annotations

from aiohttp import web

from cluster.api.context import ApiContext
from cluster.api.error_response import json_response
from cluster.api.filters import Filters
from cluster.api.request import ApiRequest
from cluster.api.routing import Route
from cluster.errors import NotFound, Unimplemented

_FILTERS = ("id", "name", "names", "label")


async def list_none(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """List nothing."""
    api.node.store()
    Filters.parse(request.query.get("filters"), _FILTERS)
    return json_response([])


async def refuse_to_make(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Refuse."""
    api.node.store()
    raise Unimplemented(f"{_kind(request)}s are not in this version")


async def find_none(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Find nothing."""
    api.node.store()
    raise NotFound(f"{_kind(request)} {request.parameter('id')} not found")


def _kind(request: ApiRequest) -> str:
    return "secret" if request.path.startswith("/secrets") else "config"


ROUTES = tuple(
    Route(method, f"/{kind}{rest}", handler)
    for kind in ("secrets", "configs")
    for method, rest, handler in (
        ("GET", "", list_none),
        ("POST", "/create", refuse_to_make),
        ("GET", "/{id}", find_none),
        ("DELETE", "/{id}", find_none),
        ("POST", "/{id}/update", find_none),
    )
)
