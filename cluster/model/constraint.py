"""Placement constraints: ``node.labels.zone==a``, parsed and matched against a node.

The language is Docker Swarm's: a key, ``==`` or ``!=``, and a value that is compared without
regard to case.  A label that a node does not have acts as the empty value; a key that nobody
knows matches no node at all, whatever the operator.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

from cluster.errors import InvalidArgument
from cluster.model.node import Node
from cluster.model.spec_struct import Labels, ObjectStruct

_OPERATOR = re.compile(r"==|!=")
_KEY = re.compile(r"[a-z_][a-z0-9\-_.]+", re.IGNORECASE)
_VALUE = re.compile(r"[a-z0-9:\-_\s.*()?+\[\]\\^$|/]+", re.IGNORECASE)

NODE_LABELS = "node.labels."
ENGINE_LABELS = "engine.labels."


class Constraint(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """One condition on a node; `value` is what a user wrote, without the spaces around it."""

    key: str
    is_equal: bool
    value: str

    def matches(self, node: Node) -> bool:
        """Whether the node fulfils the condition."""
        if self.key.lower() == "node.ip":
            return self._matches_address(node.status.addr)
        found = _attribute(node, self.key)
        if found is None:
            return False
        return (found.lower() == self.value.lower()) is self.is_equal

    def _matches_address(self, addr: str) -> bool:
        try:
            network = ipaddress.ip_network(self.value, strict=False)
        except ValueError:
            return False
        try:
            is_inside = ipaddress.ip_address(addr) in network
        except ValueError:  # the node has not told its address
            is_inside = False
        return is_inside is self.is_equal


@lru_cache(maxsize=4096)  # schedulers read the same few texts again and again
def parse(text: str) -> Constraint:
    """Read one constraint.

    Raises:
        InvalidArgument: it has no operator, or its key or value has characters that neither may
            have.  The message begins as Docker Swarm's does and then names the text.
    """
    found = _OPERATOR.search(text)
    if found is None:
        raise InvalidArgument(
            f'constraint expected one operator from ==, !=: "{text}" has none; '
            "write it like node.labels.zone==a"
        )
    key, value = text[: found.start()].strip(), text[found.end() :].strip()
    if not _KEY.fullmatch(key):
        raise InvalidArgument(
            f'constraint key "{key}" of "{text}" is invalid: it must begin with a letter or "_", '
            'go on with letters, digits, "-", "_" or ".", and have two characters or more'
        )
    if not _VALUE.fullmatch(value):
        raise InvalidArgument(
            f'constraint value "{value}" of "{text}" is invalid: it must have at least one '
            r"character, from letters, digits, spaces and : - _ . * ( ) ? + [ ] \ ^ $ | /"
        )
    return Constraint(key=key, is_equal=found.group() == "==", value=value)


def parse_all(texts: Iterable[str]) -> tuple[Constraint, ...]:
    """Read several constraints.

    Raises:
        InvalidArgument: as `parse`, for the first one that is wrong.
    """
    return tuple(map(parse, texts))


def all_match(constraints: Iterable[Constraint], node: Node) -> bool:
    """Whether the node fulfils every constraint; without constraints every node does."""
    return all(constraint.matches(node) for constraint in constraints)


def node_fits(texts: Iterable[str], node: Node) -> bool:
    """Whether the node fulfils all constraints of an accepted spec.

    A text that cannot be parsed, which the API lets nobody store, matches no node.
    """
    try:
        return all_match(parse_all(texts), node)
    except InvalidArgument:
        return False


def attribute(node: Node, key: str) -> str:
    """Return the value of a node or engine label, empty when the node has no such label.

    Args:
        node: whose label.
        key: ``node.labels.X`` or ``engine.labels.X``, as in constraints and spread preferences.
    """
    return _attribute(node, key) or ""


def _attribute(node: Node, key: str) -> str | None:
    """Return what a key stands for on a node, None for a key that nobody knows."""
    name = key.lower()
    if name.startswith(NODE_LABELS):
        return _label(node.spec.labels, key[len(NODE_LABELS) :])
    description = node.description
    if name.startswith(ENGINE_LABELS):
        labels = description.engine.labels if description else None
        return _label(labels, key[len(ENGINE_LABELS) :])
    match name:
        case "node.id":
            return node.id
        case "node.hostname":
            return node.hostname
        case "node.role":
            return node.role
        case "node.platform.os":
            return description.platform.os if description else ""
        case "node.platform.arch":
            return description.platform.architecture if description else ""
        case _:
            return None


def _label(labels: Labels | None, name: str) -> str:
    return (labels or {}).get(name, "")
