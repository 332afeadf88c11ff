"""A stack in a state, and steps on it as a leader takes them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from cluster.api.commands.leases import take_lease
from cluster.api.commands.stacks import deploy_stack, roll_back_stack
from cluster.api.payloads.stacks import Deployment, WantedService
from cluster.model.container import FileTarget, SecretReference
from cluster.model.endpoint import EndpointSpec, PortConfig
from cluster.model.secret import SecretSpec
from cluster.model.service import Service, ServiceSpec
from cluster.model.stack import CONTENT_LABEL, NAMESPACE_LABEL
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction
from tests.support.builders import counting_ids, seconds
from tests.unit.cluster.api.commands.transactions import spec

LABELS = {NAMESPACE_LABEL: "shop"}


class Cluster:
    """A state, and steps on it as a leader takes them."""

    def __init__(self) -> None:
        self.state = ClusterState()
        self.now = 1000.0
        self._new_id = counting_ids("x")

    def __call__(self, command: Any, *arguments: Any, **more: Any) -> Any:
        tx = Transaction(self.state, seconds(self.now))
        result = command(tx, *arguments, **more)
        self.state = self.state.apply(tx.changes)
        return result

    def deploy(self, *services: WantedService, **more: Any) -> Any:
        wanted = Deployment(services=services, **more)
        return self(deploy_stack, "shop", wanted, self._new_id)

    def roll_back(self, number: int = 0, lease: str = "") -> Any:
        return self(roll_back_stack, "shop", number, self._new_id, author="me", lease=lease)

    def lease(self, token: str = "", seconds: int = 30) -> str:
        lease = self(
            take_lease, "shop", holder="ann", token=token, seconds=seconds, new_id=self._new_id
        )
        return lease.token

    def service(self, name: str) -> Service:
        found = self.state.service_by_name(name)
        assert found is not None
        return found

    def again(self, name: str, wanted: ServiceSpec) -> WantedService:
        found = self.service(name)
        return WantedService(service_id=found.id, version=found.meta.version, spec=wanted)

    def numbers(self) -> list[int]:
        return [one.number for one in self.state.revisions_of("shop")]


def service(name: str, image: str = "i:1", secret: str = "") -> ServiceSpec:
    made = replace(spec(name), labels=LABELS)
    container = replace(made.task_template.container_spec, image=image)
    if secret:
        target = FileTarget(name="pass")
        container = replace(container, secrets=(SecretReference(secret_name=secret, file=target),))
    return replace(made, task_template=replace(made.task_template, container_spec=container))


def new(name: str, *arguments: str) -> WantedService:
    return WantedService(spec=service(name, *arguments))


def secret(name: str, data: bytes = b"x") -> SecretSpec:
    return SecretSpec(name=name, labels={**LABELS, CONTENT_LABEL: name}, data=data)


def publishing(name: str, *ports: int, mode: str = "ingress", image: str = "i:1") -> ServiceSpec:
    """Return a spec with published ports; those of number 0 are chosen by the cluster."""
    published = tuple(
        PortConfig(target_port=80 + at, published_port=port, publish_mode=mode, protocol="tcp")  # type: ignore[arg-type]
        for at, port in enumerate(ports)
    )
    return replace(service(name, image), endpoint_spec=EndpointSpec(ports=published))
