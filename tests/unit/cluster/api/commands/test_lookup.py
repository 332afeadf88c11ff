from __future__ import annotations

import msgspec
import pytest

from cluster.api.commands.lookup import find_node, find_service, find_task
from cluster.errors import InvalidArgument, NotFound
from cluster.model.ids import ServiceId, TaskId
from cluster.model.meta import Meta
from cluster.model.node import NodeDescription
from cluster.model.service import Service, TaskSpec
from cluster.model.task import Task
from tests.support.memory_store import MemoryStore
from tests.unit.cluster.api.commands.transactions import node, spec


def _service(service_id: str, name: str) -> Service:
    return Service(id=ServiceId(service_id), meta=Meta(), spec=spec(name), spec_version=1)


def test_an_id_goes_before_a_name_and_a_name_before_a_beginning() -> None:
    state = MemoryStore(
        _service("aaa1", "one"), _service("aaa2", "aaa1"), _service("bbb1", "aaa")
    ).view()
    assert find_service(state, "aaa1").id == "aaa1"
    assert find_service(state, "AAA").id == "bbb1"
    assert find_service(state, "bb").id == "bbb1"
    with pytest.raises(InvalidArgument, match=r"service aa is ambiguous \(2 matches found\)"):
        find_service(state, "aa")
    for text in ("", "zzz"):
        with pytest.raises(NotFound, match=f"service {text} not found"):
            find_service(state, text)


def test_nodes_go_by_host_name_too() -> None:
    one, two = (
        msgspec.structs.replace(node(name), description=NodeDescription(hostname="vm"))
        for name in ("x1", "x2")
    )
    assert find_node(MemoryStore(one).view(), "vm").id == "x1"
    with pytest.raises(InvalidArgument, match="node vm is ambiguous"):
        find_node(MemoryStore(one, two).view(), "vm")


def test_tasks_go_by_name() -> None:
    task = Task(
        id=TaskId("t1"),
        meta=Meta(),
        service_id=ServiceId("s"),
        service_name="web",
        slot=2,
        spec=TaskSpec(),
    )
    state = MemoryStore(task).view()
    for text in ("t1", "web.2", "t"):
        assert find_task(state, text).id == "t1"
    with pytest.raises(NotFound, match="task nosuch not found"):
        find_task(state, "nosuch")
