"""What a user may do with a stack as a whole, each in one step: deploy it, and go back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from cluster.allocator.ports import releasing, with_ports
from cluster.allocator.subnets import restored
from cluster.api.commands.attached_files import check_references, create_config, create_secret
from cluster.api.commands.extension_check import check_fixed_addresses
from cluster.api.commands.leases import check_lease, release_lease
from cluster.api.commands.lookup import find_network, find_service
from cluster.api.commands.networks import create_network
from cluster.api.commands.services import (
    Credentials,
    create_service,
    drop_service,
    not_carried_out,
    update_service,
    with_port_defaults,
    with_spec,
)
from cluster.api.commands.stack_revisions import (
    forget_stack_without_services,
    record_revision,
    services_of_stack,
    stack_object,
)
from cluster.api.payloads.extensions import decode_extensions
from cluster.api.payloads.stacks import Deployment
from cluster.errors import InvalidArgument, NotFound
from cluster.model.container import ContainerSpec
from cluster.model.ids import ConfigId, NetworkId, NewId, SecretId, ServiceId
from cluster.model.meta import Meta
from cluster.model.network import Network
from cluster.model.registry_login import RegistryAuth
from cluster.model.service import Service, ServiceSpec
from cluster.model.spec_struct import ObjectStruct
from cluster.model.stack import KEPT_REVISIONS, Rollout, StackRevision, stack_of
from cluster.model.units import Timestamp
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction


class _Made(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What a deployment has made beside services."""

    networks: tuple[NetworkId, ...]
    secrets: tuple[SecretId, ...]
    configs: tuple[ConfigId, ...]


class Deployed(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """The services, in the order of the request or by name, and the revision that they are."""

    service_ids: tuple[ServiceId, ...]
    revision: int
    former_revision: int
    is_watched: bool = False
    warnings: tuple[str, ...] = ()


def deploy_stack(tx: Transaction, name: str, wanted: Deployment, new_id: NewId) -> Deployed:
    """Make and change all objects of a deployment and keep what comes of it as a revision.

    Raises:
        AlreadyExists: somebody else holds the lease, or a name is taken.
        InvalidArgument: a member that is wrong, or an object of another stack.
        NotFound: a service, network, secret or config that does not exist.
        OutOfSequence: a service changed meanwhile.
        Unimplemented: a wish that this version can't fulfil.
    """
    check_lease(tx, name, wanted.lease)
    former = 0
    surplus = _surplus(tx.state, name, wanted)
    giving_way = _leaving(tx.state, name, wanted, wanted.giving_way)
    is_change = bool(
        wanted.services
        or wanted.networks
        or wanted.secrets
        or wanted.configs
        or surplus
        or giving_way
    )
    if is_change and any(True for _ in services_of_stack(tx.state, name)):
        # other clients may have changed it: it is that which one can go back to
        former = record_revision(tx, name, new_id, message="as it was found", author="")
    for service in giving_way:
        drop_service(tx, service)
    made = _make_objects(tx, name, wanted, new_id)
    ids: list[ServiceId] = []
    warnings: list[str] = []
    released = _releasing(tx.state, wanted)
    for one in wanted.services:
        spec = _with_file_ids(tx.state, one.spec)
        _check_stack(name, f"service {spec.name}", stack_of(spec.labels))
        if one.service_id:
            auth = Credentials(given=one.auth, is_given=one.is_auth_given)
            found = find_service(tx.state, one.service_id)
            released.pop(found.id, None)
            accepted = update_service(tx, found.id, one.version, spec, auth, released.values())
        else:
            accepted = create_service(tx, spec, new_id, one.auth, released.values())
        ids.append(accepted.service_id)
        warnings += accepted.warnings
    number = record_revision(tx, name, new_id, message=wanted.message, author=wanted.author)
    watched = _watched(tx, name, wanted, former, made) if is_change else None
    if is_change:
        tx.update(replace(stack_object(tx, name, new_id), rollout=watched))
    if wanted.ends_lease:
        release_lease(tx, name, wanted.lease)
    return Deployed(
        service_ids=tuple(ids),
        revision=number,
        former_revision=former,
        is_watched=watched is not None,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _surplus(state: ClusterState, name: str, wanted: Deployment) -> tuple[Service | Network, ...]:
    """Return what is to be removed once the deployment holds, checked to be the stack's."""
    if wanted.atomic is None:
        return ()
    services = _leaving(state, name, wanted, wanted.atomic.surplus_services)
    networks = [find_network(state, one) for one in wanted.atomic.surplus_networks]
    for network in networks:
        _check_stack(name, f"network {network.spec.name}", stack_of(network.spec.labels))
    return (*services, *networks)


def _leaving(
    state: ClusterState, name: str, wanted: Deployment, service_ids: Iterable[ServiceId]
) -> tuple[Service, ...]:
    """Return services that are to be removed, checked to be the stack's and not to be changed."""
    changed = {service.service_id for service in wanted.services}
    services = tuple(find_service(state, one) for one in service_ids)
    for service in services:
        _check_stack(name, f"service {service.spec.name}", stack_of(service.spec.labels))
        if service.id in changed:
            raise InvalidArgument(f"service {service.spec.name}: it is to be changed and removed")
    return services


def _releasing(state: ClusterState, wanted: Deployment) -> dict[ServiceId, Service]:
    """Return the services that give up ports for others of the deployment."""
    changes = []
    for service in wanted.services:
        endpoint = service.spec.endpoint_spec
        spec = replace(service.spec, endpoint_spec=endpoint and with_port_defaults(endpoint))
        if service.service_id:
            changes.append((find_service(state, service.service_id), spec))
    return releasing(changes)


def _make_objects(tx: Transaction, name: str, wanted: Deployment, new_id: NewId) -> _Made:
    networks = tuple(NetworkId(new_id()) for _ in wanted.networks)
    for network, network_id in zip(wanted.networks, networks, strict=True):
        _check_stack(name, f"network {network.name}", stack_of(network.labels))
        create_network(tx, network, network_id)
    secrets = tuple(SecretId(new_id()) for _ in wanted.secrets)
    for secret, secret_id in zip(wanted.secrets, secrets, strict=True):
        create_secret(tx, secret, secret_id)
    configs = tuple(ConfigId(new_id()) for _ in wanted.configs)
    for config, config_id in zip(wanted.configs, configs, strict=True):
        create_config(tx, config, config_id)
    return _Made(networks=networks, secrets=secrets, configs=configs)


def _watched(
    tx: Transaction, name: str, wanted: Deployment, former: int, made: _Made
) -> Rollout | None:
    """Return what the leader is to watch, None for a deployment that may stay half done.

    One that takes the place of another that was not decided yet goes back to where that one would
    have gone.
    """
    if wanted.atomic is None:
        return None
    stack = tx.state.stack_by_name(name)
    assert stack is not None, "a deployment makes it"
    before = stack.rollout
    if before is not None and before.is_pending:
        former = before.former
        made = _Made(
            networks=(*before.made_networks, *made.networks),
            secrets=(*before.made_secrets, *made.secrets),
            configs=(*before.made_configs, *made.configs),
        )
    return Rollout(
        revision=stack.revision,
        former=former,
        author=wanted.author,
        began_at=tx.now,
        timeout_ns=wanted.atomic.timeout_ns,
        stable_ns=wanted.atomic.stable_ns,
        made_networks=made.networks,
        made_secrets=made.secrets,
        made_configs=made.configs,
        surplus_services=wanted.atomic.surplus_services,
        surplus_networks=wanted.atomic.surplus_networks,
    )


def roll_back_stack(
    tx: Transaction, name: str, number: int, new_id: NewId, *, author: str, lease: str
) -> Deployed:
    """Return to a revision: the same specs, secrets, configs and images; other services go.

    Args:
        tx: the transaction.
        name: the stack.
        number: of the revision; 0 is the one before the present one.
        new_id: makes identifiers.
        author: who wants it, as the client says.
        lease: the token of a lease, "" without.

    Raises:
        AlreadyExists: somebody else holds the lease, or the name of a removed network is taken.
        NotFound: there is no such revision.
        InvalidArgument: a secret or config of it was removed, or a port of it is now that of a
            service outside the stack.
        FailedPrecondition: a removed network's subnet, which the user named, is another's now.
    """
    check_lease(tx, name, lease)
    stack = stack_object(tx, name, new_id)
    tx.update(replace(stack, rollout=None))  # whoever asks for this decides instead of the leader
    revision = find_revision(tx.state, name, number)
    revisions = tx.state.revisions_of(name)
    if len(revisions) < KEPT_REVISIONS or revision.number != revisions[0].number:  # else it goes
        record_revision(tx, name, new_id, message="as it was found", author="")
    message = f"rollback to {revision.number}"
    return return_to(tx, name, revision, new_id, author=author, message=message)


def return_to(
    tx: Transaction, name: str, revision: StackRevision, new_id: NewId, *, author: str, message: str
) -> Deployed:
    """Make a stack again what it was in a revision, whoever has the lease.

    Raises:
        AlreadyExists: the name of a removed network is taken by one that is not the stack's.
        InvalidArgument: a secret or config of it was removed, a port of it is now that of a
            service outside the stack, or an address of it is in no network of the stack any more.
        FailedPrecondition: a removed network's subnet, which the user named, is another's now.
    """
    former = stack_object(tx, name, new_id).revision
    heirs = _networks_again(tx, name, revision.networks)
    specs = [_in_networks(tx.state, spec, heirs) for spec in revision.services]
    present = {service.spec.name: service for service in services_of_stack(tx.state, name)}
    wanted = {spec.name: spec for spec in specs}
    for service in list(present.values()):
        after = wanted.get(service.spec.name)
        if after is None or after.mode_name != service.spec.mode_name:
            drop_service(tx, present.pop(service.spec.name))
    released = releasing((service, wanted[key]) for key, service in present.items())
    ids: list[ServiceId] = []
    warnings: list[str] = []
    for spec in specs:
        before = present.get(spec.name)
        if before is not None:
            released.pop(before.id, None)
        login = revision.login_of(spec.name)
        ids.append(_return_to(tx, before, spec, login, new_id, released.values()))
        warnings += not_carried_out(spec)
    forget_stack_without_services(tx, name)
    reached = record_revision(tx, name, new_id, message=message, author=author)
    return Deployed(
        service_ids=tuple(ids),
        revision=reached,
        former_revision=former,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def find_revision(state: ClusterState, name: str, number: int) -> StackRevision:
    """Return a revision; 0 is the one before the present one.

    Raises:
        NotFound: there is none.
    """
    revisions = state.revisions_of(name)
    if not revisions:
        raise NotFound(f"stack {name} has no revisions: it was not deployed by `stack deploy`")
    if number == 0:
        if len(revisions) < 2:
            raise NotFound(f"stack {name} has no revision before {revisions[-1].number}")
        return revisions[-2]
    for revision in revisions:
        if revision.number == number:
            return revision
    kept = ", ".join(str(one.number) for one in revisions)
    raise NotFound(f"revision {number} of stack {name} is not kept; there are {kept}")


def _check_stack(name: str, what: str, stack: str) -> None:
    if stack != name:
        raise InvalidArgument(f"{what}: its label says stack {stack!r}, not {name!r}")


def _networks_again(
    tx: Transaction, name: str, networks: Iterable[Network]
) -> dict[str, NetworkId]:
    """Make a revision's networks again where they are gone.

    Returns:
        The IDs of those that the stack has by the same name and another ID, by the former ID.
    """
    heirs: dict[str, NetworkId] = {}
    for network in networks:
        if network.id in tx.state.networks:
            continue
        heir = tx.state.network_by_name(network.spec.name)
        if heir is not None and stack_of(heir.spec.labels) == name:
            heirs[network.id] = heir.id
        else:
            tx.create(restored(tx.state, network))
    return heirs


def _in_networks(
    state: ClusterState, spec: ServiceSpec, heirs: Mapping[str, NetworkId]
) -> ServiceSpec:
    """Return a spec with some networks replaced by their heirs."""
    template = spec.task_template
    if not any(one.target in heirs for one in template.networks):
        return spec
    networks = tuple(
        replace(one, target=heirs.get(one.target, one.target)) for one in template.networks
    )
    moved = replace(
        spec,
        task_template=replace(template, networks=networks),
        networks=networks if spec.networks else (),
    )
    check_fixed_addresses(state, decode_extensions(spec.labels), moved)
    return moved


def _return_to(
    tx: Transaction,
    service: Service | None,
    spec: ServiceSpec,
    login: RegistryAuth | None,
    new_id: NewId,
    released: Iterable[Service],
) -> ServiceId:
    if spec.task_template.container_spec is not None:
        check_references(tx.state, spec.task_template.container_spec)
    if service is None:
        made = Service(
            id=ServiceId(new_id()),
            meta=Meta(),
            spec=spec,
            spec_version=tx.revision,
            job_began_at=tx.now if spec.is_job else Timestamp(0),
            registry_auth=login,
        )
        tx.create(with_ports(tx.state, made, released))
        return made.id
    if service.spec != spec:
        changed = replace(with_spec(tx, service, spec), registry_auth=login)
        tx.update(with_ports(tx.state, changed, released))
    return service.id


def _with_file_ids(state: ClusterState, spec: ServiceSpec) -> ServiceSpec:
    """Fill in the IDs of secrets and configs that the spec refers to by name only."""
    container = spec.task_template.container_spec
    if container is None:
        return spec
    filled: ContainerSpec = replace(
        container,
        secrets=tuple(
            one
            if one.secret_id
            else replace(one, secret_id=_id_of(state, "secret", one.secret_name))
            for one in container.secrets
        ),
        configs=tuple(
            one
            if one.config_id
            else replace(one, config_id=_id_of(state, "config", one.config_name))
            for one in container.configs
        ),
    )
    return replace(spec, task_template=replace(spec.task_template, container_spec=filled))


def _id_of(state: ClusterState, kind: str, name: str) -> str:
    table = state.secrets if kind == "secret" else state.configs
    for item in table.find("name", name.lower()):
        if item.spec.name == name:
            return item.id
    raise NotFound(f"{kind} {name} not found")
