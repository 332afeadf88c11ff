"""A whole stack as Engine API objects, in the order in which they must come to be."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from stack.compose.types import Compose, FileObject
from stack.engine.payloads import Json
from stack.translate.attached_files import object_name, object_request
from stack.translate.names import PREDEFINED_NETWORKS
from stack.translate.networks import network_name, network_request
from stack.translate.notes import notes
from stack.translate.pre_deploy import with_pre_deploy
from stack.translate.service import service_spec


class StackSpec(msgspec.Struct, frozen=True):
    """What a cluster should hold for a stack; nothing of it is in the cluster's own words yet."""

    name: str
    networks: tuple[Json, ...]  # bodies of POST /networks/create
    external_networks: tuple[str, ...]  # must exist already, cluster-wide
    services: tuple[Json, ...]  # bodies of POST /services/create, without IDs of their files
    secrets: tuple[Json, ...] = ()  # bodies of POST /secrets/create
    external_secrets: tuple[str, ...] = ()  # must exist already
    configs: tuple[Json, ...] = ()  # bodies of POST /configs/create
    external_configs: tuple[str, ...] = ()  # must exist already
    notes: tuple[str, ...] = ()  # values that are not applied as they stand


def stack_spec(compose: Compose) -> StackSpec:
    """Translate a project; networks that no service joins are left out.

    Raises:
        ComposeError: what no cluster can do.
    """
    compose = with_pre_deploy(compose)
    own = [network for network in compose.networks.values() if not network.external]
    external = [network for network in compose.networks.values() if network.external]
    names = (network_name(compose.name, network) for network in external)
    return StackSpec(
        name=compose.name,
        networks=tuple(network_request(compose.name, network) for network in own),
        external_networks=tuple(name for name in names if name not in PREDEFINED_NETWORKS),
        services=tuple(service_spec(compose, service) for service in compose.services),
        secrets=_requests(compose, compose.secrets),
        external_secrets=_external(compose, compose.secrets),
        configs=_requests(compose, compose.configs),
        external_configs=_external(compose, compose.configs),
        notes=tuple(notes(compose)),
    )


def _requests(compose: Compose, items: Mapping[str, FileObject]) -> tuple[Json, ...]:
    return tuple(object_request(compose.name, i) for i in items.values() if not i.external)


def _external(compose: Compose, items: Mapping[str, FileObject]) -> tuple[str, ...]:
    return tuple(object_name(compose.name, i) for i in items.values() if i.external)
