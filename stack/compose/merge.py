"""Merging of several compose files by the rules of the Compose Specification.

Maps merge key by key, lists are appended, scalars replaced; the key table names the exceptions.
An empty later value keeps the earlier one, except as the value of an environment variable.
``!reset`` takes a key away, ``!override`` replaces without merging.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as AbstractSequence

from stack.compose.keys import ROOT, Form, Key, Merge
from stack.compose.tree import Entry, Mapping, Node, Scalar, Sequence, fail, is_null, kind_of

RESET = "!reset"
OVERRIDE = "!override"


def merge_files(files: AbstractSequence[Mapping]) -> Mapping:
    """Merge trees, in short-form-free spelling, later ones over earlier ones.

    Raises:
        ComposeError: a map meets a list or a scalar.
    """
    merged: Node = Mapping({}, files[0].mark)
    for file in files:
        merged = _merge(merged, file, ROOT, "")
    merged = _finish(merged, ROOT)
    assert isinstance(merged, Mapping)
    return merged


def _merge(base: Node, override: Node, key: Key, path: str) -> Node:
    if is_null(override) and override.tag != OVERRIDE:
        return base
    if is_null(base) or override.tag == OVERRIDE or key.merge is Merge.REPLACE:
        return override
    match base, override:
        case Mapping(), Mapping():
            return _merge_maps(base, override, key, path)
        case Sequence(), Sequence():
            return Sequence(base.items + override.items, base.mark, base.tag)
        case Scalar(), Scalar():
            return override
        case _:
            kinds = f"{kind_of(base)} in {base.mark} and {kind_of(override)} here"
            raise fail(override.mark, path, f"cannot be merged: it is {kinds}")


def _merge_maps(base: Mapping, override: Mapping, key: Key, path: str) -> Mapping:
    entries = dict(base.entries)
    for name, entry in override.entries.items():
        earlier = entries.get(name)
        if entry.value.tag == RESET:
            entries.pop(name, None)
        elif earlier is None or (key.form is Form.KEY_VALUES and is_null(entry.value)):
            entries[name] = entry
        else:
            below = f"{path}.{name}" if path else name
            value = _merge(earlier.value, entry.value, key.child(name), below)
            mark = earlier.key_mark if value is earlier.value else entry.key_mark
            entries[name] = Entry(mark, value)
    return Mapping(entries, override.mark, base.tag)


def _finish(node: Node, key: Key) -> Node:
    """Take away what is left of !reset, and double entries of lists that have none."""
    match node:
        case Mapping():
            entries = {
                name: Entry(entry.key_mark, _finish(entry.value, key.child(name)))
                for name, entry in node.entries.items()
                if entry.value.tag != RESET
            }
            return Mapping(entries, node.mark, node.tag)
        case Sequence():
            identity = _IDENTITIES.get(key.merge)
            if identity is None:
                return node
            last: dict[object, Node] = {}
            for position, item in enumerate(node.items):
                last[identity(item) or position] = item  # later wins, at the first's position
            return Sequence(tuple(last.values()), node.mark, node.tag)
        case Scalar():
            return node


def _scalar_identity(item: Node) -> object:
    return ("text", item.text) if isinstance(item, Scalar) else None


def _port_identity(item: Node) -> object:
    if not isinstance(item, Mapping):
        return None
    names = ("host_ip", "published", "target", "protocol")
    texts = [_text_of(item, name) for name in names]
    return (*texts[:3], texts[3] or "tcp")


def _target_identity(item: Node) -> object:
    target = _text_of(item, "target") if isinstance(item, Mapping) else ""
    return ("target", target) if target else None


def _text_of(item: Mapping, name: str) -> str:
    value = item.get(name)
    return value.text if isinstance(value, Scalar) else ""


_IDENTITIES: dict[Merge, Callable[[Node], object]] = {
    Merge.UNIQUE: _scalar_identity,
    Merge.UNIQUE_PORT: _port_identity,
    Merge.UNIQUE_TARGET: _target_identity,
}
