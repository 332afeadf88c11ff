"""What a deploy token may see of the cluster, and which changes it may make.

Reading is answered from a state that holds nothing else, so that no handler can show more.
Writing is judged by the changes that come of it, before they are committed, so that no way of
asking for them gets around it.
"""

from __future__ import annotations

from cluster.api.commands.token_policy import check_reach
from cluster.errors import PermissionDenied
from cluster.model.config import Config
from cluster.model.ids import ConfigId, NetworkId, SecretId
from cluster.model.network import PREDEFINED_NETWORKS, Network
from cluster.model.objects import StoredObject
from cluster.model.secret import Secret
from cluster.model.service import Service, ServiceSpec
from cluster.model.spec_struct import Labels
from cluster.model.stack import Stack, StackRevision, stack_of
from cluster.model.task import Task
from cluster.model.token import DeployToken
from cluster.store.change import Created, Deleted
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction


def visible(state: ClusterState, token: DeployToken) -> ClusterState:
    """Return the part of the state that a token may see.

    That is its stacks' objects, the networks it may use, and of nodes their names and states.
    """
    found: list[StoredObject] = list(state.nodes)
    found += [n for n in state.networks if _may_use(n, token)]
    for one in (*state.services, *state.secrets, *state.configs):
        if token.covers(stack_of(one.spec.labels)):
            found.append(one)
    found += [task for task in state.tasks if token.covers(_stack_of_task(state, task))]
    found += [stack for stack in state.stacks if token.covers(stack.name)]
    found += [revision for revision in state.revisions if token.covers(revision.stack)]
    return ClusterState().preview((Created(item) for item in found), state.revision)


def check_changes(tx: Transaction, before: ClusterState, token: DeployToken) -> None:
    """Check what a token's request has changed.

    Args:
        tx: with the changes.
        before: the state without them.
        token: whose request it was.

    Raises:
        PermissionDenied: an object is, or was, of another stack, has a name that does not begin
            with its stack's, or reaches further than the token was granted.
    """
    for change in tx.changes:
        former: StoredObject | None = before.table_of(change.item).get(change.item.id)
        for item in (former, change.item):
            if item is not None:
                _check_owner(tx.state, before, item, token)
        if isinstance(change, Deleted) or not isinstance(change.item, Service):
            continue
        spec = change.item.spec
        if isinstance(former, Service):
            _check_login(former, change.item, token)
        if not isinstance(former, Service) or former.spec != spec:
            check_reach(token, stack_of(spec.labels), spec)
            _check_uses(tx.state, spec, token)


def check_own(token: DeployToken, kind: str, name: str, labels: Labels | None) -> None:
    """Check that an object is of a token's stack, by its label and its name.

    Raises:
        PermissionDenied: it is not.
    """
    stack = stack_of(labels)
    if not token.covers(stack):
        where = f"of stack {stack}" if stack else "of no stack"
        raise denied(token, f"make or change {kind} {name} {where}")
    if not name.startswith(f"{stack}_"):
        raise denied(
            token,
            f"make or change {kind} {name} of stack {stack}",
            f"its name has to begin with {stack}_ (leave `name:` out of the file)",
        )


def denied(token: DeployToken, what: str, way_out: str = "") -> PermissionDenied:
    """Return the error that tells a token's holder what it may not do, and what to do."""
    stacks = ", ".join(token.stacks)
    hint = way_out or "use a token that names it, or ask an administrator"
    return PermissionDenied(
        f"deploy token {token.name} may only deploy {stacks}, and may not {what}: {hint}"
    )


def _check_owner(
    state: ClusterState, before: ClusterState, item: StoredObject, token: DeployToken
) -> None:
    if isinstance(item, Service | Network | Secret | Config):
        kind, name = type(item).__name__.lower(), item.spec.name
        check_own(token, kind, name, item.spec.labels)
        if isinstance(item, Network) and (
            item.spec.ingress or item.spec.driver not in {"", "overlay"}
        ):
            raise denied(token, f"make network {name}", "it has to be a plain overlay network")
    elif isinstance(item, Task):
        known = before if before.service(item.service_id) else state
        if not token.covers(_stack_of_task(known, item)):
            raise denied(token, f"change tasks of service {item.service_id}")
    elif isinstance(item, Stack | StackRevision):
        name = item.name if isinstance(item, Stack) else item.stack
        if not token.covers(name):
            raise denied(token, f"deploy stack {name}")
    else:
        raise denied(token, f"change a {type(item).__name__.lower()}")


def _check_uses(state: ClusterState, spec: ServiceSpec, token: DeployToken) -> None:
    """Check that a service uses nothing of another stack."""
    for attachment in spec.task_template.networks:
        if attachment.target in PREDEFINED_NETWORKS:
            continue  # the policy has judged those
        network = state.network(NetworkId(attachment.target))
        if network is None or not _may_use(network, token):
            name = network.spec.name if network else attachment.target
            raise denied(
                token,
                f"join service {spec.name} to network {name}",
                f"let an administrator make a token with --network {name}",
            )
    container = spec.task_template.container_spec
    if container is None:
        return
    for mount in container.mounts:
        owner = _other_owner(state, mount.source, token) if mount.type == "volume" else ""
        if owner and "volumes" not in token.allowed:
            raise denied(
                token, f"give volume {mount.source} to {spec.name}", f"it is of stack {owner}"
            )
    files: list[tuple[str, str, Secret | Config | None]] = [
        ("secret", one.secret_name, state.secret(SecretId(one.secret_id)))
        for one in container.secrets
    ]
    files += [
        ("config", one.config_name, state.config(ConfigId(one.config_id)))
        for one in container.configs
    ]
    for kind, name, item in files:
        if item is None or not token.covers(stack_of(item.spec.labels)):
            raise denied(
                token,
                f"give {kind} {name} to service {spec.name}",
                f"it is not of a stack of the token; define the {kind} in the file",
            )


def _check_login(former: Service, service: Service, token: DeployToken) -> None:
    """Check that a login which others gave is not sent to another registry than it was for."""
    login = service.registry_auth
    given = {
        (former.registry_auth, _registry(former.spec)),
        (former.previous_registry_auth, _registry(former.previous_spec)),
    }
    known = {registry for auth, registry in given if auth == login}
    if login is not None and known and _registry(service.spec) not in known:
        raise denied(
            token,
            f"use the stored registry login of service {service.spec.name} for "
            f"{_registry(service.spec)}",
            "send the login for that registry (--with-registry-auth)",
        )


def _registry(spec: ServiceSpec | None) -> str:
    """Return the registry that a service's image comes from, "" for no image."""
    container = spec.task_template.container_spec if spec else None
    if container is None:
        return ""
    host, slash, _ = container.image.partition("/")
    is_host = bool(slash) and ("." in host or ":" in host or host == "localhost")
    return host.lower() if is_host else "docker.io"


def _other_owner(state: ClusterState, volume: str, token: DeployToken) -> str:
    """Return another stack to which a volume's name may say that it belongs, "" for none.

    The volume a_b_c may be b_c of stack a, or c of stack a_b.
    """
    owners = {volume[:at] for at in range(1, len(volume)) if volume[at] == "_"}
    owners = {name for name in owners if not token.covers(name)}
    if owners:
        owners &= {stack_of(service.spec.labels) for service in state.services}
    return min(owners, default="")


def _may_use(network: Network, token: DeployToken) -> bool:
    return (
        token.covers(stack_of(network.spec.labels))
        or network.spec.ingress
        or network.spec.name in token.networks
    )


def _stack_of_task(state: ClusterState, task: Task) -> str:
    service = state.service(task.service_id)
    return stack_of(task.service_labels if service is None else service.spec.labels)
