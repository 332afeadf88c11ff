from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from cluster.api.commands.services import create_service, update_service
from cluster.api.convert.services import service_json
from cluster.api.convert.tasks import task_json
from cluster.errors import InvalidArgument
from cluster.model.endpoint import EndpointSpec, PortConfig
from cluster.model.extensions import EXTENSION_LABEL, ContainerExtensions, TaskExtensions
from cluster.model.ids import NodeId
from cluster.model.meta import Meta
from cluster.model.service import (
    GlobalMode,
    NetworkAttachmentConfig,
    ReplicatedMode,
    Service,
    ServiceMode,
    ServiceSpec,
)
from cluster.model.task_state import TaskState
from cluster.model.units import Timestamp
from cluster.model.update_policy import UpdateConfig
from cluster.orchestrator.new_task import new_task
from cluster.orchestrator.outdated import OutdatedCheck
from tests.compat.memory_node import counting_ids
from tests.support.builders import make_network, make_state
from tests.support.memory_store import MemoryStore
from tests.unit.cluster.api.commands.transactions import spec

NEW_ID = counting_ids()
PORTS = EndpointSpec(ports=(PortConfig(target_port=80, published_port=8080, publish_mode="host"),))


def extended(document: Any, **members: Any) -> ServiceSpec:
    return spec(labels={EXTENSION_LABEL: json.dumps(document)}, **members)


def create(store: MemoryStore, wanted: ServiceSpec) -> tuple[Service, tuple[str, ...]]:
    accepted = store.commit(lambda tx: create_service(tx, wanted, NEW_ID))
    service = store.view().service(accepted.service_id)
    assert service is not None
    return service, accepted.warnings


def test_the_label_stays_and_its_settings_are_typed_in_the_task() -> None:
    wanted = extended({"container": {"privileged": True}})
    service, warnings = create(MemoryStore(), wanted)
    assert service.spec.labels == wanted.labels
    assert service.spec.task_template.extensions == TaskExtensions(
        container=ContainerExtensions(privileged=True)
    )
    assert warnings == ()


def test_the_typed_form_is_never_shown_nor_taken_from_a_client() -> None:
    service, _ = create(MemoryStore(), extended({"container": {"privileged": True}}))
    task = new_task(
        service,
        1,
        "t",
        desired_state=TaskState.RUNNING,
        start_after=Timestamp(0),
        restarts=0,
        now=Timestamp(0),
    )
    assert task.spec.extensions is not None
    assert "Stackyard" not in json.dumps(
        [service_json(service, make_state()), task_json(task, make_state())]
    )
    template = msgspec.structs.replace(
        spec().task_template,
        extensions=TaskExtensions(container=ContainerExtensions(privileged=True)),
    )
    smuggled, _ = create(MemoryStore(), spec(task_template=template))
    assert smuggled.spec.task_template.extensions is None


@pytest.mark.parametrize(
    ("document", "is_outdated"),
    [
        ({"container": {"privileged": True}}, False),
        ({"container": {"privileged": True, "runtime": ""}}, False),
        ({"container": {"privileged": True}, "depends_on": {"db": {}}}, False),
        ({"container": {"privileged": True, "runtime": "runsc"}}, True),
        ({}, True),
    ],
)
def test_only_a_change_that_makes_another_container_replaces_tasks(
    document: Any, is_outdated: bool
) -> None:
    store = MemoryStore()
    service, _ = create(store, extended({"container": {"privileged": True}}))
    task = new_task(
        service,
        1,
        "t",
        desired_state=TaskState.RUNNING,
        start_after=Timestamp(0),
        restarts=0,
        now=Timestamp(0),
    )
    task = msgspec.structs.replace(task, meta=Meta(), node_id=NodeId("n"))
    changed = extended(document)
    store.commit(lambda tx: update_service(tx, service.id, service.meta.version, changed))
    now = store.view().service(service.id)
    assert now is not None
    assert OutdatedCheck(store.view(), now)(task) is is_outdated


def test_settings_that_are_only_kept_are_told() -> None:
    _, warnings = create(
        MemoryStore(),
        extended({"depends_on": {"db": {}}, "networks": {"n": {"priority": 2}}}),
    )
    assert [text.split(" ")[0] for text in warnings] == [
        'Labels["com.stackyard.ext"].networks.n',
    ]
    assert all("not carried out in this version" in text for text in warnings)


FIXED = {"networks": {"n": {"ipv4_address": "10.0.0.9"}}}


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({}, ""),
        ({"update_config": UpdateConfig(order="stop-first")}, ""),
        ({"mode": ServiceMode(replicated=ReplicatedMode(replicas=2))}, "2 replicas cannot share"),
        ({"mode": ServiceMode(global_=GlobalMode())}, "mode global may have several tasks"),
        ({"update_config": UpdateConfig(order="start-first")}, "use stop-first"),
        ({"rollback_config": UpdateConfig(order="start-first")}, "use stop-first"),
    ],
)
def test_an_address_that_no_task_can_have_is_told(members: dict[str, Any], reason: str) -> None:
    _, warnings = create(MemoryStore(), extended(FIXED, **members))
    if not reason:
        assert not warnings
        return
    (warning,) = warnings
    assert warning.startswith(
        'Labels["com.stackyard.ext"].networks.n.ipv4_address: 10.0.0.9 is kept but not given'
    )
    assert reason in warning


def test_an_address_outside_its_network_is_refused() -> None:
    store = MemoryStore(make_network("n", subnet="10.0.1.0/24"))
    networks = (NetworkAttachmentConfig(target="n"),)
    template = replace(spec().task_template, networks=networks)
    with pytest.raises(
        InvalidArgument, match=r"n\.ipv4_address: 10\.0\.0\.9 is not in 10\.0\.1\.0"
    ):
        create(store, extended(FIXED, task_template=template))


def test_the_address_of_a_published_port() -> None:
    port = {"target": 80, "published": 8080, "host_ips": ["127.0.0.1"]}
    service, _ = create(MemoryStore(), extended({"ports": [port]}, endpoint_spec=PORTS))
    assert service.spec.task_template.extensions is not None


def test_a_port_that_says_no_protocol_is_one_of_tcp() -> None:
    store = MemoryStore()
    service, _ = create(store, spec(endpoint_spec=PORTS))
    said = EndpointSpec(
        ports=(
            PortConfig(protocol="tcp", target_port=80, published_port=8080, publish_mode="host"),
        )
    )
    assert service.spec.endpoint_spec == said
    same = spec(endpoint_spec=said)
    store.commit(lambda tx: update_service(tx, service.id, service.meta.version, same))
    updated = store.view().service(service.id)
    assert updated is not None
    assert msgspec.structs.replace(updated, meta=service.meta) == service


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"container": {"devices": [{"source": "fuse"}]}}, "devices[0].source: 'fuse' is not"),
        (
            {"container": {"devices": [{"source": "/dev/a", "target": "b"}]}},
            "devices[0].target: 'b' is not",
        ),
        (
            {"container": {"devices": [{"source": "/dev/a", "permissions": "rx"}]}},
            "devices[0].permissions: 'rx' is not made of r, w and m",
        ),
        ({"container": {"device_cgroup_rules": ["c 1"]}}, "device_cgroup_rules[0]: 'c 1' is not"),
        (
            {"container": {"device_requests": [{"count": 1, "device_ids": ["0"]}]}},
            "device_requests[0]: count and device_ids exclude each other",
        ),
        ({"container": {"device_requests": [{"count": 1}]}}, "device_requests[0]: needs a driver"),
        (
            {"container": {"device_requests": [{"count": -2, "driver": "x"}]}},
            "device_requests[0].count: -2 is below -1",
        ),
        ({"container": {"mac_address": "02:42"}}, "mac_address: '02:42' is no MAC address"),
        ({"container": {"cpuset": "0-"}}, "cpuset: '0-' is not like '0-2,4'"),
        ({"container": {"cpu_shares": -1}}, "cpu_shares: -1 is below 0"),
        ({"container": {"cpu_quota": -2}}, "cpu_quota: -2 is below -1"),
        ({"container": {"memswap_limit": -2}}, "memswap_limit: -2 is below -1"),
        ({"container": {"mem_swappiness": 101}}, "mem_swappiness: 101 is not from 0 to 100"),
        ({"container": {"blkio": {"weight": 5}}}, "blkio.weight: 5 is not from 10 to 1000"),
        (
            {"container": {"blkio": {"weight_device": [{"path": "/dev/a", "weight": 1001}]}}},
            "blkio.weight_device[0].weight: 1001 is not",
        ),
        (
            {"container": {"blkio": {"device_read_bps": [{"path": "/dev/a", "rate": -1}]}}},
            "blkio.device_read_bps[0].rate: -1 is below 0",
        ),
        (
            {"ports": [{"target": 80, "published": 9090, "host_ips": ["127.0.0.1"]}]},
            "ports[0]: the service publishes no port 9090 -> 80/tcp at all",
        ),
        (
            {"ports": [{"target": 80, "published": 8080, "host_ips": ["localhost"]}]},
            "ports[0].host_ips[0]: 'localhost' is no IPv4/IPv6 address",
        ),
        ({"ports": [{"target": 80, "published": 8080, "host_ips": []}]}, "host_ips: is empty"),
        (
            {"ports": [{"target": 80, "published": 8080, "hide_client": True}]},
            "ports[0].hide_client: is for ports of mode ingress",
        ),
        ({"networks": {"n": {"ipv4_address": "::1"}}}, "n.ipv4_address: '::1' is no IPv4 address"),
        ({"networks": {"n": {"ipv6_address": "x"}}}, "n.ipv6_address: 'x' is no IPv6 address"),
        ({"networks": {"n": {"mac_address": "x"}}}, "n.mac_address: 'x' is no MAC address"),
        ({"depends_on": {"web": {}}}, "depends_on.web: a service cannot depend on itself"),
    ],
)
def test_wrong_values_are_refused_with_their_place(document: Any, problem: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        create(MemoryStore(), extended(document, endpoint_spec=PORTS))
    assert str(caught.value).startswith('Labels["com.stackyard.ext"].')
    assert problem in str(caught.value)
