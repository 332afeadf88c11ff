"""Merging of compose files by the rules of the Compose Specification.

Works on canonical trees.  Maps merge key by key, lists are appended, scalars replaced; the key
table names the exceptions.  An empty later value keeps the earlier one, except as the value of an
environment variable.  ``!reset`` takes a key away, ``!override`` replaces without merging.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Sequence as AbstractSequence

from stack.compose.key import Form, Key, Merge, Unique
from stack.compose.keys import ROOT
from stack.compose.tree import (
    OVERRIDE,
    RESET,
    Entry,
    Mapping,
    Node,
    Scalar,
    Sequence,
    fail,
    is_null,
    kind_of,
    text_at,
)


def merge_files(files: AbstractSequence[Mapping]) -> Mapping:
    """Merge canonical trees, later ones over earlier ones.

    Raises:
        ComposeError: a map meets a list or a scalar.
    """
    merged: Node = Mapping({}, files[0].mark)
    for file in files:
        merged = finish(merge_values(merged, file, ROOT, ""), ROOT)
    assert isinstance(merged, Mapping)
    return merged


def merge_values(base: Node, override: Node, key: Key, path: str) -> Node:
    """Merge a later value over an earlier one; marks of ``!reset`` stay in the result.

    Raises:
        ComposeError: a map meets a list or a scalar.
    """
    if base.tag == RESET or override.tag in (RESET, OVERRIDE) or key.merge is Merge.REPLACE:
        return override
    if is_null(override):
        return base
    if is_null(base):
        return override
    match base, override:
        case Mapping(), Mapping():
            if key.merge is Merge.LOGGING and _drivers_differ(base, override):
                return override
            return _merge_maps(base, override, key, path)
        case Sequence(), Sequence():
            if key.merge is Merge.SUBNET:
                return _merge_subnets(base, override, key, path)
            return Sequence(base.items + override.items, base.mark, base.tag)
        case Scalar(), Scalar():
            return override
        case _ if key.merge is Merge.ULIMIT:
            return override
        case _:
            kinds = f"{kind_of(base)} in {base.mark} and {kind_of(override)} here"
            raise fail(override.mark, path, f"cannot be merged: it is {kinds}")


def _merge_maps(base: Mapping, override: Mapping, key: Key, path: str) -> Mapping:
    entries = dict(base.entries)
    for name, entry in override.entries.items():
        earlier = entries.get(name)
        if earlier is None or (key.form is Form.KEY_VALUES and is_null(entry.value)):
            entries[name] = entry
        else:
            below = f"{path}.{name}" if path else name
            value = merge_values(earlier.value, entry.value, key.child(name), below)
            mark = earlier.key_mark if value is earlier.value else entry.key_mark
            entries[name] = Entry(mark, value)
    return Mapping(entries, override.mark, base.tag)


def _drivers_differ(base: Mapping, override: Mapping) -> bool:
    drivers = (text_at(base, "driver"), text_at(override, "driver"))
    return all(drivers) and drivers[0] != drivers[1]


def _merge_subnets(base: Sequence, override: Sequence, key: Key, path: str) -> Sequence:
    assert key.items is not None
    items = list(base.items)
    for item in override.items:
        subnet = text_at(item, "subnet")
        same = [i for i, earlier in enumerate(items) if text_at(earlier, "subnet") == subnet]
        if same:
            items[same[0]] = merge_values(items[same[0]], item, key.items, f"{path}[{same[0]}]")
        else:
            items.append(item)
    return Sequence(tuple(items), base.mark, base.tag)


def without_empty(node: Node, base: Node | None, key: Key) -> Node:
    """A later file without the empty values that keep what an earlier file says."""
    if not isinstance(node, Mapping) or not isinstance(base, Mapping):
        return node
    entries: dict[str, Entry] = {}
    for name, entry in node.entries.items():
        below, row = base.get(name), key.child(name)
        keeps = row.merge is Merge.REPLACE or key.form is Form.KEY_VALUES
        if is_null(entry.value) and not entry.value.tag and not is_null(below) and not keeps:
            continue
        entries[name] = Entry(entry.key_mark, without_empty(entry.value, below, row))
    return Mapping(entries, node.mark, node.tag)


def finish(node: Node, key: Key) -> Node:
    """Take away what is left of !reset, and double entries of lists that have none."""
    match node:
        case Mapping():
            if key.children is None and key.each is None and not _has_reset(node):
                return node
            entries = {
                name: Entry(entry.key_mark, finish(entry.value, key.child(name)))
                for name, entry in node.entries.items()
                if entry.value.tag != RESET
            }
            return Mapping(entries, node.mark)
        case Sequence():
            return _finish_list(node, key)
        case Scalar():
            return Scalar(node.value, node.mark) if node.tag == OVERRIDE else node


def _has_reset(node: Mapping) -> bool:
    return any(entry.value.tag == RESET for entry in node.entries.values())


def _finish_list(node: Sequence, key: Key) -> Sequence:
    items = node.items
    if key.items is not None and key.items.children is not None:
        row = key.items
        items = tuple(finish(item, row) for item in items)
    identity = _IDENTITIES.get(key.unique)
    if identity is not None:
        last: dict[object, Node] = {}
        for position, item in enumerate(items):
            name = identity(item)
            if name is not None and name in last and key.unique is Unique.PATH:
                continue
            last[position if name is None else name] = item  # later wins, at the first's place
        items = tuple(last.values())
    elif key.distinct:
        _check_distinct(items)
    return Sequence(items, node.mark)


def _check_distinct(items: Iterable[Node]) -> None:
    seen: dict[str, Node] = {}
    for item in items:
        if isinstance(item, Scalar):
            first = seen.setdefault(repr(item.value), item)
            if first is not item:
                problem = f"{item.text!r} is there already, in {first.mark}: leave one out"
                raise fail(item.mark, "", problem)


def _name(item: Node) -> object:
    return ("name", item.text.partition("=")[0]) if isinstance(item, Scalar) else None


def _whole_text(item: Node) -> object:
    return ("text", item.text) if isinstance(item, Scalar) else None


def _port(item: Node) -> object:
    if not isinstance(item, Mapping):
        return None
    address, target, protocol = (text_at(item, name) for name in ("host_ip", "target", "protocol"))
    given = item.get("published")
    published = (
        given.value if isinstance(given, Scalar) else ""
    )  # docker-compose tells 80 from "80"
    return (address or "0.0.0.0", published, target, protocol or "tcp")  # noqa: S104 (a name)


def _target(item: Node) -> object:
    if not isinstance(item, Mapping):
        return None
    target = text_at(item, "target")
    source = text_at(item, "source")
    return ("target", target or f"/{source}") if target or source else None


def _secret(item: Node) -> object:
    if not isinstance(item, Mapping):
        return None
    return ("target", text_at(item, "target") or f"/run/secrets/{text_at(item, 'source')}")


def _path(item: Node) -> object:
    path = text_at(item, "path")
    return ("path", path) if path else None


_IDENTITIES: dict[Unique, Callable[[Node], object]] = {
    Unique.TEXT: _whole_text,
    Unique.NAME: _name,
    Unique.PORT: _port,
    Unique.TARGET: _target,
    Unique.SECRET: _secret,
    Unique.PATH: _path,
}
