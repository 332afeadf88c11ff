"""Plain containers' places in networks, which clients find among the tasks if they ask for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cluster.model.attachment import Attachment, PlainEndpoint
from cluster.model.ids import NetworkId, TaskId
from cluster.model.meta import Meta
from tests.compat.memory_node import MANAGER_ID, WORKER_ID, MemoryNode, node
from tests.support.builders import make_network, make_service, make_task
from tests.unit.cluster.api.api_client import Client

NETWORK = make_network("yard", subnet="10.0.1.0/24")


def place(name: str, *, is_running: bool | None = True) -> Attachment:
    """A place on the manager; without `is_running` nobody has seen its container yet."""
    said = None
    if is_running is not None:
        said = PlainEndpoint(
            id=TaskId(name), container_id=f"c{name}", name="box", is_running=is_running
        )
    return Attachment(
        id=TaskId(name),
        meta=Meta(),
        node_id=MANAGER_ID,
        network_id=NetworkId(NETWORK.id),
        address="10.0.1.7/24",
        endpoint=said,
    )


@pytest.fixture
async def yard(manager: Client, local_node: MemoryNode) -> Client:
    """A manager with a task of a service, and three plain containers: running, stopped, to come."""
    assert local_node.memory is not None
    service = make_service("web")
    task = make_task("t1", service, node=MANAGER_ID)
    places = place("p1"), place("p2", is_running=False), place("p3", is_running=None)
    local_node.memory.put(node(WORKER_ID, "two"), NETWORK, service, task, *places)
    return manager


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["t1"]),
        ({"runtime": ["container"]}, ["t1"]),
        ({"runtime": ["attachment"]}, ["p1", "p2", "p3"]),
        ({"runtime": ["attachment", "container"]}, ["t1", "p1", "p2", "p3"]),
        ({"runtime": ["plugin"]}, []),
        ({"runtime": ["attachment"], "id": ["p1"]}, ["p1"]),
        ({"runtime": ["attachment"], "name": [f".{MANAGER_ID}.p2"]}, ["p2"]),
        ({"runtime": ["attachment"], "desired-state": ["running"]}, ["p1", "p3"]),
        ({"runtime": ["attachment"], "desired-state": ["shutdown"]}, []),
        ({"runtime": ["attachment"], "node": ["one"]}, ["p1", "p2", "p3"]),
        ({"runtime": ["attachment"], "node": ["two"]}, []),
        ({"runtime": ["attachment"], "service": ["web"]}, []),
        ({"runtime": ["attachment"], "label": ["com.docker.stack.namespace"]}, []),
        ({"runtime": ["attachment"], "_up-to-date": ["true"]}, []),
    ],
)
async def test_they_are_listed_only_when_their_runtime_is_named(
    yard: Client, filters: dict[str, Any], found: list[str]
) -> None:
    status, tasks = await yard("GET", "/tasks", filters=json.dumps(filters))
    assert status == 200
    assert [task["ID"] for task in tasks] == found


async def test_one_looks_like_a_task_of_no_service(yard: Client) -> None:
    _, shown = await yard("GET", "/tasks/p1")
    (joined,) = shown.pop("NetworksAttachments")
    assert joined["Network"]["ID"] == NETWORK.id
    assert joined["Addresses"] == ["10.0.1.7/24"]
    assert shown.pop("CreatedAt") == shown.pop("UpdatedAt") == shown["Status"].pop("Timestamp")
    shown.pop("Version")
    assert shown == {
        "ID": "p1",
        "Labels": {},
        "Spec": {
            "NetworkAttachmentSpec": {"ContainerID": "cp1"},
            "Networks": [{"Target": NETWORK.id}],
            "ForceUpdate": 0,
            "Runtime": "attachment",
        },
        "NodeID": MANAGER_ID,
        "Status": {"State": "running", "Message": "started", "PortStatus": {}},
        "DesiredState": "running",
    }


async def test_its_state_is_that_of_the_container(yard: Client) -> None:
    states = {}
    for name in ("p1", "p2", "p3"):
        _, shown = await yard("GET", f"/tasks/{name}")
        states[name] = shown["DesiredState"], shown["Status"]["State"]
    assert states == {
        "p1": ("running", "running"),
        "p2": ("ready", "ready"),
        "p3": ("running", "preparing"),
    }


async def test_its_log_is_the_engines(yard: Client) -> None:
    status, content = await yard("GET", "/tasks/p1/logs", stdout="1")
    assert status == 400
    assert f"its log is at its node {MANAGER_ID}" in content["message"]
    assert (await yard("GET", "/tasks/p9"))[0] == 404
