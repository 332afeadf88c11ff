from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from cluster.model.container import SecretReference
from cluster.model.endpoint import EndpointSpec
from cluster.model.placement import Placement
from cluster.model.resources import ResourceRequirements
from cluster.model.service import Service
from cluster.model.update_policy import RestartPolicy
from cluster.orchestrator.outdated import OutdatedCheck
from tests.support.builders import make_node, make_service, make_state, make_task

NODE = make_node("a", labels={"zone": "x"})
OLD = make_service("web", spec_version=1)


def is_outdated(new: Service, *, old: Service = OLD, node: str = "a") -> bool:
    new = replace(new, spec_version=2)
    task = make_task("t", old, node=node)
    return OutdatedCheck(make_state(NODE, new), new)(task)


def changed(**members: Any) -> Service:
    template = replace(OLD.spec.task_template, **members)
    return replace(OLD, spec=replace(OLD.spec, task_template=template))


def test_the_same_version_is_never_outdated() -> None:
    new = make_service("web", image="other", spec_version=1)
    assert not OutdatedCheck(make_state(NODE, new), new)(make_task("t", OLD, node="a"))


@pytest.mark.parametrize(
    "new",
    [
        make_service("web"),
        make_service("web", replicas=7),
        make_service("web", labels={"a": "b"}),
        changed(placement=Placement()),
        changed(resources=ResourceRequirements()),
        make_service("web", constraints=["node.labels.zone==x"]),
        make_service("web", spread=["node.labels.zone"]),
        replace(OLD, spec=replace(OLD.spec, endpoint_spec=EndpointSpec())),
    ],
)
def test_changes_that_restart_nothing(new: Service) -> None:
    assert not is_outdated(new)


def with_secret(name: str, secret_id: str = "s") -> Service:
    container = OLD.spec.task_template.container_spec
    assert container is not None
    reference = SecretReference(secret_id=secret_id, secret_name=name)
    return changed(container_spec=replace(container, secrets=(reference,)))


def test_a_secret_is_the_same_under_another_name() -> None:
    assert not is_outdated(with_secret("pass-1234567890"), old=with_secret("pass"))
    assert is_outdated(with_secret("pass", "t"), old=with_secret("pass"))


@pytest.mark.parametrize(
    "new",
    [
        make_service("web", image="web:2"),
        make_service("web", force_update=1),
        make_service("web", cpus=1),
        make_service("web", host_ports=[80]),
        make_service("web", restart=RestartPolicy(delay=0)),
        make_service("web", constraints=["node.labels.zone==y"]),
        make_service("web", image="web:2", constraints=["node.labels.zone==x"]),
    ],
)
def test_changes_that_replace_the_task(new: Service) -> None:
    assert is_outdated(new)


def test_a_task_without_a_node_is_looked_for_one_under_the_new_rules() -> None:
    assert is_outdated(make_service("web", constraints=["node.labels.zone==x"]), node="")
    assert is_outdated(make_service("web", constraints=["node.labels.zone==x"]), node="gone")


def test_tasks_do_not_know_the_number_of_a_port_on_all_nodes() -> None:
    old = make_service("web", ingress_ports=[80])
    assert not is_outdated(make_service("web", ingress_ports=[81]), old=old)
    assert not is_outdated(make_service("web", ingress_ports=[80, 81]), old=old)
    assert is_outdated(make_service("web", ingress_ports=[80]))
    assert is_outdated(make_service("web", ingress_ports=[80], host_ports=[81]), old=old)


def test_ports_taken_away_are_a_change() -> None:
    assert is_outdated(make_service("web"), old=make_service("web", host_ports=[80]))


def test_an_order_of_arguments_counts() -> None:
    container = OLD.spec.task_template.container_spec
    assert container is not None
    new = changed(container_spec=replace(container, args=("b", "a")))
    assert is_outdated(new)
    assert not is_outdated(new, old=new)
