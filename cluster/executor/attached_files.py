"""The files that a container gets from secrets and configs: where, whose, and what is in them."""

from __future__ import annotations

from typing import Final, Protocol

from cluster.errors import InvalidArgument, NotFound
from cluster.executor.templates import Templates
from cluster.model.config import ConfigSpec
from cluster.model.container import ContainerSpec, Driver, FileTarget
from cluster.model.ids import ConfigId, SecretId
from cluster.model.node import NodeDescription
from cluster.model.secret import SecretSpec
from cluster.model.spec_struct import ObjectStruct
from cluster.model.task import Task
from cluster.model.templates import Function

SECRETS_FOLDER: Final = "/run/secrets"
"""Where a secret lies in the container when its target is no absolute path."""

_PERMISSIONS: Final = 0o777


class FileSource(Protocol):
    """Knows the secrets and configs of this node's tasks."""

    def secret(self, secret_id: SecretId, name: str) -> SecretSpec:
        """Return a secret; `name` is how an error calls it.

        Raises:
            Unavailable: it is not known yet, try again.
            NotFound: it does not exist.
        """
        ...

    def config(self, config_id: ConfigId, name: str) -> ConfigSpec:
        """Return a config; as `secret`."""
        ...


class AttachedFile(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A file for a container; `target` is its absolute path there."""

    target: str
    content: bytes
    uid: int
    gid: int
    mode: int

    def __repr__(self) -> str:
        """Show everything but the content: this may end in a log or an error."""
        return f"AttachedFile(target={self.target!r}, content=<{len(self.content)} bytes>)"


def attached_files(
    task: Task, node: NodeDescription, source: FileSource
) -> tuple[AttachedFile, ...]:
    """Return the files of a task, secrets before configs, each in the order of the spec.

    Args:
        task: as assigned, to this node.
        node: this node, for templates.
        source: the secrets and configs.

    Raises:
        Unavailable: one of them is not known yet, try again.
        ClusterError: the files cannot be made; the message says why, and shows nothing of them.
    """
    spec = task.spec.container_spec
    if spec is None:
        return ()
    templates = Templates(task, node, _functions(spec, source))
    files = []
    for secret_reference in spec.secrets:
        name = secret_reference.secret_name
        secret = source.secret(SecretId(secret_reference.secret_id), name)
        content = _filled(secret.data, secret.templating, templates, f"secret {name}")
        files.append(_file(secret_reference.file, name, f"{SECRETS_FOLDER}/", content))
    for config_reference in spec.configs:
        name = config_reference.config_name
        config = source.config(ConfigId(config_reference.config_id), name)
        content = _filled(config.data, config.templating, templates, f"config {name}")
        files.append(_file(config_reference.file, name, "/", content))
    return tuple(files)


def _file(target: FileTarget | None, name: str, folder: str, content: bytes) -> AttachedFile:
    if target is None:
        raise InvalidArgument(f"the reference to {name} has no File")
    path = target.name if target.name.startswith("/") else f"{folder}{target.name}"
    return AttachedFile(
        target=path,
        content=content,
        uid=_number(target.uid, f"File.UID of {name}"),
        gid=_number(target.gid, f"File.GID of {name}"),
        mode=target.mode & _PERMISSIONS,
    )


def _number(text: str, place: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise InvalidArgument(f"{place}: {text!r} is not a number")
    return int(text or 0)


def _filled(data: bytes, driver: Driver | None, templates: Templates, place: str) -> bytes:
    if driver is None or not driver.name:
        return data
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise InvalidArgument(f"{place}: is to be filled in as a template but is no text") from None
    return templates.fill(text, place).encode()


def _functions(spec: ContainerSpec, source: FileSource) -> dict[str, Function]:
    """Return the functions that a templated file can call.

    ``secret`` and ``config`` name a file by its target, as in Docker Swarm: a template reaches
    what its own task was given and nothing else.
    """

    def secret(target: str) -> str:
        for reference in spec.secrets:
            if reference.file is not None and reference.file.name == target:
                known = source.secret(SecretId(reference.secret_id), reference.secret_name)
                return _text(known.data, f"secret target {target}")
        raise NotFound(f"secret target {target} not found: the service has no such file")

    def config(target: str) -> str:
        for reference in spec.configs:
            if reference.file is not None and reference.file.name == target:
                known = source.config(ConfigId(reference.config_id), reference.config_name)
                return _text(known.data, f"config target {target}")
        raise NotFound(f"config target {target} not found: the service has no such file")

    def env(name: str) -> str:
        for entry in spec.env:
            key, _, value = entry.partition("=")
            if key == name:
                return value
        return ""

    return {"secret": secret, "config": config, "env": env}


def _text(data: bytes, place: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidArgument(f"{place}: is used in a template but is no text") from None
