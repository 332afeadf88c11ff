"""Stacks as objects: an extension of the Engine API; docs/design/stacks.md describes it."""

from __future__ import annotations

from aiohttp import web
from msgspec.structs import replace

from cluster.api.commands.leases import break_lease, release_lease, take_lease
from cluster.api.commands.lookup import find_network, find_service
from cluster.api.commands.stack_revisions import services_of_stack
from cluster.api.commands.stacks import (
    Deployed,
    deploy_stack,
    find_revision,
    roll_back_stack,
)
from cluster.api.context import ApiContext
from cluster.api.convert.stacks import full_revision_json, revision_json, stack_json
from cluster.api.convert.timestamps import rfc3339
from cluster.api.error_response import empty_response, json_response
from cluster.api.payloads.decoding import decode_body
from cluster.api.payloads.stacks import (
    Deployment,
    LeaseRequest,
    RollbackRequest,
    decode_deployment,
)
from cluster.api.query import strict_flag
from cluster.api.request import ApiRequest
from cluster.api.routes.networks import is_local_name
from cluster.api.routing import Route
from cluster.errors import AlreadyExists, InvalidArgument, NotFound
from cluster.model.stack import stack_of


async def list_stacks(api: ApiContext, request: ApiRequest) -> web.StreamResponse:  # noqa: ARG001
    """List all stacks, also those that other clients deployed."""
    state, now = api.state, api.clock.now()
    services: dict[str, list[str]] = {}
    for service in state.services:
        name = stack_of(service.spec.labels)
        if name:
            services.setdefault(name, []).append(service.spec.name)
    return json_response([stack_json(state, n, services[n], now) for n in sorted(services)])


async def inspect_stack(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Show one stack."""
    state, name = api.state, request.parameter("name")
    services = [service.spec.name for service in services_of_stack(state, name)]
    if not services and state.stack_by_name(name) is None:
        raise NotFound(f"stack {name} not found")
    return json_response(stack_json(state, name, services, api.clock.now()))


async def stack_history(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """List the kept revisions of a stack, the newest first."""
    state, name = api.state, request.parameter("name")
    revisions = state.revisions_of(name)
    if not revisions and not any(True for _ in services_of_stack(state, name)):
        raise NotFound(f"stack {name} not found")
    return json_response([revision_json(state, one) for one in reversed(revisions)])


async def inspect_revision(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Show one revision with the specs of its services."""
    state, text = api.state, request.parameter("number")
    revision = find_revision(state, request.parameter("name"), _number(text))
    return json_response(full_revision_json(state, revision))


async def make_revision(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Deploy: make and change a stack's objects in one step."""
    store, name = api.store, request.parameter("name")
    wanted = decode_deployment(await request.body(), request.version)
    wanted = replace(wanted, author=_author(api, wanted.author))
    for secret in wanted.secrets:
        api.check_own("secret", secret.name, secret.labels)
    for config in wanted.configs:
        api.check_own("config", config.name, config.labels)
    for network in wanted.networks:
        api.check_own("network", network.name, network.labels)
        if await is_local_name(api, network.name):
            raise AlreadyExists(f"network with name {network.name} already exists")
    _check_surplus(api, wanted)
    return _deployed(await store.update(lambda tx: deploy_stack(tx, name, wanted, api.new_id)))


def _check_surplus(api: ApiContext, wanted: Deployment) -> None:
    """Refuse early to remove what the caller's token may not; the leader removes it later."""
    if wanted.atomic is None:
        return  # what is removed at once is judged by the change
    for service_id in wanted.atomic.surplus_services:
        service = find_service(api.state, service_id)
        api.check_own("service", service.spec.name, service.spec.labels)
    for network_id in wanted.atomic.surplus_networks:
        network = find_network(api.state, network_id)
        api.check_own("network", network.spec.name, network.spec.labels)


async def return_to_revision(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Go back to a revision in one step."""
    store, name = api.store, request.parameter("name")
    wanted = decode_body(await request.body(), RollbackRequest)
    deployed = await store.update(
        lambda tx: roll_back_stack(
            tx,
            name,
            wanted.revision,
            api.new_id,
            author=_author(api, wanted.author),
            lease=wanted.lease,
        )
    )
    return _deployed(deployed)


async def reserve_stack(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Take a stack's lease, or go on with it."""
    store, name = api.store, request.parameter("name")
    wanted = decode_body(await request.body(), LeaseRequest)
    lease = await store.update(
        lambda tx: take_lease(
            tx,
            name,
            holder=_author(api, wanted.holder),
            token=wanted.token,
            seconds=wanted.seconds,
            new_id=api.new_id,
        )
    )
    return json_response({"Token": lease.token, "Until": rfc3339(lease.until)})


async def release_stack(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Give a stack's lease back, or with ``force`` end whoever's it is."""
    store, name = api.store, request.parameter("name")
    token = request.query.get("token", "")
    if strict_flag(request.query, "force"):
        await store.update(lambda tx: break_lease(tx, name, api.caller.name))
    else:
        await store.update(lambda tx: release_lease(tx, name, token))
    return empty_response(204)


ROUTES = (
    Route("GET", "/stacks", list_stacks),
    Route("GET", "/stacks/{name}", inspect_stack),
    Route("GET", "/stacks/{name}/revisions", stack_history),
    Route("GET", "/stacks/{name}/revisions/{number}", inspect_revision),
    Route("POST", "/stacks/{name}/deploy", make_revision),
    Route("POST", "/stacks/{name}/rollback", return_to_revision),
    Route("POST", "/stacks/{name}/lease", reserve_stack),
    Route("DELETE", "/stacks/{name}/lease", release_stack),
)


def _author(api: ApiContext, said: str) -> str:
    """Return who deploys: what the client says, but for a token what that says."""
    return api.caller.name if api.caller.token is not None else said


def _deployed(deployed: Deployed) -> web.Response:
    return json_response(
        {
            "Services": list(deployed.service_ids),
            "Revision": deployed.revision,
            "FormerRevision": deployed.former_revision,
            "IsWatched": deployed.is_watched,
            "Warnings": list(deployed.warnings),
        }
    )


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and int(text)):
        raise InvalidArgument(f"revision {text!r} is no number from 1")
    return int(text)
