"""Short spellings written out: ``- K=V`` lists, ``8080:80`` ports, ``data:/var/lib`` volumes.

Works on trees that were checked, before files are merged, so that merging and reading know one
form only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from stack.compose.command_line import split_words
from stack.compose.key import Form, Key, Value
from stack.compose.keys import ROOT
from stack.compose.short_texts import Fields, clean, device_entries, port_entries, volume_entries
from stack.compose.tree import (
    RESET,
    Entry,
    Mapping,
    Node,
    Scalar,
    Sequence,
    fail,
    is_null,
    placed,
    text_at,
    with_values,
)

_MOST_ITEMS = 2**16
_Writer = Callable[[str], Iterable[Fields]]


def write_out(root: Mapping) -> Mapping:
    """Give the tree with every short form replaced by its long one.

    Raises:
        ComposeError: a short form that cannot be understood.
    """
    written = write_out_value(root, ROOT, "")
    assert isinstance(written, Mapping)
    return written


def write_out_value(node: Node, key: Key, path: str) -> Node:
    """Write out a part of a project."""
    if node.tag == RESET:
        return node
    write = _FORMS.get(key.form)
    if write is not None:
        node = write(node, path)
    if key.children is None and key.each is None and key.items is None:
        return node
    match node:
        case Mapping():
            entries = {
                name: Entry(
                    entry.key_mark,
                    write_out_value(
                        entry.value, key.child(name), f"{path}.{name}" if path else name
                    ),
                )
                for name, entry in node.entries.items()
            }
            node = Mapping(entries, node.mark, node.tag)
            return _named_outside(node, path) if "external" in entries else node
        case Sequence() if key.items is not None and key.value is Value.LIST:
            row = key.items
            items = (
                write_out_value(item, row, f"{path}[{index}]")
                for index, item in enumerate(node.items)
            )
            return Sequence(tuple(items), node.mark, node.tag)
        case _:
            return node


def _key_values(node: Node, path: str) -> Node:
    if not isinstance(node, Sequence):
        return node
    entries: dict[str, Entry] = {}
    for item in node.items:
        if not isinstance(item, Scalar) or item.value is None:
            raise fail(item.mark, path, "must be a list of KEY=value")
        name, sign, value = item.text.partition("=")
        entries[name] = Entry(item.mark, Scalar(value if sign else None, item.mark))
    return Mapping(entries, node.mark, node.tag)


def _names(node: Node, path: str) -> Node:
    return _named(node, path, {})


def _dependencies(node: Node, path: str) -> Node:
    if isinstance(node, Mapping):
        entries = {
            name: Entry(
                entry.key_mark,
                with_values(entry.value, {"required": True})
                if isinstance(entry.value, Mapping) and "required" not in entry.value.entries
                else entry.value,
            )
            for name, entry in node.entries.items()
        }
        return Mapping(entries, node.mark, node.tag)
    return _named(node, path, {"condition": "service_started", "required": True})


def _named(node: Node, path: str, value: Fields) -> Node:
    if not isinstance(node, Sequence):
        return node
    entries: dict[str, Entry] = {}
    for item in node.items:
        if not isinstance(item, Scalar) or not isinstance(item.value, str):
            raise fail(item.mark, path, "must be a list of names")
        entries[item.value] = Entry(item.mark, placed(dict(value) or None, item.mark))
    return Mapping(entries, node.mark, node.tag)


def _one_or_list(node: Node, path: str) -> Node:  # noqa: ARG001 (all forms have one signature)
    if isinstance(node, Scalar) and node.value is not None:
        return Sequence((node,), node.mark, node.tag)
    return node


def _addresses(node: Node, path: str) -> Node:
    listed = _one_or_list(node, path)
    if not isinstance(listed, Sequence):
        return listed
    kept = (item for item in listed.items if not (isinstance(item, Scalar) and item.value == ""))
    return Sequence(tuple(kept), listed.mark, listed.tag)


def _one_as(name: str) -> Callable[[Node, str], Node]:
    def write(node: Node, path: str) -> Node:  # noqa: ARG001
        if isinstance(node, Scalar) and node.value is not None:
            return Mapping({name: Entry(node.mark, node)}, node.mark, node.tag)
        return node

    return write


def _each(write: _Writer) -> Callable[[Node, str], Node]:
    def write_all(node: Node, path: str) -> Node:
        if not isinstance(node, Sequence):
            return node
        items: list[Node] = []
        for item in node.items:
            if isinstance(item, Scalar) and item.value is not None:
                try:
                    items.extend(placed(fields, item.mark) for fields in write(item.text))
                except ValueError as error:
                    if "${" in item.text:
                        items.append(item)  # its variables are not to be filled in
                        continue
                    raise fail(item.mark, path, str(error)) from None
            else:
                items.append(item)
            if len(items) > _MOST_ITEMS:
                raise fail(item.mark, path, f"more than {_MOST_ITEMS} entries, ranges written out")
        return Sequence(tuple(items), node.mark, node.tag)

    return write_all


def _env_files(node: Node, path: str) -> Node:
    listed = _one_or_list(node, path)
    written = _each(lambda text: ({"path": text, "required": True},))(listed, path)
    if not isinstance(written, Sequence):
        return written
    items = (
        with_values(item, {"required": True})
        if isinstance(item, Mapping) and "required" not in item.entries
        else item
        for item in written.items
    )
    return Sequence(tuple(items), node.mark, node.tag)


def _mounts(node: Node, path: str) -> Node:
    written = _each(volume_entries)(node, path)
    if not isinstance(written, Sequence):
        return written
    items = (
        with_values(item, {"target": clean(target)})
        if isinstance(item, Mapping) and (target := text_at(item, "target")) != clean(target)
        else item
        for item in written.items
    )
    return Sequence(tuple(items), written.mark, written.tag)


def _test(node: Node, path: str) -> Node:  # noqa: ARG001
    if isinstance(node, Scalar) and node.value is not None:
        return placed(["CMD-SHELL", node.text], node.mark)
    return node


def _gpus(node: Node, path: str) -> Node:  # noqa: ARG001
    if isinstance(node, Scalar):
        return Sequence((placed({"count": -1}, node.mark),), node.mark, node.tag)
    return node


def _hosts(node: Node, path: str) -> Node:
    pairs: list[tuple[str, str, Node]] = []
    if isinstance(node, Mapping):
        for name, entry in node.entries.items():
            value = entry.value
            addresses = value.items if isinstance(value, Sequence) else (value,)
            pairs += [(name, one.text, one) for one in addresses if isinstance(one, Scalar)]
    elif isinstance(node, Sequence):
        for item in node.items:
            text = item.text if isinstance(item, Scalar) else ""
            name, sign, address = text.partition("=")
            if not sign:
                name, sign, address = text.partition(":")
            if not (name and sign):
                raise fail(item.mark, path, f"{text!r} is no host: write name:address")
            pairs += [(name, one, item) for one in address.split(",")]
    else:
        return node
    texts = {}
    for name, address, item in pairs:
        if address.startswith("[") and address.endswith("]"):
            address = address[1:-1]  # noqa: PLW2901
        texts[f"{name}={address}"] = Scalar(f"{name}={address}", item.mark)
    return Sequence(tuple(texts.values()), node.mark, node.tag)


def _named_outside(node: Mapping, path: str) -> Mapping:
    """``external: {name: X}``, the old spelling, as ``external: true`` and ``name: X``."""
    external = node.get("external")
    if not isinstance(external, Mapping):
        return node
    name = external.get("name")
    if is_null(name):
        return with_values(node, {"external": True})
    if text_at(node, "name") not in ("", text_at(external, "name")):
        raise fail(
            external.mark, f"{path}.external.name", "there is 'name' already: leave this out"
        )
    return with_values(node, {"external": True, "name": name})


_FORMS: dict[Form, Callable[[Node, str], Node]] = {
    Form.ONE_OR_LIST: _one_or_list,
    Form.ADDRESSES: _addresses,
    Form.KEY_VALUES: _key_values,
    Form.NAMES: _names,
    Form.DEPENDENCIES: _dependencies,
    Form.PORTS: _each(port_entries),
    Form.VOLUMES: _mounts,
    Form.TEST: _test,
    Form.BUILD: _one_as("context"),
    Form.EXTENDS: _one_as("service"),
    Form.ENV_FILES: _env_files,
    Form.FILE_REFERENCES: _each(lambda text: ({"source": text},)),
    Form.DEVICES: _each(device_entries),
    Form.GPUS: _gpus,
    Form.HOSTS: _hosts,
    Form.INCLUDES: _each(lambda text: ({"path": text},)),
}


def words(node: Node, path: str) -> tuple[str, ...]:
    """A command's words: its list, or its text split.

    Raises:
        ComposeError: a quote that is never closed.
    """
    if isinstance(node, Sequence):
        return tuple(item.text for item in node.items if isinstance(item, Scalar))
    if not isinstance(node, Scalar):
        return ()
    try:
        return split_words(node.text)
    except ValueError as error:
        raise fail(node.mark, path, str(error)) from None
