"""What a user may do with secrets and configs, and how services may refer to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

import msgspec

from cluster.api.commands.lookup import find_config, find_secret
from cluster.api.commands.versions import is_name_of
from cluster.errors import InvalidArgument, Unimplemented
from cluster.model.config import Config, ConfigSpec
from cluster.model.container import (
    ConfigReference,
    ContainerSpec,
    Driver,
    FileTarget,
    SecretReference,
)
from cluster.model.ids import ConfigId, SecretId, ServiceId
from cluster.model.meta import Meta
from cluster.model.secret import Secret, SecretSpec
from cluster.model.stack import StackRevision
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction

SECRET_LIMIT_BYTES: Final = 512_000
CONFIG_LIMIT_BYTES: Final = 1_024_000
MAX_NAME_LENGTH: Final = 64
TEMPLATING: Final = "golang"

ONLY_LABELS: Final = "only updates to Labels are allowed"

_NAME = re.compile(r"[a-zA-Z0-9]+(?:[a-zA-Z0-9_.-]*[a-zA-Z0-9])?")

R = TypeVar("R", SecretReference, ConfigReference)
S = TypeVar("S", SecretSpec, ConfigSpec)


def create_secret(tx: Transaction, spec: SecretSpec, secret_id: SecretId) -> None:
    """Make a secret.

    Raises:
        InvalidArgument: a wrong name, or data that is empty or too long.
        AlreadyExists: the name is taken.
        Unimplemented: a secret that a plugin keeps.
    """
    if spec.driver is not None:
        raise Unimplemented("Driver: secrets of plugins are not in this version; send Data")
    _check(spec.name, spec.data, spec.templating, "secret", SECRET_LIMIT_BYTES)
    tx.create(Secret(id=secret_id, meta=Meta(), spec=spec))


def create_config(tx: Transaction, spec: ConfigSpec, config_id: ConfigId) -> None:
    """Make a config.

    Raises:
        InvalidArgument: a wrong name, or data that is empty or too long.
        AlreadyExists: the name is taken.
    """
    _check(spec.name, spec.data, spec.templating, "config", CONFIG_LIMIT_BYTES)
    tx.create(Config(id=config_id, meta=Meta(), spec=spec))


def update_secret(tx: Transaction, secret_text: str, version: int, spec: SecretSpec) -> None:
    """Give a secret other labels; its data may be left out of `spec`.

    Raises:
        NotFound: no such secret.
        InvalidArgument: something else than the labels differs.
        OutOfSequence: the secret changed meanwhile.
    """
    secret = find_secret(tx.state, secret_text)
    fresh = _relabelled(secret.spec, spec)
    tx.update(msgspec.structs.replace(secret, spec=fresh), expected_version=version)


def update_config(tx: Transaction, config_text: str, version: int, spec: ConfigSpec) -> None:
    """Give a config other labels; its data may be left out of `spec`.

    Raises:
        NotFound: no such config.
        InvalidArgument: something else than the labels differs.
        OutOfSequence: the config changed meanwhile.
    """
    config = find_config(tx.state, config_text)
    fresh = _relabelled(config.spec, spec)
    tx.update(msgspec.structs.replace(config, spec=fresh), expected_version=version)


def _relabelled(old: S, spec: S) -> S:
    if spec.name != old.name or spec.data not in {b"", old.data}:
        raise InvalidArgument(ONLY_LABELS)
    return msgspec.structs.replace(old, labels=spec.labels)


def remove_secret(tx: Transaction, secret_text: str) -> None:
    """Remove a secret.

    Raises:
        NotFound: no such secret.
        InvalidArgument: services use it.
    """
    secret = find_secret(tx.state, secret_text)
    users = tx.state.services.ids("secret", secret.id)
    _check_unused(tx.state, f"secret '{secret.spec.name}'", users)
    _check_not_kept(f"secret '{secret.spec.name}'", tx.state.revisions.find("secret", secret.id))
    tx.delete(secret)


def remove_config(tx: Transaction, config_text: str) -> None:
    """Remove a config.

    Raises:
        NotFound: no such config.
        InvalidArgument: services use it.
    """
    config = find_config(tx.state, config_text)
    users = tx.state.services.ids("config", config.id)
    _check_unused(tx.state, f"config '{config.spec.name}'", users)
    _check_not_kept(f"config '{config.spec.name}'", tx.state.revisions.find("config", config.id))
    tx.delete(config)


def check_references(state: ClusterState, container: ContainerSpec) -> None:
    """Check the secrets and configs that a container refers to.

    A reference names the object twice, by ID and by name, and both must be the object's; of an
    object that is one of several versions, the name may be one that it had.

    Raises:
        InvalidArgument: a reference that is incomplete, to nothing, or to a path used twice.
        Unimplemented: a config for the runtime itself.
    """
    place = "TaskTemplate.ContainerSpec"
    for number, secret in enumerate(container.secrets):
        here = f"{place}.Secrets[{number}]"
        if not secret.secret_id or not secret.secret_name:
            raise InvalidArgument(f"{here}: malformed secret reference: it needs ID and name")
        _check_target(here, "secret", secret.file)
    for number, config in enumerate(container.configs):
        here = f"{place}.Configs[{number}]"
        if not config.config_id or not config.config_name:
            raise InvalidArgument(f"{here}: malformed config reference: it needs ID and name")
        if config.runtime is not None:
            raise Unimplemented(f"{here}.Runtime: credential specs are for Windows only; use File")
        _check_target(here, "config", config.file)
    _check_conflicts("secret", [(r.secret_name, r.file) for r in container.secrets])
    _check_conflicts("config", [(r.config_name, r.file) for r in container.configs])
    _check_found("secret", _missing_secrets(state, container.secrets))
    _check_found("config", _missing_configs(state, container.configs))


def _check(name: str, data: bytes, templating: Driver | None, kind: str, limit: int) -> None:
    if not name:
        raise InvalidArgument("name must be provided")
    if len(name) > MAX_NAME_LENGTH or not _NAME.fullmatch(name):
        raise InvalidArgument(
            "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end "
            "character must be [a-zA-Z0-9]"
        )
    if not 0 < len(data) < limit:
        raise InvalidArgument(f"{kind} data must be larger than 0 and less than {limit} bytes")
    if templating is not None and templating.name not in {"", TEMPLATING}:
        raise InvalidArgument(f"Templating.Name: {templating.name!r} is unknown: use {TEMPLATING}")


def _check_unused(state: ClusterState, what: str, users: Sequence[str]) -> None:
    if not users:
        return
    services = [state.service(ServiceId(user)) for user in users]
    names = ", ".join(service.spec.name for service in services if service is not None)
    noun = "service" if len(users) == 1 else "services"
    raise InvalidArgument(f"{what} is in use by the following {noun}: {names}")


def _check_not_kept(what: str, revisions: Sequence[StackRevision]) -> None:
    if revisions:
        one = revisions[-1]
        raise InvalidArgument(
            f"{what} is in use by revision {one.number} of stack {one.stack}, which a rollback can "
            "return to; it is removed with the stack or when newer revisions take its place"
        )


def _check_target(place: str, kind: str, target: FileTarget | None) -> None:
    if target is None or not target.name:
        raise InvalidArgument(f"{place}.File: malformed {kind} reference: no file target provided")
    for member, number in (("UID", target.uid), ("GID", target.gid)):
        if number and not (number.isascii() and number.isdigit()):
            raise InvalidArgument(f"{place}.File.{member}: {number!r} is not a number")


def _check_conflicts(kind: str, targets: Iterable[tuple[str, FileTarget | None]]) -> None:
    taken: dict[str, str] = {}
    for name, target in targets:
        path = target.name if target is not None else ""
        if path in taken:
            raise InvalidArgument(
                f"{kind} references '{taken[path]}' and '{name}' have a conflicting target: "
                f"'{path}'"
            )
        taken[path] = name


def _missing_secrets(state: ClusterState, references: Iterable[SecretReference]) -> Iterable[str]:
    for reference in references:
        secret = state.secret(SecretId(reference.secret_id))
        if secret is None or not is_name_of(secret.spec, reference.secret_name):
            yield reference.secret_name


def _missing_configs(state: ClusterState, references: Iterable[ConfigReference]) -> Iterable[str]:
    for reference in references:
        config = state.config(ConfigId(reference.config_id))
        if config is None or not is_name_of(config.spec, reference.config_name):
            yield reference.config_name


def _check_found(kind: str, missing: Iterable[str]) -> None:
    names = list(missing)
    if names:
        noun = kind if len(names) == 1 else f"{kind}s"
        raise InvalidArgument(f"{noun} not found: {', '.join(names)}")
