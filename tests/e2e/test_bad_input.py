"""What cannot work is refused in one clear error, and what runs goes on as it was."""

from __future__ import annotations

from tests.support.cluster import Cluster, idle, wait_for

WEB = {**idle(replicas=3), "ports": [{"target": 8080, "published": 8080, "mode": "host"}]}


WRONG_FILES = [
    # what is in the file, the line it is about, what the error names
    ("services:\n  web: {image: [\n", 3, "YAML"),
    ("services:\n  web:\n    image: stackyard/test:1\n    imagee: x\n", 4, "imagee"),
    ("services:\n  web:\n    image: stackyard/test:1\n    deploy: {replicas: -1}\n", 4, "-1"),
    ("services:\n  web:\n    image: ${NAME:?is not set}\n", 3, "NAME"),
    ("services:\n  web: {}\n", 2, "image"),
    ("[]\n", 1, "must be a map"),
]


def test_a_wrong_file_is_refused_with_its_place(cluster: Cluster) -> None:
    cluster.deploy("shop", {"web": WEB})
    with cluster.unchanged("shop_web"):
        for text, number, reason in WRONG_FILES:
            file = cluster.compose_file(text)
            said = cluster.stack("deploy", "-c", file, "shop", code=2)
            [line] = said.stderr.splitlines()
            assert line.startswith(f"error: {file}:{number}:")
            assert reason in line
            assert said.stdout == ""


def test_a_missing_file_is_refused(cluster: Cluster) -> None:
    with cluster.unchanged():
        said = cluster.stack("deploy", "-c", "/nowhere/docker-compose.yml", "shop", code=2)
    [line] = said.stderr.splitlines()
    assert "/nowhere/docker-compose.yml" in line


REFUSED_SERVICES = [
    (idle(placement={"constraints": ["node.nonsense == x"]}), "node.nonsense"),
    (idle(placement={"constraints": ["node.role"]}), "node.role"),
    ({"image": "Not An Image"}, "Not An Image"),
]


def test_a_service_that_is_refused_is_not_created(cluster: Cluster) -> None:
    cluster.deploy("shop", {"web": WEB})
    with cluster.unchanged("shop_web"):
        for service, reason in REFUSED_SERVICES:
            said = cluster.deploy("other", {"bad": service}, code=None)
            assert said.returncode != 0
            [line] = [line for line in said.stderr.splitlines() if line.startswith("error: ")]
            assert reason in line


def test_an_update_the_cluster_refuses_leaves_the_service_as_it_is(cluster: Cluster) -> None:
    cluster.deploy("shop", {"web": WEB})
    bad = {**WEB, "deploy": {**WEB["deploy"], "placement": {"constraints": ["node.role = x"]}}}
    with cluster.unchanged("shop_web"):
        said = cluster.deploy("shop", {"web": bad}, code=None)
    assert said.returncode != 0
    assert "node.role = x" in said.stderr


def test_a_missing_image_is_told_with_its_name(cluster: Cluster) -> None:
    said = cluster.deploy("shop", {"web": {**WEB, "image": "nowhere/missing:1"}}, code=1)
    [line] = [line for line in said.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: shop_web: a task cannot run: ")
    assert "nowhere/missing:1" in line
    assert cluster.containers(all_states=True) == []


def test_a_host_port_that_is_taken_is_told_and_takes_nothing_away(cluster: Cluster) -> None:
    cluster.deploy("shop", {"web": WEB})
    before = cluster.container_ids("shop_web")
    clash = {**idle(), "ports": WEB["ports"]}
    said = cluster.deploy("other", {"web": clash}, "--timeout", "2", code=4)
    [line] = [line for line in said.stderr.splitlines() if line.startswith("error: ")]
    assert "other_web: 0/1 running: no suitable node" in line
    assert "host-mode port already in use on 3 nodes" in line
    assert cluster.container_ids() == before
    # Once there is room it runs, without being asked again.
    cluster.stack("service", "scale", "shop_web=2")
    cluster.wait_running("other_web", 1)
    cluster.wait_running("shop_web", 2)


def test_a_host_port_that_a_foreign_container_has_is_told(cluster: Cluster) -> None:
    for host in (1, 2, 3):
        cluster.docker("run", "-d", "-p", "8080:8080", "stackyard/test:1", host=host)
    said = cluster.deploy(
        "shop", {"web": {**WEB, "deploy": {"replicas": 1}}}, "--timeout", "3", code=5
    )
    [line] = [line for line in said.stderr.splitlines() if line.startswith("error: ")]
    assert "shop_web" in line
    assert "8080" in line


WRONG_COMMANDS = [
    ("service scale shop_web=many", 2, "shop_web=many"),
    ("service scale missing=2", 1, "missing"),
    ("service ps missing", 1, "missing"),
    ("ps missing", 1, "missing"),
    ("node update --label-add a=b h9", 1, "h9"),
    ("node update --label-rm none h2", 1, "none"),
    ("node update --availability asleep h2", 2, "asleep"),
    ("cluster token boss", 2, "boss"),
    ("nonsense", 2, "nonsense"),
]


def test_a_wrong_command_ends_with_one_line(cluster: Cluster) -> None:
    with cluster.unchanged():
        for command, code, reason in WRONG_COMMANDS:
            [line] = cluster.stack(*command.split(), code=code).stderr.splitlines()
            assert line.startswith("error: ")
            assert reason in line


def test_a_node_that_answers_nothing_is_named(cluster: Cluster) -> None:
    cluster.lab.kill_stackd(2)
    said = cluster.stack("ls", host=2, code=1)
    [line] = said.stderr.splitlines()
    assert str(cluster.lab.host(2).stackd_socket) in line
    cluster.lab.start_stackd(2)
    wait_for("h2 to be back", lambda: cluster.node(2)["Status"]["State"] == "ready")
