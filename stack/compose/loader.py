"""Compose files to the model: read, interpolate, write out, merge, check, make typed.

Each step is a module of its own and takes what the one before gives; after `read_source` nothing
touches a file, so the same source always gives the same model.
"""

from __future__ import annotations

import re

import msgspec

from stack.compose.interpolation import interpolate_tree
from stack.compose.merge import merge_files
from stack.compose.reader import Reader
from stack.compose.service_reader import DEFAULT_NETWORK, Surroundings, read_service
from stack.compose.short_forms import write_out
from stack.compose.source import Source
from stack.compose.tree import Mapping, Mark, Node, Scalar, fail, kind_of
from stack.compose.types import Compose, IpamConfig, Network, Service, Volume
from stack.compose.unsupported import Notice, check_keys
from stack.compose.yaml_reader import read_yaml
from stack.errors import ComposeError, UsageError


class Loaded(msgspec.Struct, frozen=True):
    """A project and what the user should know about the way it was read."""

    compose: Compose
    notices: tuple[Notice, ...]


def load(source: Source, stack: str = "") -> Loaded:
    """Load a project.

    Args:
        source: files and variables.
        stack: the name the user asked for; "" takes COMPOSE_PROJECT_NAME, the file's ``name:`` or
            the folder's name, in this order.

    Raises:
        ComposeError: a file is not right; names file, line and key.
        UsageError: the name can be no stack's.
    """
    documents = [
        _top_map(document, file.name)
        for file in source.files
        for document in read_yaml(file.content, file.name) or [Scalar(None, Mark(file.name))]
    ]
    name = _stack_name(source, documents, stack)
    environment = {**source.environment, "COMPOSE_PROJECT_NAME": name}
    notices = _Notices()
    trees = [
        write_out(_as_map(interpolate_tree(tree, environment.get, notices.unset)))
        for tree in documents
    ]
    root = merge_files(trees)
    for notice in check_keys(root):
        notices.add(notice)
    around = Surroundings(source.folder, source.home, environment.get, notices.add)
    compose = _project(root, name, around)
    order = [file.name for file in source.files]
    in_order = sorted(notices.all, key=lambda notice: _position(notice, order))
    return Loaded(compose, tuple(in_order))


def _position(notice: Notice, files: list[str]) -> tuple[int, int]:
    mark = notice.mark
    return (files.index(mark.file) if mark.file in files else len(files), mark.line)


class _Notices:
    """Collects notices, each once."""

    def __init__(self) -> None:
        self.all: list[Notice] = []
        self._unset: set[str] = set()

    def add(self, notice: Notice) -> None:
        if notice not in self.all:
            self.all.append(notice)

    def unset(self, name: str, mark: Mark) -> None:
        if name not in self._unset:
            self._unset.add(name)
            self.add(Notice(mark, f"the variable {name} is not set: an empty text stands for it"))


def _top_map(document: Node, file: str) -> Mapping:
    if isinstance(document, Mapping):
        return document
    if isinstance(document, Scalar) and document.value is None:
        raise ComposeError(f"{file}: the file is empty")
    raise fail(
        document.mark, "", f"the file must be a map with 'services:', not {kind_of(document)}"
    )


def _as_map(node: Node) -> Mapping:
    assert isinstance(node, Mapping)
    return node


_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


def _stack_name(source: Source, documents: list[Mapping], asked: str) -> str:
    asked = asked or source.environment.get("COMPOSE_PROJECT_NAME", "")
    if asked:
        if not _NAME.fullmatch(asked):
            raise UsageError(f"stack name {asked!r}: use letters, digits, '-', '_' and '.'")
        return asked
    named = [node for node in (document.get("name") for document in documents) if node]
    if named:
        value = interpolate_tree(named[-1], source.environment.get, lambda _name, _mark: None)
        if not isinstance(value, Scalar):
            raise fail(value.mark, "name", f"must be text, not {kind_of(value)}")
        name = _normalised(value.text)
        if not name:
            raise fail(value.mark, "name", f"{value.text!r} holds no letter or digit")
        return name
    folder = re.split(r"[/\\]", source.folder.rstrip("/\\"))[-1]
    name = _normalised(folder)
    if not name:
        raise UsageError(f"the folder {source.folder!r} gives no stack name: name the stack")
    return name


def _normalised(text: str) -> str:
    """A name in the letters Compose allows: lower case, digits, '-' and '_'."""
    return re.sub(r"[^a-z0-9_-]", "", text.lower()).lstrip("_-")


def _project(root: Mapping, name: str, around: Surroundings) -> Compose:
    reader = Reader(root, "")
    if reader.has("version"):
        around.notice(Notice(reader.mark("version"), "version: is no longer needed and ignored"))
    below = reader.below("services")
    if below.node is None or not below.node.entries:
        raise fail(root.mark, "", "the file has no services")
    for key, entry in below.node.entries.items():
        if not _NAME.fullmatch(key):
            problem = "a service's name is made of letters, digits, '-', '_' and '.'"
            raise fail(entry.key_mark, f"services.{key}", problem)
        if isinstance(entry.value, Scalar) and entry.value.value is None:
            raise fail(entry.key_mark, f"services.{key}", "is empty: it needs at least an image")
    services = tuple(read_service(key, item, around) for key, item in below.children())
    declared = {key: _network(key, item) for key, item in reader.below("networks").children()}
    declared.setdefault(DEFAULT_NETWORK, Network(key=DEFAULT_NETWORK))
    volumes = {key: _volume(key, item) for key, item in reader.below("volumes").children()}
    _check_references(below, services, declared, volumes)
    used = {joined.name for service in services for joined in service.networks}
    networks = {key: network for key, network in declared.items() if key in used}
    return Compose(name=name, services=services, networks=networks, volumes=volumes)


def _check_references(
    below: Reader,
    services: tuple[Service, ...],
    networks: dict[str, Network],
    volumes: dict[str, Volume],
) -> None:
    for service in services:
        reader = below.below(service.name)
        for joined in service.networks:
            if joined.name not in networks:
                problem = f"undefined network '{joined.name}': declare it under networks:"
                raise reader.below("networks").fail(joined.name, problem)
        for (mark, item), mount in zip(reader.maps("volumes"), service.mounts, strict=True):
            if mount.type == "volume" and mount.source and mount.source not in volumes:
                problem = f"undefined volume '{mount.source}': declare it under volumes:"
                raise fail(mark, item.path, problem)


def _network(key: str, reader: Reader) -> Network:
    external, name = _external(reader)
    ipam = reader.below("ipam")
    return Network(
        key=key,
        name=name,
        external=external,
        driver=reader.string("driver"),
        driver_opts=reader.string_map("driver_opts"),
        attachable=bool(reader.boolean("attachable")),
        internal=bool(reader.boolean("internal")),
        labels=reader.string_map("labels") or {},
        ipam_driver=ipam.string("driver"),
        ipam_config=tuple(
            IpamConfig(
                subnet=item.string("subnet"),
                gateway=item.string("gateway"),
                ip_range=item.string("ip_range"),
            )
            for _, item in ipam.maps("config")
        ),
    )


def _volume(key: str, reader: Reader) -> Volume:
    external, name = _external(reader)
    return Volume(
        key=key,
        name=name,
        external=external,
        driver=reader.string("driver"),
        driver_opts=reader.string_map("driver_opts"),
        labels=reader.string_map("labels") or {},
    )


def _external(reader: Reader) -> tuple[bool, str]:
    """Whether the object is made elsewhere, and its full name when the file gives one."""
    value = reader.get("external")
    if isinstance(value, Mapping):  # the old spelling: external: {name: …}
        external, name = True, Reader(value, f"{reader.path}.external").string("name")
    else:
        external, name = bool(reader.boolean("external")), ""
    if external:
        for other in ("driver", "driver_opts", "labels", "ipam", "internal", "attachable"):
            if reader.has(other):
                raise reader.fail(other, "an external object is only looked up: leave this out")
    return external, reader.string("name") or name
