"""What a project implies, written out: full names, the default network, start order."""

from __future__ import annotations

from stack.compose.tree import (
    Entry,
    Mapping,
    Node,
    Scalar,
    is_null,
    items_at,
    map_at,
    map_values,
    placed,
    text_at,
    with_values,
)

DEFAULT_NETWORK = "default"
NAMESPACES = ("network_mode", "ipc", "pid", "uts", "cgroup")
_OBJECTS = ("networks", "volumes", "configs", "secrets")


def normalise(root: Mapping, name: str, folder: str) -> Mapping:
    """Write out what holds for every project.

    Args:
        root: a canonical tree.
        name: the project's name, which full names begin with.
        folder: the project's, from which images are built.
    """
    services = map_at(root, "services")
    changes: dict[str, object] = {"name": name}
    if services is not None:
        services = map_values(services, lambda _, node: _service(node, folder))
        changes["services"] = services
        joins_default = any(
            DEFAULT_NETWORK in networks.entries
            for entry in services.entries.values()
            if (networks := map_at(entry.value, "networks")) is not None
        )
        networks = map_at(root, "networks")
        declared = networks if networks is not None else Mapping({}, services.mark)
        if joins_default and DEFAULT_NETWORK not in declared.entries:
            root = with_values(root, {"networks": with_values(declared, {DEFAULT_NETWORK: {}})})
    for kind in _OBJECTS:
        section = map_at(root, kind)
        if section is not None:
            changes[kind] = map_values(section, lambda key, node: _named(key, node, name))
    return with_values(root, changes)


def _named(key: str, node: Node, project: str) -> Node:
    if not isinstance(node, Mapping):
        node = Mapping({}, node.mark)
    if not is_null(node.get("name")):
        return node
    is_external = text_at(node, "external") == "true"
    return with_values(node, {"name": key if is_external else f"{project}_{key}"})


def _service(service: Node, folder: str) -> Node:
    if not isinstance(service, Mapping):
        return service
    changes: dict[str, object] = {}
    networks = map_at(service, "networks")
    has_none = networks is None or not networks.entries
    if has_none and service.get("network_mode") is None and "provider" not in service.entries:
        changes["networks"] = {DEFAULT_NETWORK: None}
    if text_at(service, "pull_policy") == "if_not_present":
        changes["pull_policy"] = "missing"
    build = map_at(service, "build")
    if build is not None:
        changes["build"] = _build(build, folder)
    dependencies = map_at(service, "depends_on")
    known = dict(dependencies.entries) if dependencies is not None else {}
    implied: dict[str, bool] = {}
    for name, restart in _implied(service):
        if name not in known:
            implied.setdefault(name, restart)
    for name, restart in implied.items():
        value = {"condition": "service_started", "restart": restart, "required": True}
        known[name] = Entry(service.mark, placed(value, service.mark))
    if implied:
        mark = dependencies.mark if dependencies is not None else service.mark
        changes["depends_on"] = Mapping(known, mark)
    return with_values(service, changes) if changes else service


def _build(build: Mapping, folder: str) -> Mapping:
    missing = {}
    if build.get("context") is None:
        missing["context"] = folder
    if build.get("dockerfile") is None and not text_at(build, "dockerfile_inline"):
        missing["dockerfile"] = "Dockerfile"
    return with_values(build, missing) if missing else build


def _implied(service: Mapping) -> list[tuple[str, bool]]:
    """Services that must run because this one uses them, and whether they pull it along."""
    names: list[tuple[str, bool]] = []
    for item in items_at(service, "links"):
        text = item.text if isinstance(item, Scalar) else ""
        name, colon, alias = text.partition(":")
        names.append((name if colon and ":" not in alias else text, True))
    for key in NAMESPACES:
        value = text_at(service, key)
        if value.startswith("service:"):
            names.append((value.removeprefix("service:"), True))
    for item in items_at(service, "volumes_from"):
        text = item.text if isinstance(item, Scalar) else ""
        if not text.startswith("container:"):
            names.append((text.partition(":")[0], False))
    return names
