"""Services of a stack reach each other by their names, wherever their tasks are."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

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
    cluster.deploy("shop", shop())
    web = {c.id[:12] for c in cluster.wait_running("shop_web", 3)}
    for client in cluster.wait_running("shop_client", len(HOSTS)):
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


def test_nothing_is_left_on_any_host_after_the_stack(cluster: Cluster) -> None:
    cluster.deploy("shop", shop())
    cluster.wait_running("shop_web", 3)
    cluster.stack("rm", "shop")

    def left() -> list[str]:
        networks = [
            network["Name"]
            for host in HOSTS
            for network in cluster.lab.engine(host, "GET", "/networks")
            if network["Driver"] == "stackyard"
        ]
        views = [
            n["name"]
            for h in HOSTS
            for n in cluster.lab.netd(h, "GET", "/view").get("networks", ())
        ]
        return networks + views

    wait_for("nothing left of the networks", lambda: not left())


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
