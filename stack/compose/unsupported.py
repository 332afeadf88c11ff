"""Which keys of a file a stack does not apply, and which are no keys at all."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as AbstractMapping

from stack.compose.keys import ROOT, Key, Status
from stack.compose.notice import Notice
from stack.compose.spelling import near_name
from stack.compose.tree import Mapping, Mark, Node, Sequence, fail, is_null


def check_keys(root: Mapping) -> list[Notice]:
    """Compare all keys of a project with the table.

    Returns:
        A notice for each key that is not applied, in the order of the file.

    Raises:
        ComposeError: a key that the Compose Specification does not know, or one that cannot be
            left out without making another application.
    """
    return list(_check(root, ROOT, ""))


def _check(node: Node, key: Key, path: str) -> Iterator[Notice]:
    match node:
        case Mapping() if key.children is not None:
            for name, entry in node.entries.items():
                yield from _check_key(name, entry.key_mark, entry.value, key.children, path)
        case Mapping() if key.each is not None:
            for name, entry in node.entries.items():
                yield from _check(entry.value, key.each, f"{path}.{name}")
        case Sequence() if key.items is not None:
            for index, item in enumerate(node.items):
                yield from _check(item, key.items, f"{path}[{index}]")
        case _:
            return


def _check_key(
    name: str, mark: Mark, value: Node, known: AbstractMapping[str, Key], path: str
) -> Iterator[Notice]:
    below = f"{path}.{name}" if path else name
    if name.startswith("x-"):
        return
    row = known.get(name)
    if row is None:
        raise fail(mark, path, _unknown(name, list(known)))
    match row.status:
        case Status.REJECTED if not is_null(value):
            raise fail(mark, below, f"not supported: {row.note}")
        case Status.IGNORED if not is_null(value):
            note = f": {row.note}" if row.note else ""
            yield Notice(mark, f"{below}: not applied{note}")
        case Status.STORED if not is_null(value):
            yield Notice(mark, f"{below}: stored in the service, but stackd does not act on it yet")
            yield from _check(value, row, below)
        case Status.APPLIED:
            yield from _check(value, row, below)
        case _:
            return


def _unknown(name: str, known: list[str]) -> str:
    near = near_name(name, known)
    hint = f" (did you mean '{near}'?)" if near else ""
    return f"unknown key '{name}'{hint}"
