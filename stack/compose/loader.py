"""Compose files to the typed model of what a stack is to be."""

from __future__ import annotations

import msgspec

from stack.compose.notice import Notice
from stack.compose.object_reader import read_file_object, read_network, read_volume
from stack.compose.reader import Reader
from stack.compose.resolve import Options, resolve
from stack.compose.service_reader import Surroundings, read_service
from stack.compose.source import Source
from stack.compose.tree import Mapping, fail, is_null
from stack.compose.types import Compose, FileObject
from stack.compose.unsupported import check_keys


class Loaded(msgspec.Struct, frozen=True):
    """A project and what the user should know about the way it was read."""

    compose: Compose
    notices: tuple[Notice, ...]


def load(source: Source, stack: str = "", profiles: tuple[str, ...] = ()) -> Loaded:
    """Load a project for a deployment.

    Args:
        source: files and variables.
        stack: the name the user asked for; "" takes COMPOSE_PROJECT_NAME, the file's ``name:`` or
            the folder's name, in this order.
        profiles: those to switch on beside the ones of COMPOSE_PROFILES.

    Raises:
        ComposeError: a file is not right; names file, line and key.
        UsageError: the name can be no stack's.
    """
    resolved = resolve(source, Options(stack=stack, profiles=profiles))
    notices = list(resolved.notices)
    notices += check_keys(resolved.root)
    environment = resolved.environment
    around = Surroundings(source.folder, environment, source.read_file, notices.append)
    compose = _project(resolved.root, resolved.name, around)
    order = [file.name for file in source.files]
    in_order = sorted(dict.fromkeys(notices), key=lambda notice: _position(notice, order))
    return Loaded(compose, tuple(in_order))


def _position(notice: Notice, files: list[str]) -> tuple[int, int]:
    mark = notice.mark
    return (files.index(mark.file) if mark.file in files else len(files), mark.line)


def _project(root: Mapping, name: str, around: Surroundings) -> Compose:
    reader = Reader(root, "")
    below = reader.below("services")
    if below.node is None or not below.node.entries:
        raise fail(root.mark, "", "the file has no services")
    for key, entry in below.node.entries.items():
        if is_null(entry.value):
            raise fail(entry.key_mark, f"services.{key}", "is empty: it needs at least an image")
    services = tuple(read_service(key, item, around) for key, item in below.children())
    used = {joined.name for service in services for joined in service.networks}
    return Compose(
        name=name,
        services=services,
        networks={
            key: read_network(key, item, name)
            for key, item in reader.below("networks").children()
            if key in used
        },
        volumes={
            key: read_volume(key, item, name) for key, item in reader.below("volumes").children()
        },
        configs=_file_objects(reader, "configs", name, around),
        secrets=_file_objects(reader, "secrets", name, around),
    )


def _file_objects(
    reader: Reader, kind: str, name: str, around: Surroundings
) -> dict[str, FileObject]:
    """Read those that a service uses; files of others need not be there."""
    used = {
        item.string("source")
        for _, service in reader.below("services").children()
        for _, item in service.maps(kind)
    }
    return {
        key: read_file_object(key, item, name, around)
        for key, item in reader.below(kind).children()
        if key in used
    }
