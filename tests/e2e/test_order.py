"""`depends_on` and migrations decide when services start, on first deploys and on updates."""

from __future__ import annotations

from typing import Any

from tests.support.cluster import Cluster, idle, wait_for

READY_AFTER_2_S = "test -e /tmp/ready || { sleep 2; touch /tmp/ready; false; }"


def healthy(edition: str) -> dict[str, Any]:
    check = {"test": READY_AFTER_2_S, "interval": "1s", "retries": 20, "timeout": "5s"}
    return {
        **idle(update_config={"monitor": "1s"}),
        "environment": {"EDITION": edition},
        "healthcheck": check,
    }


def web(edition: str, **more: Any) -> dict[str, Any]:
    return {
        **idle(replicas=2, update_config={"monitor": "1s", "parallelism": 0}),
        "environment": {"EDITION": edition},
        **more,
    }


def moment(cluster: Cluster, service: str, member: str) -> str:
    """When the newest task of a service reached a state, or was made."""
    task = max(
        (
            t
            for t in cluster.api("GET", "/tasks")
            if t["ServiceID"] == cluster.service(service)["ID"]
        ),
        key=lambda t: str(t["CreatedAt"]),
    )
    return str(task["CreatedAt"] if member == "made" else task["Status"]["Timestamp"])


def test_a_service_starts_once_the_other_is_healthy_and_updates_after_it(
    cluster: Cluster,
) -> None:
    after = {"depends_on": {"db": {"condition": "service_healthy"}}}
    said = cluster.deploy("shop", {"web": web("1", **after), "db": healthy("1")})
    assert "shop_web: 0/2 running: waits for shop_db to be healthy" in said.stdout
    assert moment(cluster, "shop_web", "made") > moment(cluster, "shop_db", "running")
    cluster.deploy("shop", {"web": web("2", **after), "db": healthy("2")})
    assert moment(cluster, "shop_web", "made") > moment(cluster, "shop_db", "running")
    editions = {
        one for c in cluster.containers("shop_web") for one in cluster.inspect(c)["Config"]["Env"]
    }
    assert "EDITION=2" in editions
    assert "EDITION=1" not in editions


def test_a_failing_migration_leaves_the_old_version_serving(cluster: Cluster) -> None:
    def migration(command: str) -> dict[str, Any]:
        return {"image": "stackyard/test:1", "command": command, "x-stack": {"pre_deploy": True}}

    cluster.deploy("shop", {"web": web("1"), "migrate": migration("sh -c 'echo one'")})
    old = cluster.container_ids("shop_web")
    broken = migration("sh -c 'echo no such table; exit 4'")
    said = cluster.deploy("shop", {"web": web("2"), "migrate": broken}, code=1)
    assert "shop_migrate: a task cannot run: task: non-zero exit (4)" in said.stderr
    assert "| no such table" in said.stderr
    assert cluster.container_ids("shop_web") == old
    # the same file again runs the migration again, and fails again
    cluster.deploy("shop", {"web": web("2"), "migrate": broken}, code=1)
    assert cluster.container_ids("shop_web") == old
    cluster.deploy("shop", {"web": web("2"), "migrate": migration("sh -c 'sleep 1'")})
    cluster.wait_running("shop_web", 2, without=old)
    # and an unchanged one is not run again
    with cluster.unchanged("shop_web", "shop_migrate"):
        cluster.deploy("shop", {"web": web("2"), "migrate": migration("sh -c 'sleep 1'")})


def test_a_dependent_restarts_with_the_other_where_it_asks_for_that(cluster: Cluster) -> None:
    after = {"depends_on": {"db": {"condition": "service_healthy", "restart": True}}}
    cluster.deploy("shop", {"db": healthy("1"), "web": web("1", **after)})
    old = cluster.container_ids("shop_web")
    cluster.deploy("shop", {"db": healthy("2"), "web": web("1", **after)})
    wait_for("new tasks of web", lambda: not cluster.container_ids("shop_web") & old)
    cluster.wait_running("shop_web", 2, without=old)
