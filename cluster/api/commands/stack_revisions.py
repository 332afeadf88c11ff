"""The memory of stacks: a revision for each deployment, as many as are kept."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from cluster.model.config import Config
from cluster.model.ids import ConfigId, NewId, RevisionId, SecretId, StackId
from cluster.model.meta import Meta
from cluster.model.secret import Secret
from cluster.model.service import Service, ServiceSpec
from cluster.model.stack import (
    CONTENT_LABEL,
    KEPT_REVISIONS,
    ServiceLogin,
    Stack,
    StackRevision,
    stack_of,
)
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction


def record_revision(tx: Transaction, name: str, new_id: NewId, *, message: str, author: str) -> int:
    """Keep what the stack now is as its next revision, unless it is what it was.

    Logins that were renewed since are kept with the revision that is there.
    Revisions beyond those that are kept are dropped, and with them the versions of secrets and
    configs that only they needed.

    Returns:
        The number of the present revision.
    """
    stack = stack_object(tx, name, new_id)
    revision = _present(tx.state, name, stack.revision + 1, RevisionId(new_id()))
    revisions = tx.state.revisions_of(name)
    if revisions and revisions[-1].is_same_as(revision):
        tx.update(replace(revisions[-1], logins=revision.logins))
        return stack.revision
    tx.create(replace(revision, message=message, author=author))
    tx.update(replace(stack, revision=revision.number))
    for old in revisions[: max(0, len(revisions) + 1 - KEPT_REVISIONS)]:
        tx.delete(old)
    for item in _unused_versions(tx.state, name):
        tx.delete(item)
    return revision.number


def has_drifted(state: ClusterState, name: str) -> bool:
    """Whether a stack is not what its newest revision says.

    Another client has changed it, or an update that failed was rolled back by itself.
    """
    revisions = state.revisions_of(name)
    present = _present(state, name, 0, RevisionId(""))
    return bool(revisions) and not revisions[-1].is_same_as(present)


def stack_object(tx: Transaction, name: str, new_id: NewId) -> Stack:
    """Return the stack's own object, made if there is none."""
    stack = tx.state.stack_by_name(name)
    if stack is None:
        tx.create(Stack(id=StackId(new_id()), meta=Meta(), name=name))
        stack = tx.state.stack_by_name(name)
        assert stack is not None
    return stack


def forget_stack_without_services(tx: Transaction, name: str) -> None:
    """Drop the memory of a stack whose last service is gone, so that its files can be removed.

    Of a first deployment that failed and is being removed the end is still to be told.
    """
    if not name or any(True for _ in services_of_stack(tx.state, name)):
        return
    for revision in tx.state.revisions_of(name):
        tx.delete(revision)
    stack = tx.state.stack_by_name(name)
    if stack is None:
        return
    rollout = stack.rollout
    goes_back = rollout is not None and rollout.state == "going back"
    if not goes_back and (stack.lease is None or stack.lease.until <= tx.now):
        tx.delete(stack)
    else:
        tx.update(replace(stack, revision=0, rollout=rollout if goes_back else None))


def services_of_stack(state: ClusterState, name: str) -> Iterator[Service]:
    """Iterate over the services that belong to a stack."""
    return (service for service in state.services if stack_of(service.spec.labels) == name)


def _present(state: ClusterState, name: str, number: int, revision_id: RevisionId) -> StackRevision:
    services = sorted(services_of_stack(state, name), key=lambda one: one.spec.name)
    specs = [one.spec for one in services]
    networks = [n for n in state.networks if stack_of(n.spec.labels) == name]
    return StackRevision(
        id=revision_id,
        meta=Meta(),
        stack=name,
        number=number,
        services=tuple(specs),
        networks=tuple(sorted(networks, key=lambda network: network.spec.name)),
        secrets=tuple(sorted({SecretId(i) for spec in specs for i in _secret_ids(spec)})),
        configs=tuple(sorted({ConfigId(i) for spec in specs for i in _config_ids(spec)})),
        logins=tuple(
            ServiceLogin(service=one.spec.name, auth=one.registry_auth)
            for one in services
            if one.registry_auth is not None
        ),
    )


def _unused_versions(state: ClusterState, name: str) -> Iterator[Secret | Config]:
    """Iterate over versions of the stack's files that no service and no revision needs."""
    specs = [
        spec
        for service in services_of_stack(state, name)
        for spec in (service.spec, service.previous_spec)
        if spec is not None
    ]
    secret_ids = {i for spec in specs for i in _secret_ids(spec)}
    config_ids = {i for spec in specs for i in _config_ids(spec)}
    for kind, items, used, users in (
        ("secret", state.secrets, secret_ids, state.services),
        ("config", state.configs, config_ids, state.services),
    ):
        for item in items:
            labels = item.spec.labels or {}
            if stack_of(labels) != name or CONTENT_LABEL not in labels or item.id in used:
                continue
            if not users.count(kind, item.id) and not state.revisions.count(kind, item.id):
                yield item


def _secret_ids(spec: ServiceSpec) -> Iterator[str]:
    container = spec.task_template.container_spec
    return (one.secret_id for one in container.secrets) if container else iter(())


def _config_ids(spec: ServiceSpec) -> Iterator[str]:
    container = spec.task_template.container_spec
    return (one.config_id for one in container.configs) if container else iter(())
