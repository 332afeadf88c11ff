"""Requests that are no business of the cluster: to the local engine, as they came, and back."""

from __future__ import annotations

import aiohttp
import msgspec
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from cluster.api.engine import Engine
from cluster.api.error_response import JSON
from cluster.api.filters import Filters
from cluster.api.request import ApiRequest

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"}
)
_NOT_SENT_ON = _HOP_BY_HOP | {"upgrade", "expect"}
_NOT_SENT_BACK = _HOP_BY_HOP | {"date"}

TASK_LABEL = "com.docker.swarm.task.id"
"""Marks a container that belongs to a task."""

_CONTAINER_FILTERS = (
    "ancestor",
    "annotation",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
)


async def pass_through(engine: Engine, request: ApiRequest) -> web.StreamResponse:
    """Send a request to the engine and its answer to the client, both as streams.

    Raises:
        Unavailable: the engine cannot be reached.
    """
    incoming = request.http
    path = await engine.path_for(incoming.raw_path)
    headers = _without(incoming.headers, _NOT_SENT_ON)
    body = request.body_pieces() if incoming.body_exists else None
    async with engine.stream(incoming.method, path, headers=headers, body=body) as answer:
        response = web.StreamResponse(
            status=answer.status,
            reason=answer.reason,
            headers=_without(answer.headers, _NOT_SENT_BACK),
        )
        request.add_headers(response)
        await response.prepare(incoming)
        try:
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
        except aiohttp.ClientError:
            # The engine broke off.  A proper end would make the client believe it has it all.
            if incoming.transport is not None:
                incoming.transport.abort()
            return response
        await response.write_eof()
        return response


async def list_containers(engine: Engine, request: ApiRequest) -> web.StreamResponse:
    """Answer ``/containers/json``, where the filter ``is-task`` needs a translation.

    The engine looks at a mark of its own that its API cannot set, so the label that all task
    containers carry is asked for in its place.

    Raises:
        InvalidArgument: a filter of a wrong form.
    """
    filters = Filters.parse(request.query.get("filters"), _CONTAINER_FILTERS)
    wants_tasks = filters.flag("is-task")
    if wants_tasks is None:
        return await pass_through(engine, request)
    values = {key: list(filters.get(key)) for key in _CONTAINER_FILTERS if key in filters}
    del values["is-task"]
    if wants_tasks:
        values["label"] = [*values.get("label", []), TASK_LABEL]
    query = dict(request.query)
    query["filters"] = msgspec.json.encode(values).decode()
    limit = "" if wants_tasks else query.pop("limit", "")
    answer = await engine.ask("GET", await engine.path_for(request.path_with(query)))
    if answer.status == 200 and not wants_tasks:
        containers = [c for c in answer.json() if TASK_LABEL not in (c.get("Labels") or {})]
        if limit.isdigit() and int(limit):
            containers = containers[: int(limit)]
        answer.body = msgspec.json.encode(containers)
    return web.Response(status=answer.status, body=answer.body, headers={"Content-Type": JSON})


def _without(headers: CIMultiDictProxy[str], left_out: frozenset[str]) -> CIMultiDict[str]:
    # A field named in Connection is meant for the next hop only.
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    kept: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        if name.lower() not in left_out and name.lower() not in named:
            kept.add(name, value)
    return kept
