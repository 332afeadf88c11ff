"""Rules about ports, names and networks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from stack.check.finding import Severity
from stack.check.project import Part, Place, Project, ServicePart
from stack.check.rule import Found, Rule

_LOOPBACK = ("127.", "::1", "[::1]", "localhost")


def _ports(project: Project) -> Iterator[tuple[ServicePart, Part]]:
    for service in project.services:
        for port in service.items("ports"):
            yield service, port


def _port_taken(project: Project) -> Found:
    owners: dict[str, tuple[str, bool]] = {}
    for service in project.services:
        for name, port in service.published_ports():
            is_on_all = port.text("mode") != "host"
            owner, owner_is_on_all = owners.setdefault(name, (service.name, is_on_all))
            if owner != service.name and (is_on_all or owner_is_on_all):
                yield port.place, f"port {name} is that of {owner} too, and on all nodes"


def _port_loopback(project: Project) -> Found:
    for service, port in _ports(project):
        if port.text("host_ip").startswith(_LOOPBACK):
            nodes = f"the node that runs {service.name}"
            if port.text("mode") != "host":
                nodes = "nodes of the cluster"
            yield (
                port.place,
                f"port {port.text('published')} can be reached by programs on {nodes} only",
            )


def _port_address(project: Project) -> Found:
    for _, port in _ports(project):
        address = port.text("host_ip")
        if address not in {"", "0.0.0.0", "::"} and not address.startswith(_LOOPBACK):  # noqa: S104
            yield port.place, f"{address} is an address of one machine; other nodes do not have it"


def _port_range(project: Project) -> Found:
    for _, port in _ports(project):
        published, target = port.text("published"), port.text("target")
        if "-" in published and port.text("mode") != "host":
            yield (
                port.place,
                f"all ports from {published} lead to {target}; on one machine one is chosen",
            )


def _port_replicas(project: Project) -> Found:
    for service in project.services:
        if service.is_global or service.replicas <= 1 or project.nodes:
            continue
        for name, port in service.host_ports():
            yield (
                port.place,
                f"{service.replicas} tasks with port {name} need {service.replicas} nodes",
            )


def _port_clash(project: Project) -> Found:
    owners: dict[str, list[tuple[ServicePart, Place]]] = defaultdict(list)
    for service in project.services:
        for name, port in service.host_ports():
            owners[name].append((service, port.place))
    for name, users in owners.items():
        first = users[0][0]
        for service, place in users[1:]:
            if service.name == first.name:
                continue
            if service.is_global or first.is_global or project.nodes == 1:
                text = f"port {name} is taken by {first.name} on every node"
            else:
                text = f"port {name} is that of {first.name} too: they never share a node"
            yield place, text


def _port_update(project: Project) -> Found:
    for service in project.services:
        update = service.deploy.below("update_config")
        if update.text("order") != "start-first":
            continue
        for name, _ in service.host_ports():
            yield (
                update.at("order"),
                (
                    f"the new task needs port {name} while the old one still has it: an update "
                    "needs a free node, and waits for one for ever"
                ),
            )
            break


def _network_mode_shared(project: Project) -> Found:
    for service in project.services:
        for key in ("network_mode", "ipc", "pid"):
            mode = service.text(key)
            if mode.startswith(("service:", "container:")):
                yield (
                    service.at(key),
                    (
                        f"{key} {mode}: tasks of two services may run on different nodes and share "
                        "nothing"
                    ),
                )


def _network_mode_bridge(project: Project) -> Found:
    for service in project.services:
        if service.text("network_mode") == "bridge":
            yield service.at("network_mode"), "the engine's bridge does not lead to other nodes"


def _network_driver(project: Project) -> Found:
    for key, network in project.networks.items():
        driver = network.text("driver")
        if driver not in {"", "overlay", "default"} and not network.has("external"):
            yield network.at("driver"), f"a network with driver {driver} ({key}) ends at the node"


def _network_external(project: Project) -> Found:
    for key, network in project.networks.items():
        if network.has("external") and network.text("external") != "false":
            name = network.text("name") or network.below("external").text("name") or key
            if name not in {"host", "none", "bridge"}:
                yield network.place, f"the network {name} must exist in the cluster beforehand"


def _static_address(project: Project) -> Found:
    for service in project.services:
        policies = (service.deploy.below(key) for key in ("update_config", "rollback_config"))
        is_start_first = any(policy.text("order") == "start-first" for policy in policies)
        for _, network in service.below("networks").children():
            if network.has("ipv6_address"):
                address = network.text("ipv6_address")
                yield network.at("ipv6_address"), f"{address} is kept but not given to the task"
            address = network.text("ipv4_address")
            if address and service.is_many:
                yield (
                    network.at("ipv4_address"),
                    f"{address} is not given to anybody: there are {service.tasks}",
                )
            elif address and is_start_first:
                yield (
                    network.at("ipv4_address"),
                    f"{address} is not given to the task: start-first, a new one would wait for it",
                )


def _links(project: Project) -> Found:
    for service in project.services:
        if service.has("links"):
            yield service.at("links"), "links become names that all services of the networks see"


def _external_links(project: Project) -> Found:
    for service in project.services:
        for key in ("external_links", "volumes_from"):
            if service.has(key):
                yield service.at(key), f"{key} names containers of this machine"


def _container_name(project: Project) -> Found:
    for service in project.services:
        if service.has("container_name"):
            yield (
                service.at("container_name"),
                (
                    f"containers are named after their task; {service.text('container_name')} is "
                    "a name of the service on its networks, while it has one task"
                ),
            )


RULES = (
    Rule(
        "port-taken",
        Severity.ERROR,
        "Two services publish the same port on all nodes",
        "A port without mode: host leads to one service on every node; the second one is refused.",
        "give each service a port of its own",
        _port_taken,
    ),
    Rule(
        "port-range",
        Severity.NOTE,
        "Range of ports for one port",
        "On one machine each container takes a port of the range; in a cluster every port of it is "
        "published, and leads to all tasks.",
        "name one port",
        _port_range,
    ),
    Rule(
        "port-replicas",
        Severity.WARNING,
        "Several tasks with a host port",
        "A port of a node can be given once. Tasks that find no free node stay pending.",
        "have as many nodes (stack check --nodes N counts), or use mode: global, one task a node",
        _port_replicas,
    ),
    Rule(
        "port-clash",
        Severity.WARNING,
        "Two services publish the same host port",
        "Their tasks cannot be on one node, so each takes nodes away from the other.",
        "give each service a port of its own",
        _port_clash,
    ),
    Rule(
        "port-update",
        Severity.WARNING,
        "start-first with a host port",
        "The old task holds the port until it is stopped, which start-first does last.",
        "use update_config.order: stop-first",
        _port_update,
    ),
    Rule(
        "port-loopback",
        Severity.WARNING,
        "Port on the loopback address",
        "In mode host clients must be on the node of the task, in mode ingress on any node of the "
        "cluster.",
        "leave the address out and let a firewall or a proxy service guard the port, or keep both "
        "on one node with constraints",
        _port_loopback,
    ),
    Rule(
        "port-address",
        Severity.WARNING,
        "Port on an address of one machine",
        "In mode host a task on a node without the address cannot start; in mode ingress the port "
        "is published on that node alone.",
        "leave the address out, or in mode host keep the service on that node with constraints",
        _port_address,
    ),
    Rule(
        "namespace-shared",
        Severity.ERROR,
        "Namespace of another container",
        "Only containers of one engine can share namespaces.",
        "put both programs into one image, or let them talk over a network",
        _network_mode_shared,
    ),
    Rule(
        "network-bridge",
        Severity.WARNING,
        "network_mode: bridge",
        "The engine's bridge ends at the node.",
        "leave network_mode out: the service joins the stack's default network",
        _network_mode_bridge,
    ),
    Rule(
        "network-driver",
        Severity.ERROR,
        "Network of one node",
        "Tasks of one service run on several nodes; only overlay networks lead to all of them.",
        "leave driver out, which means overlay, and driver_opts that belong to the other driver",
        _network_driver,
    ),
    Rule(
        "network-external",
        Severity.NOTE,
        "External network",
        "The deployment fails when the cluster does not have it; a network of one engine is none.",
        "make it first: docker network create --driver overlay NAME, or leave external out",
        _network_external,
    ),
    Rule(
        "static-address",
        Severity.WARNING,
        "Static address",
        "A task can have an IPv4 address of its own where its service has one task at a time, and "
        "a new one starts after the old one has stopped. Then every update is an interruption.",
        "use the service's name",
        _static_address,
    ),
    Rule(
        "links",
        Severity.NOTE,
        "links",
        "A link becomes a name of the linked service, for all services of its networks.",
        "leave links out; for another name write networks: {default: {aliases: [NAME]}} in the "
        "linked service",
        _links,
    ),
    Rule(
        "other-containers",
        Severity.ERROR,
        "Containers of this machine",
        "Containers outside the stack are not on the nodes that run the tasks.",
        "use an external network for links, a named volume for files",
        _external_links,
    ),
    Rule(
        "container-name",
        Severity.WARNING,
        "container_name",
        "A service may have many tasks over time, each with a container of its own name.",
        "leave it out; other services use the service's name, people use stack ps",
        _container_name,
    ),
)
