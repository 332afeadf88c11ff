"""Rules about images, placement, order and health."""

from __future__ import annotations

from stack.check.finding import Severity
from stack.check.project import Project, ServicePart
from stack.check.rule import Found, Rule


def _build_only(project: Project) -> Found:
    for service in project.services:
        if service.has("build") and not service.has("image"):
            yield service.at("build"), "is built here and has no image that other nodes could pull"


def _build(project: Project) -> Found:
    for service in project.services:
        if service.has("build") and service.has("image"):
            yield (
                service.at("build"),
                f"nothing is built: the nodes pull {service.text('image')} as it is",
            )


def _image_latest(project: Project) -> Found:
    for service in project.services:
        image = service.text("image")
        tag = image.rsplit("/", 1)[-1].partition(":")[2]
        if image and "@" not in image and tag in {"", "latest"}:
            yield (
                service.at("image"),
                (
                    f"{image} names no version: nodes that pull it at different times run "
                    "different programs"
                ),
            )


def _pull_policy(project: Project) -> Found:
    for service in project.services:
        policy = service.text("pull_policy")
        if policy == "never":
            yield service.at("pull_policy"), "the image must be loaded on every node by hand"
        elif policy not in {"", "always", "missing", "if_not_present"}:
            yield service.at("pull_policy"), f"{policy} means missing: pulled when a node has none"


def _depends_on(project: Project) -> Found:
    for service in project.services:
        for name, dependency in service.below("depends_on").children():
            condition = dependency.text("condition")
            if condition not in {"", "service_started"}:
                yield (
                    dependency.place,
                    (
                        f"{service.name} waits for {name} ({condition}) when it is deployed, and "
                        "not when its tasks are restarted after a failure"
                    ),
                )


def _start_order(project: Project) -> Found:
    for service in project.services:
        names = [
            name
            for name, dependency in service.below("depends_on").children()
            if dependency.text("condition") in {"", "service_started"}
        ]
        if names:
            yield (
                service.at("depends_on"),
                f"{service.name} waits until {', '.join(names)} has started, not until it works",
            )


def _healthcheck(project: Project) -> Found:
    for service in project.services:
        if service.has("ports") and not service.has("healthcheck"):
            yield (
                service.place,
                (
                    f"{service.name} has no healthcheck here: unless the image has one, a task "
                    "counts as running as soon as its container has started"
                ),
            )


def _restart(project: Project) -> Found:
    for service in project.services:
        if service.has("restart") and service.deploy.has("restart_policy"):
            yield service.at("restart"), "has no effect: deploy.restart_policy is there"
        elif service.text("restart") == "unless-stopped":
            yield (
                service.at("restart"),
                "means always: a stack has no stopped tasks, only fewer replicas",
            )
        elif service.text("restart") in {"no", "false"} and service.replicas:
            yield (
                service.at("restart"),
                "a task that ended is not replaced, but one whose node is lost is",
            )


def _hostname(project: Project) -> Found:
    for service in project.services:
        name = service.text("hostname")
        if name and service.is_many and "{{" not in name:
            yield service.at("hostname"), f"{service.tasks} are all named {name}"


def _mac_address(project: Project) -> Found:
    for service in project.services:
        if service.has("mac_address") and service.is_many:
            yield service.at("mac_address"), f"{service.tasks} have the same address"


def _replicas(project: Project) -> Found:
    for service in project.services:
        if service.is_global or not project.nodes:
            continue
        most = service.deploy.below("placement").number("max_replicas_per_node")
        why = "max_replicas_per_node"
        if any(True for _ in service.host_ports()):
            most, why = 1, "host ports"
        if most and service.replicas > most * project.nodes:
            each = f"at most {most} on a node ({why})"
            yield (
                service.deploy.at("replicas"),
                f"{service.replicas} tasks do not fit on a cluster of {project.nodes}: {each}",
            )


def _node_access(project: Project) -> Found:
    for service in project.services:
        for key, what in _reaches(service):
            yield service.at(key), f"{what}; a node may forbid it (stackd --forbid)"


def _reaches(service: ServicePart) -> list[tuple[str, str]]:
    found = []
    if service.is_true("privileged"):
        found.append(("privileged", "the container may do anything on its node"))
    if not service.is_pinned:
        found += [
            (key, "every node that may run a task must have the devices")
            for key in ("devices", "device_cgroup_rules")
            if service.has(key)
        ]
    if service.has("gpus"):
        found.append(
            ("gpus", "tasks go to nodes that say what they have (stackd --generic-resource gpu=2)")
        )
    found += [
        (key, "the container shares a namespace with its node")
        for key in ("pid", "ipc", "uts", "userns_mode", "network_mode")
        if service.text(key) == "host"
    ]
    return found


def _host_gateway(project: Project) -> Found:
    for service in project.services:
        for text, place in service.texts("extra_hosts"):
            if text.endswith("host-gateway"):
                yield place, f"{text}: means the node that runs the task, whichever it is"


RULES = (
    Rule(
        "build-only",
        Severity.ERROR,
        "build without image",
        "Nodes pull images from a registry; what is built on one machine is on no other.",
        "build and push the image to a registry that all nodes reach, and name it with image:",
        _build_only,
    ),
    Rule(
        "build",
        Severity.WARNING,
        "build beside image",
        "A deployment builds nothing.",
        "build and push before deploying: docker compose build --push",
        _build,
    ),
    Rule(
        "image-latest",
        Severity.NOTE,
        "Image without a version",
        "Each node pulls the image when it first needs it.",
        "name a version, as in postgres:17.2",
        _image_latest,
    ),
    Rule(
        "pull-policy",
        Severity.WARNING,
        "Images that are not pulled",
        "Nodes begin without any image.",
        "leave pull_policy out, or say always",
        _pull_policy,
    ),
    Rule(
        "depends-on-condition",
        Severity.NOTE,
        "depends_on with a condition",
        "The managers hold back the first tasks of a new or changed service until the condition "
        "holds. After the failure of a node, tasks start in any order.",
        "let the program wait and try again, or let it end: it is restarted",
        _depends_on,
    ),
    Rule(
        "start-order",
        Severity.NOTE,
        "depends_on",
        "A task that has started may not answer yet.",
        "say condition: service_healthy, or let the program try again until the other answers",
        _start_order,
    ),
    Rule(
        "healthcheck",
        Severity.NOTE,
        "Published port without a healthcheck",
        "Updates go on to the next task when one runs; without a check, that is before it works.",
        "add healthcheck: {test: [CMD, ...]}",
        _healthcheck,
    ),
    Rule(
        "restart",
        Severity.NOTE,
        "restart",
        "A cluster replaces tasks instead of restarting containers.",
        "use deploy.restart_policy: {condition: none | on-failure | any}",
        _restart,
    ),
    Rule(
        "hostname",
        Severity.WARNING,
        "One host name for several tasks",
        "Programs that find their peers by host name see only themselves.",
        "use a template: hostname: 'web-{{.Task.Slot}}'",
        _hostname,
    ),
    Rule(
        "mac-address",
        Severity.WARNING,
        "One MAC address for several tasks",
        "Two tasks on one node would disturb each other.",
        "leave mac_address out, or run one task",
        _mac_address,
    ),
    Rule(
        "replicas",
        Severity.ERROR,
        "More tasks than places",
        "Tasks that find no place stay pending for ever. Checked when --nodes is given.",
        "ask for fewer replicas, raise max_replicas_per_node, or use mode: global",
        _replicas,
    ),
    Rule(
        "node-access",
        Severity.WARNING,
        "Access to the node",
        "In a cluster this reaches into whichever node runs the task.",
        "leave it out, or keep the service on chosen nodes with constraints",
        _node_access,
    ),
    Rule(
        "host-gateway",
        Severity.NOTE,
        "host-gateway",
        "What runs on one machine beside the containers does not run on every node.",
        "give the address of the machine that is meant",
        _host_gateway,
    ),
)
