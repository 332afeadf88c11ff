"""Compose files become containers on three hosts, and follow the file when it changes."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from tests.e2e.conftest import Measure
from tests.support.cluster import HOSTS, Cluster, idle, wait_for

HELLO = "compose_examples/hello/docker-compose.yml"
GUESTBOOK = "compose_examples/guestbook/docker-compose.yml"


def test_hello_runs_on_every_host_and_answers(cluster: Cluster, measure: Measure) -> None:
    with measure("stack deploy of hello until it has run for a second"):
        cluster.stack("deploy", "-c", HELLO, "hello")
    containers = cluster.wait_running("hello_web", 3)
    assert {container.host for container in containers} == set(HOSTS)
    for container in containers:
        answer = wait_for("an answer", partial(cluster.http, container.host, 8080))
        assert answer == f"Hello from container {container.id[:12]}\n"


def test_a_redeploy_without_a_change_changes_nothing(cluster: Cluster, measure: Measure) -> None:
    cluster.stack("deploy", "-c", HELLO, "hello")
    with cluster.unchanged("hello_web"), measure("stack deploy of the same file again"):
        said = cluster.stack("deploy", "-c", HELLO, "hello")
    assert "reating" not in said.stdout
    assert "hello_web: 3/3 running" in said.stdout


def test_listings_show_the_stack_as_tables_and_as_json(cluster: Cluster) -> None:
    cluster.stack("deploy", "-c", HELLO, "hello")
    assert cluster.rows("ls") == [{"Name": "hello", "Services": "1"}]
    [service] = cluster.rows("services", "hello")
    assert (
        service.items()
        >= {
            "Name": "hello_web",
            "Mode": "replicated",
            "Replicas": "3/3",
            "Image": "stackyard/hello:1",
            "Ports": "*:8080->8080/tcp",
        }.items()
    )
    assert cluster.rows("service", "ls") == [service]
    tasks = cluster.rows("ps", "hello")
    assert [task["Name"] for task in tasks] == ["hello_web.1", "hello_web.2", "hello_web.3"]
    assert {task["Node"] for task in tasks} == {"h1", "h2", "h3"}
    assert all(task["CurrentState"].startswith("Running ") for task in tasks)
    assert [one["ID"] for one in cluster.rows("service", "ps", "hello_web")] == [
        one["ID"] for one in tasks
    ]
    nodes = cluster.rows("node", "ls")
    assert [(n["Hostname"], n["Status"], n["ManagerStatus"]) for n in nodes] == [
        ("h1", "Ready", "Leader"),
        ("h2", "Ready", ""),
        ("h3", "Ready", ""),
    ]
    for command, heading in (
        (("ls",), "NAME"),
        (("services", "hello"), "ID"),
        (("ps", "hello"), "ID"),
        (("node", "ls"), "ID"),
    ):
        lines = cluster.stack(*command).stdout.splitlines()
        assert lines[0].startswith(heading)
        assert len(lines) > 1


def test_a_removed_stack_is_gone_when_the_command_returns(
    cluster: Cluster, measure: Measure
) -> None:
    cluster.stack("deploy", "-c", HELLO, "hello")
    with measure("stack rm of hello"):
        cluster.stack("rm", "hello")
    assert cluster.containers("hello_web") == []
    assert cluster.rows("ls") == []
    assert "hello_default" not in [network["Name"] for network in cluster.api("GET", "/networks")]
    wait_for("the removal of containers", lambda: not cluster.containers(all_states=True))
    wait_for(
        "the tasks to be forgotten", lambda: cluster.stack("ps", "hello", code=None).returncode
    )
    missing = cluster.stack("ps", "hello", code=1)
    assert missing.stderr == "error: nothing found in stack: hello\n"
    cluster.stack("deploy", "-c", HELLO, "hello")


def test_the_guest_book_keeps_what_a_visitor_writes(cluster: Cluster, measure: Measure) -> None:
    with measure("stack deploy of guestbook"):
        cluster.stack("deploy", "-c", GUESTBOOK, "guestbook")
    counts = {s["Name"]: s["Replicas"] for s in cluster.rows("services", "guestbook")}
    assert counts == {
        "guestbook_db": "1/1",
        "guestbook_queue": "1/1",
        "guestbook_web": "2/2",
        "guestbook_worker": "2/2",
    }
    assert {c.host for c in cluster.containers()} == set(HOSTS)

    def entries(host: int) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads(cluster.http(host, 8081, "/entries"))
        return listed

    wait_for("the guest book to answer", lambda: all(entries(host) == [] for host in HOSTS))
    entry = json.dumps({"name": "Ann", "text": "was here"})
    with measure("guestbook: an entry from the web through queue and worker to the database"):
        wait_for("the entry to be taken", lambda: cluster.http(2, 8081, "/entries", entry))
        shown = wait_for("the entry to show on another host", lambda: entries(3))
    assert shown[0].items() >= {"name": "Ann", "text": "was here"}.items()
    assert entries(1) == shown
    assert "Ann" in cluster.http(2, 8081)


def test_scaling_adds_and_takes_away_tasks_and_leaves_the_others(
    cluster: Cluster, measure: Measure
) -> None:
    cluster.deploy("shop", {"web": idle(replicas=3)})
    three = cluster.container_ids("shop_web")
    cluster.stack("service", "scale", "shop_web=6")
    with measure("scale from 3 to 6"):
        six = cluster.wait_running("shop_web", 6)
    assert {c.id for c in six} > three
    assert sorted(c.host for c in six) == [1, 1, 2, 2, 3, 3]
    cluster.stack("service", "scale", "shop_web=2")
    with measure("scale from 6 to 2"):
        two = cluster.wait_running("shop_web", 2)
    assert {c.id for c in two} < {c.id for c in six}
    assert len({c.host for c in two}) == 2
    cluster.stack("service", "scale", "shop_web=0")
    cluster.wait_running("shop_web", 0)


def test_an_update_replaces_one_task_after_the_other(cluster: Cluster, measure: Measure) -> None:
    service = idle(replicas=3, update_config={"parallelism": 1, "order": "stop-first"})
    cluster.deploy("shop", {"web": {**service, "environment": {"EDITION": "1"}}})
    old = cluster.containers("shop_web")
    with measure("rolling update of 3 replicas, one at a time"):
        cluster.deploy("shop", {"web": {**service, "environment": {"EDITION": "2"}}})
    new = cluster.wait_running("shop_web", 3, without={c.id for c in old})
    assert all("EDITION=2" in cluster.inspect(c)["Config"]["Env"] for c in new)
    stopped = sorted(cluster.inspect(c)["State"]["FinishedAt"] for c in old)
    started = sorted(cluster.inspect(c)["State"]["StartedAt"] for c in new)
    # Stop-first: each begins after one has ended. One at a time: the next ends after it has begun.
    moments = [moment for pair in zip(stopped, started, strict=True) for moment in pair]
    assert moments == sorted(moments)


def test_an_update_to_a_missing_image_leaves_the_old_tasks_running(
    cluster: Cluster, measure: Measure
) -> None:
    service = idle(replicas=3, update_config={"parallelism": 1, "order": "stop-first"})
    cluster.deploy("shop", {"web": service})
    before = cluster.container_ids("shop_web")
    with measure("stack deploy of a missing image until it gives up"):
        said = cluster.deploy("shop", {"web": {**service, "image": "nowhere/missing:1"}}, code=1)
    assert "nowhere/missing:1" in said.stderr
    errors = [line for line in said.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert cluster.container_ids("shop_web") == before
    # The way back is the file of before; nothing that runs is touched.
    cluster.deploy("shop", {"web": service})
    assert cluster.container_ids("shop_web") == before
    cluster.wait_running("shop_web", 3)


def test_prune_removes_what_the_file_no_longer_names(cluster: Cluster) -> None:
    cluster.deploy("shop", {"web": idle(), "old": idle()})
    web = cluster.container_ids("shop_web")
    cluster.deploy("shop", {"web": idle()})
    assert cluster.service_names() == {"shop_web", "shop_old"}
    cluster.deploy("shop", {"web": idle()}, "--prune")
    assert cluster.service_names() == {"shop_web"}
    wait_for("its container to stop", lambda: not cluster.containers("shop_old"))
    assert cluster.container_ids("shop_web") == web
