"""What a user may do with services."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from cluster.allocator.ports import with_ports
from cluster.api.commands.attached_files import check_references
from cluster.api.commands.extension_check import check_extensions, check_fixed_addresses, kept_only
from cluster.api.commands.lookup import find_network, find_service
from cluster.api.commands.networks import PREDEFINED
from cluster.api.commands.service_check import check_published_networks, check_service_spec
from cluster.api.commands.service_names import name_from_id
from cluster.api.commands.stack_revisions import forget_stack_without_services
from cluster.api.payloads.extensions import decode_extensions
from cluster.errors import FailedPrecondition, InvalidArgument, NotFound, Unimplemented
from cluster.model.endpoint import EndpointSpec
from cluster.model.ids import NewId, ServiceId
from cluster.model.meta import Meta
from cluster.model.registry_login import RegistryAuth
from cluster.model.service import (
    NetworkAttachmentConfig,
    ReplicatedJobMode,
    ReplicatedMode,
    Service,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
    UpdateStatus,
)
from cluster.model.stack import stack_of
from cluster.model.task_state import TaskState
from cluster.model.update_policy import UpdateConfig
from cluster.orchestrator.update_outcome import is_paused
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction

Rollback = Literal["", "previous"]


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """The registry credentials that a service gets together with a spec.

    Without `given` it keeps those that came with its present spec, or gets those of its previous
    one back.
    """

    given: RegistryAuth | None = None
    is_given: bool = False
    from_previous_spec: bool = False


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A service as accepted, and what of it is not carried out in this version."""

    service_id: ServiceId
    warnings: tuple[str, ...] = ()


KEPT = Credentials()


def create_service(
    tx: Transaction,
    spec: ServiceSpec,
    new_id: NewId,
    auth: RegistryAuth | None = None,
    released: Iterable[Service] = (),
) -> Accepted:
    """Make a service.

    Args:
        tx: the transaction.
        spec: the spec, complete.
        new_id: makes its ID, and its name where none is given.
        auth: the credentials for its image's registry.
        released: services that give ports up in the same step, as `with_ports` takes them.

    Raises:
        InvalidArgument: a member that is wrong.
        NotFound: a network that does not exist.
        AlreadyExists: the name is taken.
        FailedPrecondition: no port is left to choose.
        Unimplemented: a wish that this version can't fulfil.
    """
    service_id = ServiceId(new_id())
    if not spec.name:
        spec = msgspec.structs.replace(spec, name=_free_name(tx.state, new_id))
    accepted = accept(tx.state, spec)
    service = Service(
        id=service_id,
        meta=Meta(),
        spec=accepted,
        spec_version=tx.revision,
        registry_auth=auth,
    )
    if accepted.is_job:
        service = msgspec.structs.replace(service, job_began_at=tx.now)
    tx.create(with_ports(tx.state, service, released))
    return Accepted(service_id=service_id, warnings=not_carried_out(accepted))


def update_service(
    tx: Transaction,
    service_text: str,
    version: int,
    spec: ServiceSpec,
    credentials: Credentials = KEPT,
    released: Iterable[Service] = (),
) -> Accepted:
    """Give a service a new spec; the old one can be returned to.

    An update that is paused goes on, with an equal spec too.

    Args:
        tx: the transaction.
        service_text: ID, name or beginning of an ID.
        version: the service's version the user has read.
        spec: the new spec, complete.
        credentials: the credentials for its image's registry.
        released: services that give ports up in the same step, as `with_ports` takes them.

    Raises:
        InvalidArgument: a member that is wrong.
        FailedPrecondition: credentials of a previous spec that is not there.
        NotFound: no such service, or a network that does not exist.
        OutOfSequence: the service changed meanwhile.
        Unimplemented: a change of the name or the mode, or a wish this version can't fulfil.
    """
    service = find_service(tx.state, service_text)
    if spec.name != service.spec.name:
        raise Unimplemented("renaming services is not supported")
    accepted = accept(tx.state, spec)
    if accepted.mode_name != service.spec.mode_name:
        raise Unimplemented("service mode change is not allowed")
    # An equal spec moves the version only, so that deploying the same file again does not overwrite
    # the spec that a rollback returns to.
    auth = _auth_for(service, credentials)
    if accepted != service.spec:
        service = with_ports(tx.state, with_spec(tx, service, accepted), released)
    elif is_paused(service.update_status):
        # `docker service update NAME` is how one goes on after having mended what was wrong
        service = msgspec.structs.replace(service, update_status=None)
    service = msgspec.structs.replace(service, registry_auth=auth)
    tx.update(service, expected_version=version)
    return Accepted(service_id=service.id, warnings=not_carried_out(accepted))


def roll_back_service(tx: Transaction, service_text: str, version: int) -> Accepted:
    """Swap a service's spec with its previous one; doing it twice changes nothing.

    The tasks follow by the policy for rollbacks; of a job, a new iteration begins.

    Raises:
        NotFound: no such service, or a network of the previous spec was removed.
        FailedPrecondition: the service has no previous spec.
        InvalidArgument: a secret or config of the previous spec was removed, or a port of it is
            another service's now.
        OutOfSequence: the service changed meanwhile.
    """
    service = find_service(tx.state, service_text)
    if service.previous_spec is None:
        raise FailedPrecondition(f"service {service.id} does not have a previous spec")
    if service.previous_spec.task_template.container_spec is not None:
        check_references(tx.state, service.previous_spec.task_template.container_spec)
    _with_network_ids(tx.state, service.previous_spec.task_template)
    status = UpdateStatus(
        state="rollback_started",
        started_at=tx.now,
        since=tx.now,
        message="manually requested rollback",
    )
    auth = service.previous_registry_auth
    service = with_ports(tx.state, with_spec(tx, service, service.previous_spec))
    service = msgspec.structs.replace(service, registry_auth=auth)
    if not service.spec.is_job:
        service = msgspec.structs.replace(service, update_status=status)
    tx.update(service, expected_version=version)
    return Accepted(service_id=service.id, warnings=not_carried_out(service.spec))


def remove_service(tx: Transaction, service_text: str) -> ServiceId:
    """Remove a service and have all its tasks removed, in one step.

    Were the tasks left for later, a network that only they use could not be removed right after.

    Raises:
        NotFound: no such service.
    """
    service = find_service(tx.state, service_text)
    drop_service(tx, service)
    forget_stack_without_services(tx, stack_of(service.spec.labels))
    return service.id


def drop_service(tx: Transaction, service: Service) -> None:
    """Remove a service of a stack that goes on, even if it was the last one for the moment."""
    for task in tx.state.tasks_of_service(service.id):
        tx.update(msgspec.structs.replace(task, desired_state=TaskState.REMOVE))
    tx.delete(service)


def accept(state: ClusterState, spec: ServiceSpec) -> ServiceSpec:
    """Return a checked spec in its stored form.

    Defaults are as the API shows them, networks are named by ID, and the settings of the extension
    label are typed.

    Raises:
        InvalidArgument: a member that is wrong.
        NotFound: a network that does not exist.
        Unimplemented: a wish that this version can't fulfil.
    """
    spec = _with_shown_defaults(spec)
    check_service_spec(spec)
    extensions = decode_extensions(spec.labels)
    check_extensions(extensions, spec)
    if spec.task_template.container_spec is not None:
        check_references(state, spec.task_template.container_spec)
    template = _with_network_ids(state, spec.task_template)
    published = spec.endpoint_spec.ports if spec.endpoint_spec is not None else ()
    check_published_networks(template, published)
    template = msgspec.structs.replace(template, extensions=extensions.of_task(published))
    networks = template.networks if spec.networks else ()
    accepted = msgspec.structs.replace(spec, task_template=template, networks=networks)
    check_fixed_addresses(state, extensions, accepted)
    return accepted


def not_carried_out(spec: ServiceSpec) -> tuple[str, ...]:
    """Return a sentence for each accepted wish that this version does not carry out."""
    return tuple(kept_only(decode_extensions(spec.labels), spec))


def with_spec(tx: Transaction, service: Service, spec: ServiceSpec) -> Service:
    """Return the service with another accepted spec, which ends an update that is under way."""
    changed = msgspec.structs.replace(
        service,
        spec=spec,
        previous_spec=service.spec,
        previous_registry_auth=service.registry_auth,
        spec_version=tx.revision,
        update_status=None,
    )
    if not spec.is_job:
        return changed
    return msgspec.structs.replace(
        changed, job_iteration=service.job_iteration + 1, job_began_at=tx.now
    )


def _auth_for(service: Service, credentials: Credentials) -> RegistryAuth | None:
    if credentials.is_given:
        return credentials.given
    if not credentials.from_previous_spec:
        return service.registry_auth
    if service.previous_spec is None:
        raise FailedPrecondition(f"service {service.id} does not have a previous spec")
    return service.previous_registry_auth


def _free_name(state: ClusterState, new_id: NewId) -> str:
    name = name_from_id(new_id())
    while state.service_by_name(name) is not None:
        name = f"{name_from_id(new_id())}_{new_id()[:4]}"
    return name


def _with_shown_defaults(spec: ServiceSpec) -> ServiceSpec:
    """Fill in what the API shows although nobody said it.

    It is stored, so that a client that sends back what it has read changes nothing, and clients
    that differ in what they leave out mean the same.
    """
    mode = spec.mode
    if mode is None or mode == ServiceMode():
        mode = ServiceMode(replicated=ReplicatedMode())
    if mode.replicated is not None and mode.replicated.replicas is None:
        mode = msgspec.structs.replace(mode, replicated=ReplicatedMode(replicas=1))
    job = mode.replicated_job
    if job is not None:
        concurrent = 1 if job.max_concurrent is None else job.max_concurrent
        total = concurrent if job.total_completions is None else job.total_completions
        job = ReplicatedJobMode(max_concurrent=concurrent, total_completions=total)
        mode = msgspec.structs.replace(mode, replicated_job=job)
    template = spec.task_template
    if template.container_spec is not None:
        container = msgspec.structs.replace(
            template.container_spec, isolation=template.container_spec.isolation or "default"
        )
        template = msgspec.structs.replace(template, container_spec=container)
    template = msgspec.structs.replace(template, runtime=template.runtime or "container")
    endpoint = spec.endpoint_spec and with_port_defaults(spec.endpoint_spec)
    return msgspec.structs.replace(
        spec,
        mode=mode,
        task_template=template,
        endpoint_spec=endpoint,
        update_config=spec.update_config and _with_update_defaults(spec.update_config),
        rollback_config=spec.rollback_config and _with_update_defaults(spec.rollback_config),
    )


def _with_update_defaults(config: UpdateConfig) -> UpdateConfig:
    return msgspec.structs.replace(
        config,
        failure_action=config.failure_action or "pause",
        order=config.order or "stop-first",
    )


def with_port_defaults(endpoint: EndpointSpec) -> EndpointSpec:
    """Return the ports with protocol and mode, as they are stored."""
    ports = (
        msgspec.structs.replace(
            port, protocol=port.protocol or "tcp", publish_mode=port.publish_mode or "ingress"
        )
        for port in endpoint.ports
    )
    return msgspec.structs.replace(endpoint, ports=tuple(ports))


def _with_network_ids(state: ClusterState, template: TaskSpec) -> TaskSpec:
    networks: list[NetworkAttachmentConfig] = []
    for number, attachment in enumerate(template.networks):
        if not attachment.target:
            raise InvalidArgument(f"TaskTemplate.Networks[{number}].Target: it is required")
        target = attachment.target
        if target not in PREDEFINED:
            target = _network_id(state, target, f"TaskTemplate.Networks[{number}].Target")
        if any(other.target == target for other in networks):
            raise InvalidArgument(
                f"TaskTemplate.Networks[{number}].Target: network {attachment.target} is named "
                "before: name each network once, with all its aliases"
            )
        networks.append(msgspec.structs.replace(attachment, target=target))
    return msgspec.structs.replace(template, networks=tuple(networks))


def _network_id(state: ClusterState, text: str, place: str) -> str:
    try:
        network = find_network(state, text)
    except NotFound:
        raise NotFound(
            f"network {text} not found: a service can use cluster networks, host and none"
        ) from None
    if network.spec.ingress:
        raise InvalidArgument(
            f"{place}: {network.spec.name} is the network of published ports; a service joins it "
            "by publishing a port"
        )
    return network.id
