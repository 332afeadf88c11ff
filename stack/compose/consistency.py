"""Checks of a whole project: do its parts fit together?"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from stack.compose.normalise import NAMESPACES
from stack.compose.quantities import nano_cpus, size_bytes
from stack.compose.short_texts import is_address
from stack.compose.tree import (
    Mapping,
    Mark,
    Node,
    Scalar,
    fail,
    items_at,
    map_at,
    text_at,
)
from stack.errors import ComposeError


def check_objects(root: Mapping) -> None:
    """Check networks, volumes, configs and secrets by themselves.

    Raises:
        ComposeError: an object whose settings exclude each other.
    """
    for name, entry in _entries(root, "volumes"):
        if text_at(entry, "external") == "true":
            _check_external(f"volumes.{name}", entry)
    for kind, sources in (
        ("configs", ("file", "environment", "content")),
        ("secrets", ("file", "environment")),
    ):
        for name, entry in _entries(root, kind):
            _check_file_object(f"{kind}.{name}", entry, sources)


def _check_external(path: str, entry: Mapping) -> None:
    for key, value in entry.entries.items():
        if key not in ("name", "external") and not key.startswith("x-"):
            problem = "an external object is only looked up: leave this out"
            raise fail(value.key_mark, f"{path}.{key}", problem)


def _check_file_object(path: str, entry: Mapping, sources: tuple[str, ...]) -> None:
    given = [one for one in sources if one in entry.entries]
    names_nothing = given == ["environment"] and not text_at(entry, "environment")
    if names_nothing and path.startswith("secrets"):
        raise fail(entry.mark, f"{path}.environment", "names no variable")
    if text_at(entry, "external") == "true":
        return
    if len(given) > 1:
        raise fail(entry.mark, path, f"{' and '.join(given)} exclude each other: keep one")
    if not given and "driver" not in entry.entries:
        raise fail(entry.mark, path, f"says nothing: give one of {', '.join(sources)} or external")


def check_services(root: Mapping, known: Collection[str]) -> None:
    """Check services against each other and against the objects they use.

    Args:
        root: a tree whose services are those whose profiles are switched on.
        known: the names of all services.

    Raises:
        ComposeError: a reference to nothing, or settings that exclude each other.
    """
    services = dict(_entries(root, "services"))
    for name, service in services.items():
        path = f"services.{name}"
        _check_origin(service, path)
        _check_references(root, service, path)
        _check_contexts(root, map_at(service, "build"), f"{path}.build.additional_contexts")
        _check_dependencies(services, known, service, path)
        _check_ports(service, path)
        _check_values(service, path)
    _check_order(services)


def _entries(root: Mapping, kind: str) -> Iterator[tuple[str, Mapping]]:
    section = map_at(root, kind)
    for name, entry in section.entries.items() if section is not None else ():
        if isinstance(entry.value, Mapping):
            yield name, entry.value


def _mark(node: Mapping, key: str) -> Mark:
    entry = node.entries.get(key)
    return entry.key_mark if entry else node.mark


def _error(node: Mapping, path: str, key: str, problem: str) -> ComposeError:
    return fail(_mark(node, key), f"{path}.{key}", problem)


def _check_origin(service: Mapping, path: str) -> None:
    build = map_at(service, "build")
    if build is None and not text_at(service, "image") and "provider" not in service.entries:
        raise fail(service.mark, path, "has neither an image nor 'build': give one")
    if build is None:
        return
    if text_at(build, "dockerfile_inline") and text_at(build, "dockerfile"):
        problem = "'dockerfile' and 'dockerfile_inline' exclude each other: keep one"
        raise _error(build, f"{path}.build", "dockerfile", problem)
    platform = text_at(service, "platform")
    platforms = [item.text for item in items_at(build, "platforms") if isinstance(item, Scalar)]
    if platform and platforms and platform not in platforms:
        problem = f"the service's platform {platform!r} is not among them: add it"
        raise _error(build, f"{path}.build", "platforms", problem)


def _check_references(root: Mapping, service: Mapping, path: str) -> None:
    networks = map_at(service, "networks")
    if networks is not None and networks.entries and text_at(service, "network_mode"):
        problem = "'network_mode' and 'networks' exclude each other: keep one"
        raise _error(service, path, "network_mode", problem)
    for name, entry in networks.entries.items() if networks is not None else ():
        if not _declared(root, "networks", name):
            problem = f"undefined network '{name}': declare it under networks:"
            raise fail(entry.key_mark, f"{path}.networks.{name}", problem)
    for index, mount in enumerate(items_at(service, "volumes")):
        name = text_at(mount, "source")
        if text_at(mount, "type") == "volume" and name and not _declared(root, "volumes", name):
            problem = f"undefined volume '{name}': declare it under volumes:"
            raise fail(mount.mark, f"{path}.volumes[{index}]", problem)
        has_source = isinstance(mount, Mapping) and "source" in mount.entries
        if text_at(mount, "type") == "bind" and not has_source:
            raise fail(mount.mark, f"{path}.volumes[{index}]", "a bind mount needs a source")
    models = map_at(service, "models")
    for name, entry in models.entries.items() if models is not None else ():
        if not _declared(root, "models", name):
            problem = f"undefined model '{name}': declare it under models:"
            raise fail(entry.key_mark, f"{path}.models.{name}", problem)
    build = map_at(service, "build")
    for kind, owner, where in (
        ("configs", service, path),
        ("secrets", service, path),
        ("secrets", build, f"{path}.build"),
    ):
        for index, item in enumerate(items_at(owner, kind)):
            name = text_at(item, "source")
            if not _declared(root, kind, name):
                problem = f"undefined {kind[:-1]} '{name}': declare it under {kind}:"
                raise fail(item.mark, f"{where}.{kind}[{index}]", problem)


def _check_contexts(root: Mapping, build: Mapping | None, path: str) -> None:
    contexts = map_at(build, "additional_contexts")
    for name, entry in contexts.entries.items() if contexts is not None else ():
        kind, colon, wanted = text_of(entry.value).partition(":")
        if not colon or kind != "service":
            continue
        services = map_at(root, "services")
        other = services.get(wanted) if services is not None else None
        if other is None:
            raise fail(entry.key_mark, f"{path}.{name}", f"there is no service '{wanted}'")
        if map_at(other, "build") is None:
            raise fail(entry.key_mark, f"{path}.{name}", f"service '{wanted}' is not built")


def _declared(root: Mapping, kind: str, name: str) -> bool:
    section = map_at(root, kind)
    return section is not None and name in section.entries


def _check_dependencies(
    services: dict[str, Mapping], known: Collection[str], service: Mapping, path: str
) -> None:
    dependencies = map_at(service, "depends_on")
    for name, entry in dependencies.entries.items() if dependencies is not None else ():
        may_miss = name in known and text_at(entry.value, "required") == "false"
        if name not in services and not may_miss:
            problem = f"undefined service '{name}'"
            if name in known:
                problem = f"service '{name}' is not switched on: use its profile or required: false"
            raise fail(entry.key_mark, f"{path}.depends_on.{name}", problem)
    for key in NAMESPACES:
        value = text_at(service, key)
        if value.startswith("service:") and value.removeprefix("service:") not in services:
            raise _error(service, path, key, f"there is no service '{value[8:]}'")


def _check_ports(service: Mapping, path: str) -> None:
    for index, port in enumerate(items_at(service, "ports")):
        address = text_at(port, "host_ip")
        if address and not is_address(address):
            raise fail(port.mark, f"{path}.ports[{index}].host_ip", f"{address!r} is no address")


def _check_values(service: Mapping, path: str) -> None:
    health = map_at(service, "healthcheck")
    if health is not None:
        first = next(iter(items_at(health, "test")), None)
        if first is not None and text_of(first) not in ("NONE", "CMD", "CMD-SHELL"):
            problem = f"must begin with CMD, CMD-SHELL or NONE, not {text_of(first)!r}"
            raise _error(health, f"{path}.healthcheck", "test", problem)
    deploy = map_at(service, "deploy")
    resources = map_at(deploy, "resources")
    limits, reserved = map_at(resources, "limits"), map_at(resources, "reservations")
    replicas, scale = text_at(deploy, "replicas"), text_at(service, "scale")
    for key, above, below, parse in (
        ("scale", service, deploy, int),
        ("mem_limit", service, limits, size_bytes),
        ("mem_reservation", service, reserved, size_bytes),
        ("cpus", service, limits, nano_cpus),
        ("pids_limit", service, limits, int),
    ):
        other = _LONG_NAMES[key]
        one, two = text_at(above, key), text_at(below, other.rpartition(".")[2])
        if one and two and _parsed(parse, one) != _parsed(parse, two):
            raise _error(service, path, key, f"says {one}, but {other} says {two}: keep one")
        if one and not two and below is not None and key != "scale":
            raise _error(service, path, key, f"must stand below deploy too: write {other}: {one}")
    copies = replicas or scale or "1"
    if text_at(service, "container_name") and copies.isdecimal() and int(copies) > 1:
        problem = f"{copies} containers cannot have one name: leave it out"
        raise _error(service, path, "container_name", problem)
    for where, requests in (
        (f"{path}.gpus", items_at(service, "gpus")),
        (f"{path}.deploy.resources.reservations.devices", items_at(reserved, "devices")),
    ):
        for index, request in enumerate(requests):
            if text_at(request, "count") and items_at(request, "device_ids"):
                problem = "'count' and 'device_ids' exclude each other: keep one"
                raise fail(request.mark, f"{where}[{index}]", problem)
    for index, rule in enumerate(items_at(map_at(service, "develop"), "watch")):
        action = text_at(rule, "action")
        if action not in {"rebuild", "restart"} and not text_at(rule, "target"):
            problem = f"action {action!r} needs a target"
            raise fail(rule.mark, f"{path}.develop.watch[{index}]", problem)


_LONG_NAMES = {
    "scale": "deploy.replicas",
    "mem_limit": "deploy.resources.limits.memory",
    "mem_reservation": "deploy.resources.reservations.memory",
    "cpus": "deploy.resources.limits.cpus",
    "pids_limit": "deploy.resources.limits.pids",
}


def _parsed(parse: object, text: str) -> object:
    assert callable(parse)
    try:
        return parse(text)
    except ValueError:
        return text  # told where the value is read


def text_of(node: Node) -> str:
    """A scalar as text, "" for anything else."""
    return node.text if isinstance(node, Scalar) else ""


def _check_order(services: dict[str, Mapping]) -> None:
    """Find services that wait for each other: a walk in depth, without recursion."""
    done: set[str] = set()
    for start, service in services.items():
        chain = {start: _dependencies(service)} if start not in done else {}
        while chain:
            following = next(chain[next(reversed(chain))], None)
            if following is None:
                done.add(chain.popitem()[0])
            elif following in chain:
                _fail_for_cycle(services, list(chain), following)
            elif following not in done and following in services:
                chain[following] = _dependencies(services[following])


def _dependencies(service: Mapping) -> Iterator[str]:
    dependencies = map_at(service, "depends_on")
    return iter(dependencies.entries if dependencies is not None else ())


def _fail_for_cycle(services: dict[str, Mapping], chain: list[str], name: str) -> None:
    names = " -> ".join((*chain[chain.index(name) :], name))
    last = chain[-1]
    problem = f"services wait for each other: {names}"
    raise fail(_mark(services[last], "depends_on"), f"services.{last}.depends_on", problem)
