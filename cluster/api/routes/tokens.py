"""Deploy tokens: an extension of the Engine API; docs/design/tokens.md describes it."""

from __future__ import annotations

from aiohttp import web

from cluster.api.commands.tokens import (
    Credential,
    create_token,
    find_token,
    remove_token,
    rotate_token,
)
from cluster.api.context import ApiContext
from cluster.api.convert.tokens import token_json
from cluster.api.error_response import empty_response, json_response
from cluster.api.payloads.tokens import decode_rotation, decode_token_request
from cluster.api.request import ApiRequest
from cluster.api.routing import Route


async def list_tokens(api: ApiContext, request: ApiRequest) -> web.StreamResponse:  # noqa: ARG001
    """List all deploy tokens, without what proves them."""
    tokens = sorted(api.state.tokens, key=lambda token: token.name)
    return json_response([token_json(token) for token in tokens])


async def inspect_token(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Show one deploy token, without what proves it."""
    return json_response(token_json(find_token(api.state, request.parameter("id"))))


async def make_token(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Make a deploy token; the answer has its text, which is not kept."""
    store = api.store
    wanted = decode_token_request(await request.body())
    made = await store.update(
        lambda tx: create_token(
            tx,
            wanted.name,
            api.new_id,
            stacks=wanted.stacks,
            until=wanted.until,
            allowed=wanted.allow,
            networks=wanted.networks,
        )
    )
    return _shown_once(made, 201)


async def renew_token(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Give a deploy token another secret."""
    store, text = api.store, request.parameter("id")
    until = decode_rotation(await request.body())
    made = await store.update(lambda tx: rotate_token(tx, text, api.new_id, until=until))
    return _shown_once(made, 200)


async def delete_token(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Remove a deploy token."""
    text = request.parameter("id")
    await api.store.update(lambda tx: remove_token(tx, text))
    return empty_response(204)


ROUTES = (
    Route("GET", "/stackyard/tokens", list_tokens),
    Route("POST", "/stackyard/tokens/create", make_token),
    Route("GET", "/stackyard/tokens/{id}", inspect_token),
    Route("POST", "/stackyard/tokens/{id}/rotate", renew_token),
    Route("DELETE", "/stackyard/tokens/{id}", delete_token),
)


def _shown_once(made: Credential, status: int) -> web.Response:
    response = json_response({"ID": made.token_id, "Token": made.text}, status=status)
    response.headers["Cache-Control"] = "no-store"
    return response
