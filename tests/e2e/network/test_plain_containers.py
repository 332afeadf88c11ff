"""Plain containers join attachable networks, on every node, and are known there by name."""

from __future__ import annotations

import subprocess
from functools import partial

from tests.e2e.network.test_stack_networks import (
    ASK,
    RESOLVE,
    eventually,
    leftovers,
    python,
    resolve,
)
from tests.support.cluster import Cluster, Container, idle, wait_for

IMAGE = "stackyard/hello:1"


def run(cluster: Cluster, host: int, name: str, *options: str) -> Container:
    """Run a plain container through a host's stackd."""
    made = cluster.docker("run", "-d", "--name", name, *options, IMAGE, host=host)
    return Container(host=host, id=made.stdout.strip(), service="", task="", state="running")


def create(cluster: Cluster, name: str, *options: str) -> None:
    cluster.docker("network", "create", "-d", "overlay", *options, name)


def address(cluster: Cluster, container: Container, network: str) -> str:
    found = cluster.inspect(container)["NetworkSettings"]["Networks"][network]
    return str(found["IPAddress"])


def remove(cluster: Cluster, network: str) -> None:
    """Remove a network as soon as the manager knows that nobody is in it."""

    def removed() -> bool:
        done: subprocess.CompletedProcess[str] = cluster.docker("network", "rm", network, code=None)
        return done.returncode == 0

    wait_for(f"network {network} to be free", removed)


def test_plain_containers_and_services_know_each_other_by_name(cluster: Cluster) -> None:
    create(cluster, "yard", "--attachable")
    file = cluster.compose_file(
        "networks: {yard: {external: true}}\n"
        "services:\n"
        "  web: {image: 'stackyard/hello:1', networks: [yard], deploy: {mode: global}}\n"
    )
    options = ("--stable", "0", "--resolve-image", "never")
    cluster.stack("deploy", "-c", file, *options, "shop")
    web = cluster.wait_running("shop_web", 3)
    on_worker = run(cluster, 2, "box", "--network", "yard", "--network-alias", "crate")
    on_manager = run(cluster, 1, "bin", "--network", "yard")
    for plain in (on_worker, on_manager):
        eventually("all tasks", 3, lambda p=plain: len(resolve(cluster, p, "tasks.web")))
        answers = python(cluster, plain, ASK, "http://web:8080/", "3").split()
        assert sorted(answers) == sorted(c.id[:12] for c in web)
    where = address(cluster, on_worker, "yard")
    for name in ("box", "crate", on_worker.id[:12], "box.yard"):
        for asking in (on_manager, *web):
            eventually(name, [where], partial(resolve, cluster, asking, name))
    assert python(cluster, web[0], ASK, "http://crate:8080/", "1") == on_worker.id[:12]
    shown = cluster.api("GET", "/networks/yard?verbose=true")
    assert {t["Name"] for t in shown["Services"][""]["Tasks"]} == {"box", "bin"}
    assert shown["Services"]["shop_web"]["Tasks"]
    assert on_manager.id in shown["Containers"]
    places = cluster.api("GET", '/tasks?filters={"runtime":["attachment"]}')
    held = {place["Spec"]["NetworkAttachmentSpec"]["ContainerID"]: place for place in places}
    assert held.keys() == {on_worker.id, on_manager.id}
    assert held[on_worker.id]["NetworksAttachments"][0]["Addresses"] == [f"{where}/24"]
    inspected = cluster.docker("inspect", held[on_worker.id]["ID"], "-f", "{{.Spec.Runtime}}")
    assert inspected.stdout.strip() == "attachment"
    for of in (("service", "ps", "shop_web"), ("stack", "ps", "shop"), ("node", "ps", "h2")):
        assert cluster.docker(*of, "-q").stdout.count("\n") == (1 if of[0] == "node" else 3)
    cluster.docker("stop", "-t", "0", "box", host=2)
    eventually("a stopped container's name", ["unknown"], partial(resolve, cluster, web[0], "box"))
    cluster.docker("start", "box", host=2)
    eventually("its name again", [where], partial(resolve, cluster, web[0], "box"))
    refused = cluster.docker("network", "rm", "yard", code=1)
    assert "in use" in refused.stderr
    cluster.docker("rm", "-f", "box", host=2)
    cluster.docker("rm", "-f", "bin")
    cluster.stack("rm", "shop")
    remove(cluster, "yard")
    wait_for("nothing left of the networks", lambda: not leftovers(cluster))


def test_containers_are_connected_and_disconnected_while_they_run(cluster: Cluster) -> None:
    create(cluster, "yard", "--attachable")
    create(cluster, "barn", "--attachable")
    box = run(cluster, 3, "box", "--network", "yard")
    cow = run(cluster, 2, "cow", "--network", "barn")
    assert resolve(cluster, cow, "box") == ["unknown"]
    cluster.docker("network", "connect", "--alias", "crate", "barn", "box", host=3)
    where = address(cluster, box, "barn")
    for name in ("box", "crate"):
        eventually(name, [where], partial(resolve, cluster, cow, name))
    eventually("cow", [address(cluster, cow, "barn")], partial(resolve, cluster, box, "cow"))
    assert python(cluster, box, ASK, "http://cow:8080/", "1") == cow.id[:12]
    cluster.docker("network", "disconnect", "barn", "box", host=3)
    eventually("the name", ["unknown"], partial(resolve, cluster, cow, "box"))
    cluster.docker("rm", "-f", "box", host=3)
    cluster.docker("rm", "-f", "cow", host=2)
    for network in ("yard", "barn"):
        remove(cluster, network)
    wait_for("nothing left of the networks", lambda: not leftovers(cluster))


def test_what_plain_containers_may_not_have_is_refused(cluster: Cluster) -> None:
    create(cluster, "yard", "--attachable", "--subnet", "10.91.0.0/24")
    create(cluster, "safe")
    for host in (1, 2):
        said = cluster.docker("create", "--network", "safe", IMAGE, host=host, code=1).stderr
        assert "Could not attach to network safe" in said
        assert "network safe not manually attachable" in said
    made = cluster.docker("run", "--rm", "--network", "nowhere", IMAGE, host=2, code=125)
    assert "network nowhere not found" in made.stderr
    box = run(cluster, 2, "box", "--network", "yard", "--ip", "10.91.0.77")
    assert address(cluster, box, "yard") == "10.91.0.77"
    again = ("create", "--network", "yard", "--ip", "10.91.0.77", IMAGE)
    assert "10.91.0.77 of network yard is taken" in cluster.docker(*again, host=3, code=1).stderr
    # a container that was not made holds no address
    taken_name = ("create", "--name", "box", "--network", "yard", "--ip", "10.91.0.78", IMAGE)
    assert "already in use" in cluster.docker(*taken_name, host=2, code=1).stderr
    other = run(cluster, 2, "other", "--network", "yard", "--ip", "10.91.0.78")
    assert address(cluster, other, "yard") == "10.91.0.78"


def test_a_plain_container_outlives_the_daemons_and_keeps_its_name(cluster: Cluster) -> None:
    create(cluster, "yard", "--attachable")
    cluster.deploy("far", {"other": idle()})
    box = run(cluster, 2, "box", "--network", "yard")
    bin_ = run(cluster, 3, "bin", "--network", "yard")
    where = address(cluster, box, "yard")
    eventually("box", [where], partial(resolve, cluster, bin_, "box"))
    cluster.lab.kill_stackd(2)
    cluster.lab.kill_netd(2)
    cluster.lab.kill_stackd(1)
    cluster.lab.start_netd(2)
    cluster.lab.start_stackd(1)
    cluster.lab.start_stackd(2)
    cluster.wait_for_node(2, "ready")
    eventually("box", [where], partial(resolve, cluster, bin_, "box"))
    assert python(cluster, bin_, RESOLVE, "box") == where
    cluster.lab.kill_stackd(2)
    cluster.lab.engine(2, "DELETE", f"/containers/{box.id}?force=1")
    cluster.lab.start_stackd(2)
    eventually("nobody", ["unknown"], partial(resolve, cluster, bin_, "box"))
    cluster.docker("rm", "-f", "bin", host=3)
    remove(cluster, "yard")
