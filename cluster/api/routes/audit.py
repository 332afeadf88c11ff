"""The audit log: an extension of the Engine API; docs/design/audit.md describes it."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from cluster.api.context import ApiContext
from cluster.api.convert.audit import audit_json
from cluster.api.error_response import json_response
from cluster.api.query import read_moment
from cluster.api.request import ApiRequest
from cluster.api.routing import Route
from cluster.errors import InvalidArgument
from cluster.model.audit import AuditEntry

_MOST_DIGITS: Final = 9


async def show_audit(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Show what was done to the cluster and by whom, the newest first."""
    since = read_moment("since", request.query.get("since")) or 0
    limit = _limit(request.query.get("limit", ""))
    stack = request.query.get("stack", "")
    found: list[AuditEntry] = []
    for entry in reversed(list(api.state.audit)):
        if entry.meta.created_at < since or (stack and entry.stack != stack):
            continue
        found.append(entry)
        if len(found) == limit:
            break
    return json_response([audit_json(entry) for entry in found])


ROUTES = (Route("GET", "/stackyard/audit", show_audit),)


def _limit(text: str) -> int:
    """Read how many entries are wanted, 0 for all."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise InvalidArgument(f"limit: {text!r} is no number of entries")
    return int(text)
