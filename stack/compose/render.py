"""The canonical form of a project as plain values: what ``docker compose config`` shows."""

from __future__ import annotations

import math
from collections.abc import Mapping as AbstractMapping
from typing import Any

from stack.compose.key import Form, Key, Value
from stack.compose.keys import ROOT
from stack.compose.quantities import duration_ns, duration_text, size_bytes
from stack.compose.short_forms import words
from stack.compose.tree import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    fail,
    go_text,
    is_null,
    items_at,
    map_at,
    text_at,
    to_plain,
)

Plain = Any

_SECTIONS = ("name", "services", "networks", "volumes", "secrets", "configs")


def render(root: Mapping, *, extensions: bool) -> dict[str, Plain]:
    """Print a resolved project.

    Args:
        root: its tree.
        extensions: whether keys with ``x-`` are shown everywhere, or only at the top.

    Raises:
        ComposeError: a value that has no canonical form, such as a duration without a unit.
    """
    root = only_used(root)
    shown: dict[str, Plain] = {}
    printer = _Printer(extensions=extensions)
    for name in _SECTIONS:
        node = root.get(name)
        if node is None:
            continue
        value = printer.value(node, ROOT.child(name), name)
        if name == "services" or (value and value is not _NOTHING):
            shown[name] = {} if value is _NOTHING else value
    shown.setdefault("services", {})
    for service in shown["services"].values():
        _list_pairs(service)
    if not extensions:
        _fill(shown)
    for name, entry in root.entries.items():
        if name.startswith("x-"):
            shown[name] = to_plain(entry.value)
    return shown


def _list_pairs(service: dict[str, Plain]) -> None:
    """Show as lists what docker-compose always shows so."""
    keys = service.get("build", {}).get("ssh")
    if keys:
        service["build"]["ssh"] = [f"{k}={v}" if v else k for k, v in keys.items()]
    options = service.get("provider", {}).get("options", {})
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        options[name] = [one if isinstance(one, str) else go_text(one) for one in values]


def service_hashes(shown: dict[str, Plain]) -> dict[str, str]:
    """A text for each service that changes when what runs changes.

    How many run, and how images are built or pulled, is no part of it.
    """
    import hashlib  # few commands need it, and it takes long to import
    import json

    hashes: dict[str, str] = {}
    for name, service in shown["services"].items():
        kept = {key: value for key, value in service.items() if key not in _NOT_RUNNING}
        if "deploy" in kept:
            kept["deploy"] = {k: v for k, v in kept["deploy"].items() if k != "replicas"}
        text = json.dumps(kept, sort_keys=True)
        hashes[name] = hashlib.sha256(text.encode()).hexdigest()
    return hashes


_NOT_RUNNING = ("build", "depends_on", "develop", "profiles", "pull_policy", "scale")


def _fill(shown: dict[str, Plain]) -> None:
    """Add what JSON output always has."""
    for service in shown.get("services", {}).values():
        for name in ("command", "entrypoint"):
            service.setdefault(name, None)
        for rule in service.get("develop", {}).get("watch", ()):
            rule.setdefault("exec", {"command": None})
        if "deploy" in service:
            service["deploy"] = {"resources": {}, "placement": {}, **service["deploy"]}
    for network in shown.get("networks", {}).values():
        network.setdefault("ipam", {})


def escaped(value: Plain) -> Plain:
    """The same with dollar signs of values doubled, so that none begins a variable when read again.

    Names are left alone, because variables in names are not filled in.
    """
    match value:
        case str():
            return value.replace("$", "$$")
        case dict():
            return {name: escaped(item) for name, item in value.items()}
        case list():
            return [escaped(item) for item in value]
        case _:
            return value


def only_used(root: Mapping) -> Mapping:
    """Leave out networks, volumes, configs and secrets that no service uses."""
    used: dict[str, set[str]] = {"networks": set(), "volumes": set(), "secrets": set()}
    used["configs"] = set()
    services = map_at(root, "services")
    for entry in services.entries.values() if services is not None else ():
        service = entry.value
        networks = map_at(service, "networks")
        used["networks"].update(networks.entries if networks is not None else ())
        for mount in items_at(service, "volumes"):
            if text_at(mount, "type") == "volume":
                used["volumes"].add(text_at(mount, "source"))
        for kind in ("secrets", "configs"):
            used[kind].update(text_at(item, "source") for item in items_at(service, kind))
        build = map_at(service, "build")
        used["secrets"].update(text_at(item, "source") for item in items_at(build, "secrets"))
    entries = dict(root.entries)
    for kind, names in used.items():
        section = map_at(root, kind)
        if section is not None:
            kept = {name: entry for name, entry in section.entries.items() if name in names}
            entries[kind] = type(entries[kind])(entries[kind].key_mark, Mapping(kept, section.mark))
    return Mapping(entries, root.mark)


class _Nothing:
    """A value that is not shown."""


_NOTHING = _Nothing()


class _Printer:
    def __init__(self, *, extensions: bool) -> None:
        self._extensions = extensions

    def value(self, node: Node, key: Key, path: str) -> Plain:
        """A value, or `_NOTHING` when it says nothing."""
        if is_null(node) and key.value is not Value.WORDS:
            return _NOTHING
        try:
            shown = self._shown(node, key, path)
        except ValueError as error:
            raise fail(node.mark, path, str(error)) from None
        if key.value is Value.DURATION and shown == "0s" and not key.keep:
            return _NOTHING
        keeps = key.keep and (shown is not None or key.value is Value.WORDS)
        return shown if shown or keeps else _NOTHING

    def _shown(self, node: Node, key: Key, path: str) -> Plain:
        match key.value, node:
            case Value.MAP, Mapping():
                return self._map(node, key, path)
            case Value.LIST, Sequence():
                assert key.items is not None
                row = key.items
                items = (
                    self.value(item, row, f"{path}[{index}]")
                    for index, item in enumerate(node.items)
                )
                return [item for item in items if item is not _NOTHING]
            case Value.WORDS, _:
                return list(words(node, path)) if not is_null(node) else None
            case Value.TEXTS, Sequence():
                texts = [_text(item) or "" for item in node.items]
                if key.form is Form.HOSTS:
                    texts.sort(key=lambda text: text.partition("=")[0])
                return texts
            case Value.TEXT_MAP | Value.OPTION_MAP, Mapping():
                empty = None if key.nullable and key.value is Value.TEXT_MAP else ""
                return {
                    name: empty if is_null(entry.value) else _text(entry.value)
                    for name, entry in sorted(node.entries.items())
                }
            case _, Scalar():
                return _scalar(node, key)
            case _:
                return to_plain(node)

    def _map(self, node: Mapping, key: Key, path: str) -> dict[str, Plain]:
        shown: dict[str, Plain] = {}
        for name, entry in node.entries.items():
            below = f"{path}.{name}"
            if name.startswith("x-") and (key.children is not None and name not in key.children):
                if self._extensions:
                    shown[name] = to_plain(entry.value)
                continue
            row = key.child(name)
            if name == "pull_refresh_after":
                continue  # Compose drops it
            if key.each is not None and key.children is None:
                value = self._each(entry.value, row, below)
            else:
                value = self.value(entry.value, row, below)
            if value is not _NOTHING:
                shown[name] = value
        return _sorted(shown)

    def _each(self, node: Node, row: Key, path: str) -> Plain:
        value = self.value(node, row, path)
        if value is not _NOTHING:
            return value
        if isinstance(node, Scalar) and node.value is not None:
            return node.value  # a false, 0 or "" that stands under a free name
        return "" if row.value is Value.TEXT else None if is_null(node) else {}


def _sorted(shown: AbstractMapping[str, Plain]) -> dict[str, Plain]:
    return dict(sorted(shown.items()))


def _text(node: Node) -> str | None:
    return node.text if isinstance(node, Scalar) and node.value is not None else None


def _scalar(node: Scalar, key: Key) -> Plain:
    if isinstance(node.value, float) and not math.isfinite(node.value):
        raise ValueError(f"{node.text} is no number here")
    match key.value:
        case Value.TEXT:
            return node.text
        case Value.BOOLEAN:
            return node.value
        case Value.INTEGER:
            return int(node.value) if isinstance(node.value, float) else node.value
        case Value.NUMBER:
            number = node.value
            return int(number) if isinstance(number, float) and number.is_integer() else number
        case Value.SIZE:
            return _size(node)
        case Value.DURATION:
            return duration_text(duration_ns(node.text))
        case Value.MODE:
            return f"0{node.value:o}" if isinstance(node.value, int) else node.text
        case _:
            return node.value


def _size(node: Scalar) -> str:
    if isinstance(node.value, float):
        return ""
    size = node.value if isinstance(node.value, int) else size_bytes(node.text)
    return str(size) if size else ""
