from __future__ import annotations

from msgspec.structs import replace

from cluster.api.convert.network_members import is_in, peers_json, verbose_network_json
from cluster.model.endpoint import NetworkAttachment, ServiceEndpoint, VirtualIp
from cluster.model.ids import NetworkId
from cluster.model.task_state import TaskState
from tests.support.builders import make_network, make_node, make_service, make_state, make_task


def test_services_are_shown_with_their_running_tasks_and_the_nodes_of_these() -> None:
    front = make_network("front", subnet="10.0.1.0/24")
    ip = VirtualIp(network_id=front.id, address="10.0.1.2")
    web = replace(
        make_service("web", networks=("front",)), endpoint=ServiceEndpoint(virtual_ips=(ip,))
    )
    place = NetworkAttachment(network_id=NetworkId("front"), address="10.0.1.3/24")
    runs = replace(make_task("t1", web, node="a"), networks=(place,))
    starts = replace(make_task("t2", web, node="a", state=TaskState.STARTING), networks=(place,))
    ended = replace(make_task("t3", web, node="b", state=TaskState.FAILED), networks=(place,))
    nodes = make_node("a", addr="192.0.2.1"), make_node("b", addr="192.0.2.2")
    state = make_state(front, web, runs, starts, ended, *nodes)
    assert peers_json(front, state) == [{"Name": "a", "IP": "192.0.2.1"}]
    assert [is_in(front, node.id, state) for node in nodes] == [True, False]
    assert verbose_network_json(front, state) == {
        "Peers": [{"Name": "a", "IP": "192.0.2.1"}],
        "Services": {
            "web": {
                "VIP": "10.0.1.2",
                "Ports": [],
                "LocalLBIndex": 0,
                "Tasks": [
                    {
                        "Name": "web.1.t1",
                        "EndpointID": "t1",
                        "EndpointIP": "10.0.1.3",
                        "Info": {"Host IP": "192.0.2.1"},
                    }
                ],
            }
        },
    }
