"""Copies of the cluster: operations of our own, which Docker's API does not have."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from msgspec.structs import replace

from cluster.api.commands.cluster import the_cluster
from cluster.api.context import ApiContext
from cluster.api.error_response import json_response
from cluster.api.local_node import already_in_swarm
from cluster.api.payloads.copies import decode_backup, decode_restore
from cluster.api.request import ApiRequest
from cluster.api.routing import Route
from cluster.errors import InvalidArgument

RESTORE_HEADER: Final = "X-Stackyard-Restore"
LARGEST_BACKUP: Final = 1 << 30


async def backup(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Send a copy of the whole cluster, sealed with a passphrase."""
    passphrase = decode_backup(await request.body())
    await api.node.ensure_current()
    the_cluster(api.state)
    content = await api.node.backup(passphrase)
    return web.Response(body=content, content_type="application/octet-stream")


async def restore(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Make this node the one manager of the cluster in a backup, which is the body."""
    if api.node.info().local_state != "inactive":
        raise already_in_swarm()
    wanted = decode_restore(request.http.headers.get(RESTORE_HEADER, ""))
    wanted = replace(wanted, author=api.author)
    content = bytearray()
    async for piece in request.body_pieces():
        content += piece
        if len(content) > LARGEST_BACKUP:
            raise InvalidArgument(f"the backup is larger than {LARGEST_BACKUP} bytes")
    return json_response(await api.to_the_end(api.node.restore(wanted, bytes(content))))


ROUTES = (
    Route("POST", "/stackyard/backup", backup),
    Route("POST", "/stackyard/restore", restore),
)
