"""Services of a stack reach each other by their names, wherever their tasks are."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.support.cluster import HOSTS, Cluster, Container, idle, wait_for

HEALTH = {
    "test": [
        "CMD",
        "python3",
        "-c",
        "import socket; socket.create_connection(('127.0.0.1', 8080))",
    ],
    "interval": "1s",
    "timeout": "20s",
    "retries": 3,
    "start_period": "60s",
}

ASK = """
import sys, urllib.request
for _ in range(int(sys.argv[2])):
    print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode().split()[-1])
"""

RESOLVE = """
import socket, sys
try:
    print(*sorted(socket.gethostbyname_ex(sys.argv[1])[2]))
except socket.gaierror:
    print("unknown")
"""

RESOLV_CONF = "/etc/resolv.conf"

IN_KERNEL = """
ls /run/netns 2>/dev/null | grep ^stknet
ip -brief link | grep -E '^(sk|stk)'
nft list tables | grep stackyard
true
"""

LOAD = """
import socket, time
good = bad = 0
end = time.monotonic() + 25
while time.monotonic() < end:
    try:
        with socket.create_connection(("web", 8080), timeout=20) as s:
            s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            answer = b""
            while piece := s.recv(4096):
                answer += piece
        good, bad = good + (b"Hello" in answer), bad + (b"Hello" not in answer)
    except OSError:
        bad += 1
print(good, bad)
"""


def shop(replicas: int = 3, **web: Any) -> dict[str, Any]:
    return {
        "web": {
            "image": "stackyard/hello:1",
            "healthcheck": HEALTH,
            "deploy": {"replicas": replicas, "update_config": {"order": "start-first"}},
            **web,
        },
        "client": idle(mode="global"),
    }


def python(cluster: Cluster, container: Container, program: str, *arguments: str) -> str:
    """Run a program inside a container and return what it prints."""
    command = ("docker", "exec", container.id, "python3", "-c", program, *arguments)
    return cluster.lab.enter(container.host, *command).stdout.strip()


def resolve(cluster: Cluster, container: Container, name: str) -> list[str]:
    return python(cluster, container, RESOLVE, name).split()


def addresses(cluster: Cluster, service: str) -> list[str]:
    """The addresses that the cluster gave a service's running tasks."""
    tasks = cluster.api("GET", f'/tasks?filters={{"service":["{service}"]}}')
    return sorted(
        attachment["Addresses"][0].partition("/")[0]
        for task in tasks
        if task["Status"]["State"] == "running" and task["DesiredState"] == "running"
        for attachment in task["NetworksAttachments"]
    )


def eventually(what: str, wanted: object, look: Callable[[], object]) -> None:
    """Wait until `look` returns what is wanted."""
    wait_for(f"{what}: {wanted}", lambda: look() == wanted)


def test_names_lead_to_tasks_on_all_hosts_in_turn(cluster: Cluster) -> None:
    services = shop()
    services["client"]["dns_search"] = ["far.example"]
    cluster.deploy("shop", services)
    web = {c.id[:12] for c in cluster.wait_running("shop_web", 3)}
    for client in cluster.wait_running("shop_client", len(HOSTS)):
        settings = cluster.lab.enter(client.host, "docker", "exec", client.id, "cat", RESOLV_CONF)
        assert "search far.example" in settings.stdout.splitlines()
        eventually(
            "all tasks",
            addresses(cluster, "shop_web"),
            partial(resolve, cluster, client, "tasks.web"),
        )
        [vip] = cluster.service("shop_web")["Endpoint"]["VirtualIPs"]
        for name in ("web", "shop_web"):
            assert resolve(cluster, client, name) == [vip["Addr"].partition("/")[0]]
        answers = Counter(python(cluster, client, ASK, "http://web:8080/", "30").split())
        assert answers == dict.fromkeys(web, 10)


def test_stacks_do_not_know_each_other(cluster: Cluster) -> None:
    cluster.deploy("shop", shop(1))
    cluster.deploy("far", {"other": idle()})
    [stranger] = cluster.wait_running("far_other", 1)
    cluster.wait_running("shop_web", 1)
    assert resolve(cluster, stranger, "web") == ["unknown"]
    assert resolve(cluster, stranger, "shop_web") == ["unknown"]


def test_names_follow_scaling_and_killed_tasks(cluster: Cluster) -> None:
    cluster.deploy("shop", shop())
    client = cluster.wait_running("shop_client", len(HOSTS))[0]
    cluster.wait_running("shop_web", 3)
    cluster.stack("service", "scale", "shop_web=1")
    cluster.wait_running("shop_web", 1)

    def names_are_right() -> bool:
        found = resolve(cluster, client, "tasks.web")
        return len(found) == 1 and found == addresses(cluster, "shop_web")

    wait_for("the one task by name", names_are_right)
    [old] = cluster.containers("shop_web")
    cluster.lab.engine(old.host, "POST", f"/containers/{old.id}/kill")
    [new] = cluster.wait_running("shop_web", 1, without=[old.id])
    wait_for("the new task by name", names_are_right)
    assert python(cluster, client, ASK, "http://web:8080/", "2").split() == [new.id[:12]] * 2


def test_scaling_and_updates_lose_no_request(cluster: Cluster) -> None:
    cluster.deploy("shop", shop())
    client = cluster.wait_running("shop_client", len(HOSTS))[0]
    cluster.wait_running("shop_web", 3)
    command = ("docker", "exec", client.id, "python3", "-c", LOAD)
    with subprocess.Popen(
        cluster.lab.argv_in(client.host, *command), stdout=subprocess.PIPE, text=True
    ) as load:
        cluster.stack("service", "scale", "shop_web=1")
        cluster.wait_running("shop_web", 1)
        cluster.stack("service", "scale", "shop_web=3")
        cluster.docker("service", "update", "--detach", "--force", "shop_web")
        assert load.stdout is not None
        good, bad = map(int, load.stdout.read().split())
    assert good > 0
    assert bad == 0


def test_a_task_has_the_address_that_its_service_names(cluster: Cluster) -> None:
    named = {"networks": {"default": {"ipv4_address": "10.44.7.3"}}}
    file = {
        "services": {"web": {**idle(), **named}, "other": idle(replicas=2)},
        "networks": {"default": {"ipam": {"config": [{"subnet": "10.44.7.0/24"}]}}},
    }
    deploy = ("deploy", "--stable", "0", "--resolve-image", "never", "shop", "-c")
    cluster.stack(*deploy, cluster.compose_file(file))
    others = cluster.wait_running("shop_other", 2)
    for _ in range(2):
        [web] = cluster.wait_running("shop_web", 1)
        assert addresses(cluster, "shop_web") == ["10.44.7.3"]
        eventually("its name", ["10.44.7.3"], partial(resolve, cluster, others[0], "tasks.web"))
        shown = cluster.inspect(web)["NetworkSettings"]["Networks"]["shop_default"]
        assert shown["IPAddress"] == "10.44.7.3"
        cluster.docker("service", "update", "--detach", "--force", "shop_web")
        cluster.wait_running("shop_web", 1, without=[web.id])
    file["services"]["web"]["networks"]["default"]["ipv4_address"] = "10.9.9.9"
    said = cluster.stack(*deploy, cluster.compose_file(file), code=1).stderr
    assert "ipv4_address: 10.9.9.9 is not in 10.44.7.0/24" in said


def test_an_unhealthy_task_loses_its_name_while_it_still_runs(cluster: Cluster) -> None:
    stubborn = {
        "image": "stackyard/test:1",
        "command": ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"],
        "healthcheck": {"test": "test ! -e /tmp/sick", "interval": "1s", "retries": 1},
        "stop_grace_period": "30s",
        "deploy": {"replicas": 2},
    }
    cluster.deploy("shop", {"web": stubborn, "client": idle()})
    sick, well = cluster.wait_running("shop_web", 2)
    [client] = cluster.wait_running("shop_client", 1)
    eventually(
        "both", addresses(cluster, "shop_web"), partial(resolve, cluster, client, "tasks.web")
    )
    where = {task["ID"]: task["NetworksAttachments"][0] for task in cluster.api("GET", "/tasks")}
    remaining = where[well.task]["Addresses"][0].partition("/")[0]
    cluster.lab.enter(sick.host, "docker", "exec", sick.id, "touch", "/tmp/sick")
    eventually("the healthy one", [remaining], partial(resolve, cluster, client, "tasks.web"))
    assert cluster.inspect(sick)["State"]["Running"]


def test_a_node_without_network_process_is_given_no_task_in_a_network(cluster: Cluster) -> None:
    cluster.lab.kill_netd(2)
    named = {"Type": "Network", "Name": "stackyard"}

    def plugins() -> list[dict[str, str]]:
        found: list[dict[str, str]] = cluster.node(2)["Description"]["Engine"]["Plugins"]
        return found

    try:
        wait_for("the node to say so", lambda: named not in plugins())
        cluster.deploy("shop", {"web": idle(replicas=4)})
        assert {c.host for c in cluster.wait_running("shop_web", 4)} == {1, 3}
        only = {"placement": {"constraints": ["node.hostname==h2"]}}
        cluster.deploy("far", {"web": idle(**only)}, "--detach")
        wait_for(
            "the reason at the task",
            lambda: "stack-netd does not run on 1 node" in cluster.tasks("far_web")[0].error,
        )
    finally:
        cluster.lab.start_netd(2)
    assert {c.host for c in cluster.wait_running("far_web", 1)} == {2}


def leftovers(cluster: Cluster) -> list[str]:
    """What hosts still have of networks: in the engine, in stack-netd, and in the kernel."""
    found: list[str] = []
    for host in HOSTS:
        networks = cluster.lab.engine(host, "GET", "/networks")
        of_engine = [n["Name"] for n in networks if n["Driver"] == "stackyard"]
        viewed = [n["name"] for n in cluster.lab.netd(host, "GET", "/view").get("networks", ())]
        made = [
            (n["name"], n["endpoints"])
            for n in cluster.lab.netd(host, "GET", "/status")["networks"]
        ]
        in_kernel = cluster.lab.enter(host, "sh", "-c", IN_KERNEL).stdout.splitlines()
        left = [*of_engine, *viewed, *made, *in_kernel]
        found += [f"h{host}: {what}" for what in left]
    return found


def test_nothing_is_left_on_any_host_after_the_stack(cluster: Cluster) -> None:
    cluster.deploy("shop", shop())
    cluster.wait_running("shop_web", 3)
    cluster.stack("rm", "shop")
    wait_for("nothing left of the networks", lambda: not leftovers(cluster))


@pytest.mark.parametrize("netd_dies", [False, True])
def test_an_engine_that_was_killed_leaves_nothing_of_a_removed_stack(
    cluster: Cluster, *, netd_dies: bool
) -> None:
    cluster.deploy("shop", shop())
    cluster.wait_running("shop_web", 3)
    cluster.lab.kill_engine(2)
    if netd_dies:
        cluster.lab.kill_netd(2)
        cluster.lab.start_netd(2)
    cluster.lab.start_engine(2)
    cluster.wait_running("shop_web", 3)
    cluster.stack("rm", "shop")
    wait_for("nothing left of the networks", lambda: not leftovers(cluster), limit_s=30)
    held = cluster.api("GET", "/tasks")
    assert not held, held  # nobody holds an address any more


def test_a_stack_is_deployed_again_right_after_it_was_removed(cluster: Cluster) -> None:
    for _ in range(2):
        cluster.deploy("shop", shop())
        cluster.wait_running("shop_web", 3)
        client = cluster.wait_running("shop_client", len(HOSTS))[0]
        assert python(cluster, client, ASK, "http://web:8080/", "1")
        cluster.stack("rm", "shop")


def test_listings_show_the_network_once_and_who_is_in_it(cluster: Cluster) -> None:
    cluster.deploy("shop", shop())
    cluster.wait_running("shop_web", 3)
    listed = [n for n in cluster.api("GET", "/networks") if n["Name"] == "shop_default"]
    assert [n["Driver"] for n in listed] == ["overlay"]
    shown = json.loads(cluster.docker("network", "inspect", "--verbose", "shop_default").stdout)[0]
    tasks = shown["Services"]["shop_web"]["Tasks"]
    assert sorted(task["EndpointIP"] for task in tasks) == addresses(cluster, "shop_web")
    assert {peer["Name"] for peer in shown["Peers"]} == {"h1", "h2", "h3"}
