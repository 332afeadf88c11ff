"""Values that hold when a file does not give them, written into the tree."""

from __future__ import annotations

import re
from collections.abc import Callable

from stack.compose.tree import (
    Mapping,
    Node,
    Sequence,
    is_null,
    map_values,
    text_at,
    with_values,
)


def set_defaults(root: Mapping) -> Mapping:
    """Write the defaults that do not depend on anything else into a project."""
    services = root.get("services")
    if not isinstance(services, Mapping):
        return root
    return with_values(root, {"services": map_values(services, lambda _, node: _service(node))})


def _service(service: Node) -> Node:
    if not isinstance(service, Mapping):
        return service
    changes: dict[str, object] = {}
    for key, default in (
        ("ports", _port),
        ("secrets", _secret),
        ("gpus", _request),
    ):
        value = service.get(key)
        if isinstance(value, Sequence):
            changes[key] = _each(value, default)
    devices = _at(service, "deploy", "resources", "reservations", "devices")
    if isinstance(devices, Sequence):
        changes["deploy"] = _set(
            service.get("deploy"),
            ("resources", "reservations", "devices"),
            _each(devices, _request),
        )
    return with_values(service, changes) if changes else service


def _at(node: Node | None, *keys: str) -> Node | None:
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def _set(node: Node | None, keys: tuple[str, ...], value: Node) -> Mapping:
    assert isinstance(node, Mapping)
    if len(keys) > 1:
        value = _set(node.get(keys[0]), keys[1:], value)
    return with_values(node, {keys[0]: value})


def _each(node: Sequence, default: Callable[[Mapping], Mapping]) -> Sequence:
    items = (default(item) if isinstance(item, Mapping) else item for item in node.items)
    return Sequence(tuple(items), node.mark, node.tag)


def _missing(node: Mapping, **values: object) -> Mapping:
    missing = {name: value for name, value in values.items() if is_null(node.get(name))}
    return with_values(node, missing) if missing else node


def _port(port: Mapping) -> Mapping:
    return _missing(port, mode="ingress", protocol="tcp")


def _secret(secret: Mapping) -> Mapping:
    return _missing(secret, target=f"/run/secrets/{text_at(secret, 'source')}")


def _request(request: Mapping) -> Mapping:
    count = request.get("count")
    if text_at(request, "count") == "all":
        return with_values(request, {"count": -1})
    if re.fullmatch(r"-?[0-9]{1,9}", text_at(request, "count")):
        return with_values(request, {"count": int(text_at(request, "count"))})
    if is_null(count) and is_null(request.get("device_ids")):
        return with_values(request, {"count": -1})
    return request
