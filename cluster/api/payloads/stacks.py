"""The bodies of requests about stacks: objects as in the Engine API, several in one request."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from cluster.api.payloads.decoding import convert_tree, parse_body
from cluster.api.payloads.networks import decode_network_request, decode_network_spec
from cluster.api.payloads.secrets_configs import config_spec_of, secret_spec_of
from cluster.api.payloads.services import service_spec_of
from cluster.api.versions import ApiVersion
from cluster.errors import InvalidArgument
from cluster.model.config import ConfigSpec
from cluster.model.ids import NetworkId, ServiceId
from cluster.model.network import NetworkSpec
from cluster.model.registry_login import RegistryAuth, decode_registry_auth
from cluster.model.secret import SecretSpec
from cluster.model.service import ServiceSpec
from cluster.model.spec_struct import ObjectStruct, SpecStruct
from cluster.model.units import SECOND_NS, DurationNs

LONGEST_ROLLOUT_NS: Final = 7 * 24 * 3600 * SECOND_NS


class WantedService(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A service to make, or with an ID one to change that the user has seen in a version."""

    service_id: str = ""
    version: int = 0
    spec: ServiceSpec
    auth: RegistryAuth | None = None
    is_auth_given: bool = False


class Watch(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """For how long a deployment is watched that is to succeed as a whole.

    So long it may take until all runs, and so long all must run then.  Services and networks of
    the stack that are surplus are removed after that.
    """

    timeout_ns: DurationNs
    stable_ns: DurationNs
    surplus_services: tuple[ServiceId, ...] = ()
    surplus_networks: tuple[NetworkId, ...] = ()


class Deployment(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What is to be made and changed of a stack; services may name secrets without their IDs.

    Services that are `giving_way`, by ID, are removed in the same step, before all else.
    With `ends_lease` the lease is given back in the same step.
    """

    networks: tuple[NetworkSpec, ...] = ()
    secrets: tuple[SecretSpec, ...] = ()
    configs: tuple[ConfigSpec, ...] = ()
    services: tuple[WantedService, ...] = ()
    giving_way: tuple[ServiceId, ...] = ()
    message: str = ""
    author: str = ""
    lease: str = ""
    ends_lease: bool = False
    atomic: Watch | None = None


class _Service(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A service of a deployment; without ID it is to be made."""

    id: str = msgspec.field(default="", name="ID")
    version: int = 0
    spec: Any = None
    registry_auth: str = ""


class _Watch(SpecStruct, frozen=True, kw_only=True, gc=False):
    timeout: DurationNs = 0
    stable: DurationNs = 0
    prune_services: tuple[str, ...] = ()
    prune_networks: tuple[str, ...] = ()


class _Deployment(SpecStruct, frozen=True, kw_only=True, gc=False):
    networks: tuple[Any, ...] = ()
    secrets: tuple[Any, ...] = ()
    configs: tuple[Any, ...] = ()
    services: tuple[_Service, ...] = ()
    remove: tuple[str, ...] = ()
    message: str = ""
    author: str = ""
    lease: str = ""
    end_lease: bool = False
    atomic: _Watch | None = None


class LeaseRequest(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Who wants to reserve a stack, and for how long; with a token, to go on."""

    holder: str = ""
    seconds: int = 0
    token: str = ""


class RollbackRequest(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Who wants to go back, under which lease; to revision 0 is to the one before."""

    revision: int = 0
    author: str = ""
    lease: str = ""


def decode_deployment(body: bytes, version: ApiVersion) -> Deployment:
    """Return a deployment.

    Raises:
        InvalidArgument: a member that is wrong; the message begins with its place.
        Unimplemented: a kind of service that this version does not run.
    """
    wanted = convert_tree(parse_body(body), _Deployment)
    services = []
    for number, service in enumerate(wanted.services):
        if not isinstance(service.spec, dict):
            raise InvalidArgument(f"Services[{number}].Spec: it is required")
        services.append(
            WantedService(
                service_id=service.id,
                version=service.version,
                spec=service_spec_of(service.spec, version),
                auth=_auth(service.registry_auth),
                is_auth_given=bool(service.registry_auth),
            )
        )
    for number, tree in enumerate(wanted.networks):
        if not decode_network_request(tree).is_for_cluster:
            raise InvalidArgument(f"Networks[{number}]: a network of one node is made by itself")
    return Deployment(
        networks=tuple(decode_network_spec(tree) for tree in wanted.networks),
        secrets=tuple(secret_spec_of(tree) for tree in wanted.secrets),
        configs=tuple(config_spec_of(tree) for tree in wanted.configs),
        services=tuple(services),
        giving_way=tuple(ServiceId(one) for one in wanted.remove),
        message=wanted.message,
        author=wanted.author,
        lease=wanted.lease,
        ends_lease=wanted.end_lease,
        atomic=_watch(wanted.atomic),
    )


def _watch(wanted: _Watch | None) -> Watch | None:
    if wanted is None:
        return None
    for name, value in (("Timeout", wanted.timeout), ("Stable", wanted.stable)):
        if not 0 <= value <= LONGEST_ROLLOUT_NS:
            most = LONGEST_ROLLOUT_NS // SECOND_NS
            raise InvalidArgument(f"Atomic.{name}: {value} is not from 0 to {most} seconds in ns")
    return Watch(
        timeout_ns=wanted.timeout,
        stable_ns=wanted.stable,
        surplus_services=tuple(ServiceId(one) for one in wanted.prune_services),
        surplus_networks=tuple(NetworkId(one) for one in wanted.prune_networks),
    )


def _auth(encoded: str) -> RegistryAuth | None:
    """Return a service's credentials for its registry; an empty object takes them away."""
    if not encoded or not any(decode_registry_auth(encoded).values()):
        return None
    return RegistryAuth(encoded=encoded)
