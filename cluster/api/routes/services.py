"""Services: list, inspect, make, change, remove."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from cluster.api.commands.lookup import find_service
from cluster.api.commands.services import (
    Accepted,
    Credentials,
    create_service,
    remove_service,
    roll_back_service,
    update_service,
)
from cluster.api.context import ApiContext
from cluster.api.convert.services import service_json, service_status
from cluster.api.encoded_objects import json_list, with_member
from cluster.api.error_response import empty_response, json_response, raw_json_response
from cluster.api.filters import Filters
from cluster.api.leased_store import leased_store
from cluster.api.log_stream import stream_logs
from cluster.api.payloads.member_versions import without_newer_members
from cluster.api.payloads.services import decode_service_spec
from cluster.api.query import object_version, strict_flag
from cluster.api.request import ApiRequest
from cluster.api.routing import Route
from cluster.api.versions import ApiVersion
from cluster.errors import InvalidArgument
from cluster.model.logs import LogSelection
from cluster.model.registry_login import RegistryAuth, decode_registry_auth
from cluster.model.service import Service, ServiceSpec
from cluster.store.transaction import Transaction

_FILTERS = ("id", "name", "label", "mode", "runtime")
_MODES = ("replicated", "global", "replicated-job", "global-job")
_STATUS_SINCE = ApiVersion(1, 41)
_REGISTRY_AUTH = "X-Registry-Auth"


async def list_services(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """List the services that fit the filters, with counts of tasks where asked for."""
    state = api.state
    filters = Filters.parse(request.query.get("filters"), _FILTERS)
    for value in filters.get("mode"):
        if value not in _MODES:
            raise InvalidArgument(f"invalid mode filter: '{value}'; expected {', '.join(_MODES)}")
    shows_status = strict_flag(request.query, "status") and request.version >= _STATUS_SINCE
    down = frozenset(node.id for node in state.nodes if node.status.state == "down")
    shown = []
    for service in state.services:
        if not _fits(service, filters):
            continue
        encoded = _encoded(api, service)
        if shows_status:
            counts = service_status(service, state.tasks_of_service(service.id), down)
            encoded = with_member(encoded, "ServiceStatus", counts)
        shown.append(encoded)
    return raw_json_response(json_list(shown))


async def inspect_service(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Show one service, with the settings that nobody made where asked for."""
    insert_defaults = strict_flag(request.query, "insertDefaults")
    service = find_service(api.state, request.parameter("id"))
    return raw_json_response(_encoded(api, service, insert_defaults=insert_defaults))


async def make_service(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Make a service."""
    store = leased_store(api, request)
    spec = await _spec_wanted(request)
    api.check_own("service", spec.name, spec.labels)
    auth = _credentials(request).given
    accepted = await store.update(lambda tx: create_service(tx, spec, api.new_id, auth))
    content: dict[str, object] = {"ID": accepted.service_id}
    if accepted.warnings:
        content["Warnings"] = accepted.warnings
    return json_response(content, status=201)


async def change_service(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Give a service a new spec, or its previous one."""
    store = leased_store(api, request)
    version = object_version(request.query, "service")
    change = await _change_wanted(request, version)
    accepted = await store.update(change)
    return json_response({"Warnings": accepted.warnings or None})


async def delete_service(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Remove a service and its tasks."""
    service_text = request.parameter("id")
    await leased_store(api, request).update(lambda tx: remove_service(tx, service_text))
    return empty_response()


async def service_logs(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Show what the service's containers printed, on every node."""
    service = find_service(api.state, request.parameter("id"))
    container = service.spec.task_template.container_spec
    has_terminal = container is not None and container.tty
    selection = LogSelection(service_id=service.id)
    return await stream_logs(api, request, selection, has_terminal=has_terminal)


ROUTES = (
    Route("GET", "/services", list_services),
    Route("POST", "/services/create", make_service),
    Route("GET", "/services/{id}", inspect_service),
    Route("DELETE", "/services/{id}", delete_service),
    Route("POST", "/services/{id}/update", change_service),
    Route("GET", "/services/{id}/logs", service_logs),
)


def _encoded(api: ApiContext, service: Service, *, insert_defaults: bool = False) -> bytes:
    return api.encoded.encode(
        service,
        lambda: service_json(service, api.state, insert_defaults=insert_defaults),
        "defaults" if insert_defaults else "",
    )


def _fits(service: Service, filters: Filters) -> bool:
    return (
        filters.one_starts("id", service.id)
        and filters.one_starts("name", service.spec.name)
        and filters.labels_fit("label", service.spec.labels)
        and filters.one_is("mode", service.spec.mode_name)
        and filters.one_is("runtime", "container")
    )


async def _change_wanted(request: ApiRequest, version: int) -> Callable[[Transaction], Accepted]:
    service_text = request.parameter("id")
    rollback = request.query.get("rollback", "")
    if rollback not in {"", "previous"}:
        raise InvalidArgument(f"unrecognized rollback option {rollback}; expected previous")
    auth_from = request.query.get("registryAuthFrom", "")
    if auth_from not in {"", "spec", "previous-spec"}:
        raise InvalidArgument(
            f"unsupported registryAuthFrom value {auth_from}; expected spec or previous-spec"
        )
    if rollback:
        return lambda tx: roll_back_service(tx, service_text, version)
    spec = await _spec_wanted(request)
    credentials = _credentials(request, from_previous_spec=auth_from == "previous-spec")
    return lambda tx: update_service(tx, service_text, version, spec, credentials)


async def _spec_wanted(request: ApiRequest) -> ServiceSpec:
    spec = decode_service_spec(await request.body(), request.version)
    return without_newer_members(spec, request.members_version)


def _credentials(request: ApiRequest, *, from_previous_spec: bool = False) -> Credentials:
    """Return what the request says of credentials; an empty object takes them away."""
    encoded = request.http.headers.get(_REGISTRY_AUTH, "")
    if not encoded:
        return Credentials(from_previous_spec=from_previous_spec)
    content = decode_registry_auth(encoded)
    auth = RegistryAuth(encoded=encoded) if any(content.values()) else None
    return Credentials(given=auth, is_given=True)
