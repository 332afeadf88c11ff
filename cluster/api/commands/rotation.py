"""Changing a secret or config: labels always, and of a stack's the content, as a new version.

Docker's client deploys a stack by looking each file's object up by name and updating it.  Docker
Swarm refuses another content there.  Here the name of a stack's object always stands for the
newest content, while each content is an object with an ID of its own that never changes: the
object of before gets a name with a part of its digest, as versions of our own client have, and the
services that use it are given the new one in the same step.  What a kept revision or a service's
previous spec refers to stays, all other versions go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar

from msgspec.structs import replace

from cluster.api.commands.attached_files import (
    ONLY_LABELS,
    create_config,
    create_secret,
    update_config,
    update_secret,
)
from cluster.api.commands.lookup import find_config, find_secret
from cluster.api.commands.services import with_spec
from cluster.api.commands.versions import base_of, digest_of, versioned_name
from cluster.errors import InvalidArgument, OutOfSequence
from cluster.model.config import Config, ConfigSpec
from cluster.model.ids import ConfigId, NewId, SecretId
from cluster.model.secret import Secret, SecretSpec
from cluster.model.service import ServiceSpec
from cluster.model.stack import CONTENT_LABEL, VERSION_LABEL, stack_of
from cluster.store.state import ClusterState
from cluster.store.table import Table
from cluster.store.transaction import Transaction

Kind = Literal["secret", "config"]
S = TypeVar("S", SecretSpec, ConfigSpec)


def revise_secret(
    tx: Transaction, secret_text: str, version: int, spec: SecretSpec, new_id: NewId
) -> None:
    """Give a secret other labels, or one of a stack another content.

    Raises:
        NotFound: no such secret.
        InvalidArgument: another name, another content of a secret that is no stack's or that is
            itself an older version, or a content that is too long.
        OutOfSequence: the secret changed meanwhile.
        AlreadyExists: the name that the version of before would get is taken.
    """
    secret = find_secret(tx.state, secret_text)

    def relabel(spec: SecretSpec) -> None:
        update_secret(tx, secret.id, version, spec)

    def create(spec: SecretSpec) -> None:
        create_secret(tx, spec, SecretId(new_id()))

    _revise(tx, secret, version, spec, relabel, create)


def revise_config(
    tx: Transaction, config_text: str, version: int, spec: ConfigSpec, new_id: NewId
) -> None:
    """Give a config other labels, or one of a stack another content; errors as for secrets."""
    config = find_config(tx.state, config_text)

    def relabel(spec: ConfigSpec) -> None:
        update_config(tx, config.id, version, spec)

    def create(spec: ConfigSpec) -> None:
        create_config(tx, spec, ConfigId(new_id()))

    _revise(tx, config, version, spec, relabel, create)


def _revise(
    tx: Transaction,
    item: Secret | Config,
    version: int,
    spec: S,
    relabel: Callable[[S], None],
    create: Callable[[S], None],
) -> None:
    old: Any = item.spec
    if not _has_other_content(old, spec):
        relabel(_with_own_labels(old, spec))
        return
    wanted = _with_name(item, spec, version)
    kind: Kind = "secret" if isinstance(item, Secret) else "config"
    _rotate(tx, kind, item, wanted, lambda: create(wanted))


def _has_other_content(old: S, new: S) -> bool:
    if new.name != old.name or not new.data:
        return False
    # a template of the same text is another file
    return new.data != old.data or (new.templating not in {None, old.templating})


def _with_own_labels(old: S, new: S) -> S:
    """Keep the labels that tell of a version, which Docker's client does not know."""
    if not stack_of(new.labels) or new.name != old.name:
        return new
    labels = old.labels or {}
    kept = {name: labels[name] for name in (CONTENT_LABEL, VERSION_LABEL) if name in labels}
    return replace(new, labels={**kept, **(new.labels or {})})


def _with_name(item: Secret | Config, spec: S, version: int) -> S:
    """Return the spec of the version that is to have the name, once it is clear that it may."""
    stack = stack_of(item.spec.labels)
    if not stack or stack_of(spec.labels) != stack:
        raise InvalidArgument(ONLY_LABELS)
    if base_of(item.spec) != item.spec.name:
        raise InvalidArgument(
            f"{ONLY_LABELS}: {item.spec.name} is a version of {base_of(item.spec)}; update that"
        )
    if item.meta.version != version:
        raise OutOfSequence
    labels = {n: value for n, value in (spec.labels or {}).items() if n != VERSION_LABEL}
    spec = replace(spec, labels=labels)
    return replace(spec, labels={**labels, CONTENT_LABEL: digest_of(spec)})


def _rotate(
    tx: Transaction,
    kind: Kind,
    before: Secret | Config,
    wanted: SecretSpec | ConfigSpec,
    create: Callable[[], None],
) -> None:
    target = next((v for v in _versions(tx.state, kind, before) if _is_same(v, wanted)), None)
    _give_name_away(tx, before)
    if target is None:
        create()
    else:
        tx.update(_with_spec(target, wanted))
    [target] = _table(tx.state, kind).find("name", wanted.name.lower())
    versions = {str(one.id) for one in _versions(tx.state, kind, target)}
    _roll_consumers(tx, kind, before.id, target, versions)
    needed = set(_previous_files(tx.state, kind))
    for one in _versions(tx.state, kind, target):
        if one.id not in needed and one.id != target.id and not _is_used(tx.state, kind, one.id):
            tx.delete(one)


def _table(state: ClusterState, kind: Kind) -> Table[Any]:
    return state.secrets if kind == "secret" else state.configs


def _versions(state: ClusterState, kind: Kind, item: Secret | Config) -> list[Secret | Config]:
    """Return all versions of what `item` has the name of, itself included."""
    stack, name = stack_of(item.spec.labels), base_of(item.spec)
    return [
        one
        for one in _table(state, kind)
        if stack_of(one.spec.labels) == stack and base_of(one.spec) == name
    ]


def _is_same(item: Secret | Config, wanted: SecretSpec | ConfigSpec) -> bool:
    return (item.spec.data, item.spec.templating) == (wanted.data, wanted.templating)


def _is_used(state: ClusterState, kind: Kind, item_id: str) -> bool:
    return bool(state.services.count(kind, item_id) or state.revisions.count(kind, item_id))


def _give_name_away(tx: Transaction, item: Secret | Config) -> None:
    """Name the version of before by its content."""
    base, digest = item.spec.name, digest_of(item.spec)
    labels = {**(item.spec.labels or {}), CONTENT_LABEL: digest, VERSION_LABEL: base}
    spec = replace(item.spec, name=versioned_name(base, digest), labels=labels)
    tx.update(_with_spec(item, spec))


def _with_spec(item: Any, spec: SecretSpec | ConfigSpec) -> Secret | Config:
    changed: Secret | Config = replace(item, spec=spec)
    return changed


def _roll_consumers(
    tx: Transaction, kind: Kind, before_id: str, target: Secret | Config, versions: set[str]
) -> None:
    """Let services refer to the version that has the name now.

    Those of the stack do whichever version they had, others if they had the one of before.
    """
    stack, services = stack_of(target.spec.labels), tx.state.services
    for user in sorted({user for one in versions for user in services.ids(kind, one)}):
        service = services.get(user)
        assert service is not None
        is_own = stack_of(service.spec.labels) == stack
        replaced = versions - {target.id} if is_own else {before_id} - {target.id}
        spec = _referring(service.spec, kind, replaced, target)
        if spec != service.spec:
            tx.update(with_spec(tx, service, spec))


def _referring(
    spec: ServiceSpec, kind: Kind, replaced: set[str], target: Secret | Config
) -> ServiceSpec:
    container = spec.task_template.container_spec
    assert container is not None
    new_id, name = target.id, target.spec.name
    if kind == "secret":
        secrets = tuple(
            replace(one, secret_id=new_id, secret_name=name) if one.secret_id in replaced else one
            for one in container.secrets
        )
        container = replace(container, secrets=secrets)
    else:
        configs = tuple(
            replace(one, config_id=new_id, config_name=name) if one.config_id in replaced else one
            for one in container.configs
        )
        container = replace(container, configs=configs)
    return replace(spec, task_template=replace(spec.task_template, container_spec=container))


def _previous_files(state: ClusterState, kind: Kind) -> Iterator[str]:
    """Iterate over the IDs that services' previous specs refer to."""
    for service in state.services:
        spec = service.previous_spec
        container = spec.task_template.container_spec if spec else None
        if container is None:
            continue
        if kind == "secret":
            yield from (one.secret_id for one in container.secrets)
        else:
            yield from (one.config_id for one in container.configs)
