"""Secrets and configs: list, inspect, make, change, remove."""

from __future__ import annotations

from aiohttp import web

from cluster.api.commands.attached_files import (
    create_config,
    create_secret,
    remove_config,
    remove_secret,
)
from cluster.api.commands.lookup import find_config, find_secret
from cluster.api.commands.rotation import revise_config, revise_secret
from cluster.api.commands.versions import with_digest
from cluster.api.context import ApiContext
from cluster.api.convert.secrets_configs import config_json, secret_json
from cluster.api.error_response import empty_response, json_response
from cluster.api.filters import Filters
from cluster.api.leased_store import leased_store
from cluster.api.payloads.secrets_configs import (
    check_templating,
    decode_config_spec,
    decode_secret_spec,
)
from cluster.api.query import object_version
from cluster.api.request import ApiRequest
from cluster.api.routing import Route
from cluster.model.config import Config
from cluster.model.ids import ConfigId, SecretId
from cluster.model.secret import Secret

_FILTERS = ("id", "name", "names", "label")


async def list_secrets(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """List the secrets that fit the filters."""
    state = api.state
    filters = Filters.parse(request.query.get("filters"), _FILTERS)
    return json_response([secret_json(s) for s in state.secrets if _fits(s, filters)])


async def list_configs(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """List the configs that fit the filters."""
    state = api.state
    filters = Filters.parse(request.query.get("filters"), _FILTERS)
    return json_response([config_json(c) for c in state.configs if _fits(c, filters)])


async def inspect_secret(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Show one secret."""
    return json_response(secret_json(find_secret(api.state, request.parameter("id"))))


async def inspect_config(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Show one config."""
    return json_response(config_json(find_config(api.state, request.parameter("id"))))


async def make_secret(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Make a secret."""
    store = leased_store(api, request)
    spec = with_digest(decode_secret_spec(await request.body()))
    check_templating(spec, request.version)
    api.check_own("secret", spec.name, spec.labels)
    secret_id = SecretId(api.new_id())
    await store.update(lambda tx: create_secret(tx, spec, secret_id))
    return json_response({"ID": secret_id}, status=201)


async def make_config(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Make a config."""
    store = leased_store(api, request)
    spec = decode_config_spec(await request.body())
    check_templating(spec, request.version)
    api.check_own("config", spec.name, spec.labels)
    config_id = ConfigId(api.new_id())
    await store.update(lambda tx: create_config(tx, spec, config_id))
    return json_response({"ID": config_id}, status=201)


async def change_secret(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Give a secret other labels, or one of a stack another content."""
    store, text = leased_store(api, request), request.parameter("id")
    version = object_version(request.query, "secret")
    spec = decode_secret_spec(await request.body())
    await store.update(lambda tx: revise_secret(tx, text, version, spec, api.new_id))
    return empty_response()


async def change_config(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Give a config other labels, or one of a stack another content."""
    store, text = leased_store(api, request), request.parameter("id")
    version = object_version(request.query, "config")
    spec = decode_config_spec(await request.body())
    await store.update(lambda tx: revise_config(tx, text, version, spec, api.new_id))
    return empty_response()


async def delete_secret(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Remove a secret."""
    text = request.parameter("id")
    await leased_store(api, request).update(lambda tx: remove_secret(tx, text))
    return empty_response(204)


async def delete_config(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Remove a config."""
    text = request.parameter("id")
    await leased_store(api, request).update(lambda tx: remove_config(tx, text))
    return empty_response(204)


ROUTES = (
    Route("GET", "/secrets", list_secrets),
    Route("POST", "/secrets/create", make_secret),
    Route("GET", "/secrets/{id}", inspect_secret),
    Route("DELETE", "/secrets/{id}", delete_secret),
    Route("POST", "/secrets/{id}/update", change_secret),
    Route("GET", "/configs", list_configs),
    Route("POST", "/configs/create", make_config),
    Route("GET", "/configs/{id}", inspect_config),
    Route("DELETE", "/configs/{id}", delete_config),
    Route("POST", "/configs/{id}/update", change_config),
)


def _fits(item: Secret | Config, filters: Filters) -> bool:
    return (
        filters.one_starts("id", item.id)
        and filters.one_starts("name", item.spec.name)
        and filters.one_is("names", item.spec.name)
        and filters.labels_fit("label", item.spec.labels)
    )
