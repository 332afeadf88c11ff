"""Relative paths of a project made absolute, and ``~`` made the user's home.

Works on text alone: whether a file exists is not asked here.
"""

from __future__ import annotations

import posixpath
import re

from stack.compose.record import Record
from stack.compose.tree import Mapping, Node, Scalar, Sequence, map_values, text_at, with_values

_REMOTE = re.compile(
    r"(?:https?|git|ssh|git\+ssh|oci|docker-image|target|service)(?:://|:)|git@|github\.com/"
)
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")


class Folder(Record):
    """Where relative paths start, and what ``~`` stands for."""

    path: str
    home: str

    def absolute(self, path: str) -> str:
        """A path of the project as an absolute one."""
        if path.startswith("~"):
            return posixpath.normpath(posixpath.join(self.home, path[1:].lstrip("/")))
        if path.startswith("/"):
            return path
        return posixpath.normpath(posixpath.join(self.path, path))

    def local(self, path: str) -> str:
        """The same, but addresses and Windows paths are left alone."""
        if not path or _REMOTE.match(path) or _WINDOWS.match(path):
            return path
        return self.absolute(path)


def resolve_paths(root: Mapping, folder: Folder) -> Mapping:
    """Make the paths of a whole project absolute."""
    return map_values(root, lambda name, section: _section(name, section, folder))


def _section(name: str, section: Node, folder: Folder) -> Node:
    if not isinstance(section, Mapping):
        return section
    match name:
        case "services":
            return map_values(section, lambda _, service: resolve_service_paths(service, folder))
        case "configs" | "secrets":
            return map_values(section, lambda _, entry: _set(entry, "file", folder))
        case "volumes":
            return map_values(section, lambda _, volume: _volume(volume, folder))
        case _:
            return section


def resolve_service_paths(service: Node, folder: Folder) -> Node:
    """Make the paths of one service absolute."""
    if not isinstance(service, Mapping):
        return service
    changes: dict[str, object] = {}
    build = service.get("build")
    if isinstance(build, Mapping):
        changes["build"] = _build(build, folder)
    for key, change in (
        ("env_file", lambda item: _set(item, "path", folder)),
        ("label_file", lambda item: _text(item, folder)),
        ("volumes", lambda item: _mount(item, folder)),
    ):
        value = service.get(key)
        if isinstance(value, Sequence):
            changes[key] = Sequence(tuple(map(change, value.items)), value.mark, value.tag)
    develop = service.get("develop")
    watch = develop.get("watch") if isinstance(develop, Mapping) else None
    if isinstance(develop, Mapping) and isinstance(watch, Sequence):
        items = tuple(_set(item, "path", folder) for item in watch.items)
        changes["develop"] = with_values(develop, {"watch": Sequence(items, watch.mark)})
    return with_values(service, changes) if changes else service


def _build(build: Mapping, folder: Folder) -> Mapping:
    changes: dict[str, object] = {}
    context = text_at(build, "context")
    if context and not _REMOTE.match(context):
        changes["context"] = folder.local(context)
    contexts = build.get("additional_contexts")
    if isinstance(contexts, Mapping):
        changes["additional_contexts"] = map_values(contexts, lambda _, item: _text(item, folder))
    return with_values(build, changes)


def _mount(mount: Node, folder: Folder) -> Node:
    if not isinstance(mount, Mapping) or text_at(mount, "type") != "bind":
        return mount
    return _set(mount, "source", folder)


def _volume(volume: Node, folder: Folder) -> Node:
    options = volume.get("driver_opts") if isinstance(volume, Mapping) else None
    if not isinstance(volume, Mapping) or not isinstance(options, Mapping):
        return volume
    is_bind = text_at(volume, "driver") == "local" and text_at(options, "o") == "bind"
    if not is_bind or not text_at(options, "device"):
        return volume
    return with_values(volume, {"driver_opts": _set(options, "device", folder)})


def _set(node: Node, key: str, folder: Folder) -> Node:
    value = node.get(key) if isinstance(node, Mapping) else None
    if not isinstance(node, Mapping) or not isinstance(value, Scalar):
        return node
    if value.value == "":
        return with_values(node, {key: folder.path})
    return with_values(node, {key: _text(value, folder)})


def _text(node: Node, folder: Folder) -> Node:
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        return node
    return Scalar(folder.local(node.value), node.mark, node.tag)
