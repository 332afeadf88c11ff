"""Variables of services: ``environment`` without values, ``env_file``, ``label_file``."""

from __future__ import annotations

from collections.abc import Callable

from stack.compose.env_file import read_env_text, read_raw_env_text
from stack.compose.interpolation import Lookup
from stack.compose.tree import (
    Entry,
    Mapping,
    Node,
    Scalar,
    fail,
    is_null,
    items_at,
    map_at,
    map_values,
    text_at,
    with_values,
    without,
)

ReadFile = Callable[[str], bytes | None]
"""A file's content; None when there is no such file."""


def take_from_environment(root: Mapping, lookup: Lookup) -> Mapping:
    """Give names without a value in ``environment`` and ``build.args`` their value."""
    services = map_at(root, "services")
    if services is None:
        return root

    def service(_: str, node: Node) -> Node:
        environment = map_at(node, "environment")
        if isinstance(node, Mapping) and environment is not None:
            node = with_values(node, {"environment": _looked_up(environment, lookup)})
        build = map_at(node, "build")
        arguments = map_at(build, "args")
        if isinstance(node, Mapping) and build is not None and arguments is not None:
            found = _looked_up(arguments, lookup)
            known = {k: entry for k, entry in found.entries.items() if not is_null(entry.value)}
            args = Mapping(known, found.mark)
            node = with_values(node, {"build": with_values(build, {"args": args})})
        return node

    return with_values(root, {"services": map_values(services, service)})


def _looked_up(names: Mapping, lookup: Lookup) -> Mapping:
    def value(name: str, node: Node) -> Node:
        found = lookup(name) if is_null(node) else None
        return node if found is None else Scalar(found, node.mark)

    return map_values(names, value)


def read_env_files(service: Mapping, path: str, lookup: Lookup, read: ReadFile) -> Mapping:
    """Put the variables of a service's ``env_file`` into its ``environment``.

    Raises:
        ComposeError: a required file is missing, or a file is malformed.
    """
    entries: dict[str, Entry] = {}
    given = map_at(service, "environment")
    own = given.entries if given is not None else {}

    def around(name: str) -> str | None:
        value = lookup(name)
        entry = own.get(name)
        return value if entry is None or value is not None else _given(entry.value)

    def before(name: str) -> str | None:
        entry = entries.get(name)
        return _given(entry.value) if entry else None

    for item in items_at(service, "env_file"):
        file = text_at(item, "path")
        content = read(file)
        if content is None:
            if text_at(item, "required") == "false":
                continue
            raise fail(item.mark, f"{path}.env_file", f"there is no file {file}")
        text = _decoded(content, file, item)
        match text_at(item, "format"):
            case "":
                found = read_env_text(text, file, around, before)
            case "raw":
                found = read_raw_env_text(text, file, lookup)
            case other:
                problem = f"{other!r} is no format: leave it out or write raw"
                raise fail(item.mark, f"{path}.env_file", problem)
        for name, value in found.items():
            entries[name] = Entry(item.mark, Scalar(value, item.mark))
    service = without(service, "env_file")
    if not entries:
        return service
    mark = given.mark if given is not None else service.mark
    return with_values(service, {"environment": Mapping({**entries, **own}, mark)})


def _given(node: Node) -> str | None:
    return node.text if isinstance(node, Scalar) and node.value is not None else None


def read_label_files(service: Mapping, path: str, lookup: Lookup, read: ReadFile) -> Mapping:
    """Put the labels of a service's ``label_file`` into its ``labels``.

    Raises:
        ComposeError: a file is missing or malformed.
    """
    entries: dict[str, Entry] = {}
    for item in items_at(service, "label_file"):
        file = item.text if isinstance(item, Scalar) else ""
        content = read(file)
        if content is None:
            raise fail(item.mark, f"{path}.label_file", f"there is no file {file}")
        for name, value in read_env_text(_decoded(content, file, item), file, lookup).items():
            entries[name] = Entry(item.mark, Scalar(value, item.mark))
    if "label_file" not in service.entries:
        return service
    service = without(service, "label_file")
    given = map_at(service, "labels")
    merged = {**entries, **(given.entries if given is not None else {})}
    return with_values(service, {"labels": Mapping(merged, service.mark)}) if merged else service


def _decoded(content: bytes, file: str, item: Node) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise fail(item.mark, "", f"{file} is no text in UTF-8") from None
