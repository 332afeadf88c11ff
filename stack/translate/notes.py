"""What a translation cannot keep of a value, though its key is applied."""

from __future__ import annotations

from collections.abc import Iterator

from stack.compose.types import Compose, Service

_PULL_POLICIES = ("", "always", "never", "missing", "if_not_present")


def notes(compose: Compose) -> Iterator[str]:
    """Sentences ``services.web.key: what is not applied``, in the order of the file."""
    for service in compose.services:
        for key, text in _of_service(service):
            yield f"services.{service.name}.{key}: {text}"


def _of_service(service: Service) -> Iterator[tuple[str, str]]:
    policy = service.pull_policy
    if policy not in _PULL_POLICIES:
        yield "pull_policy", f"{policy} is not applied: a node pulls the image when it has none"
    if service.container_name and not is_one(service):
        yield "container_name", "not applied: the service may have several tasks"
    if service.platform.count("/") > 1:
        yield (
            "platform",
            f"the variant in {service.platform} is not applied: nodes differ by architecture only",
        )
    for network in service.networks:
        if network.ipv4_address and (why := _why_no_address(service)):
            key = f"networks.{network.name}.ipv4_address"
            yield key, f"{network.ipv4_address} is not given to tasks: {why}"
    for index, mount in enumerate(service.mounts):
        if mount.selinux:
            yield f"volumes[{index}]", f"the SELinux label {mount.selinux} is not applied"


def _why_no_address(service: Service) -> str:
    if not is_one(service):
        return "the service may have several tasks"
    policies = (service.deploy.update_config, service.deploy.rollback_config)
    if any(policy is not None and policy.order == "start-first" for policy in policies):
        return "with order start-first a new task would wait for the old one's; use stop-first"
    return ""


def is_one(service: Service) -> bool:
    """Whether a service never has more than one task at a time, updates aside."""
    return service.deploy.mode == "replicated" and service.deploy.replicas in {None, 0, 1}
