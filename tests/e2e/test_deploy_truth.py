"""`stack deploy` ends by itself, with a code and a reason that a pipeline can trust."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

from tests.e2e.conftest import Measure
from tests.support.cluster import Cluster, idle

CRASH = "sh -c 'echo about to fail; sleep 0.2; exit 3'"
WATCHED = ("--stable", "5")
"""As `stack deploy` does by itself; the other tests do not wait for that."""

SOON_S = 15.0
"""What nobody can run is told within this; the issue's own limit."""


def one_shot(command: str) -> dict[str, Any]:
    policy = {"condition": "none"}
    return {"image": "stackyard/test:1", "command": command, "deploy": {"restart_policy": policy}}


def error_of(said: subprocess.CompletedProcess[str]) -> str:
    [line] = [line for line in said.stderr.splitlines() if line.startswith("error: ")]
    return line


def test_healthy(cluster: Cluster, measure: Measure) -> None:
    with measure("deploy: healthy, exit 0"):
        said = cluster.deploy("shop", {"web": idle(replicas=3)})
    assert "shop_web: 3/3 running" in said.stdout
    assert "error" not in said.stderr


def test_a_failing_update_that_is_rolled_back_is_exit_code_3(
    cluster: Cluster, measure: Measure
) -> None:
    config = {"failure_action": "rollback", "monitor": "2s"}
    good = idle(replicas=2, update_config=config, rollback_config={"monitor": "1s"})
    cluster.deploy("shop", {"web": good})
    with measure("deploy: failing update with rollback, exit 3"):
        said = cluster.deploy("shop", {"web": {**good, "command": CRASH}}, code=3)
    assert "shop_web: the update was rolled back" in error_of(said)
    assert "(exit code 3)" in said.stderr
    assert "| about to fail" in said.stderr
    cluster.wait_running("shop_web", 2)
    # a service that went back differs from the file again: the good file brings no change
    cluster.deploy("shop", {"web": good})
    missing = {**good, "image": "nowhere/missing:1"}
    with measure("deploy: update to a missing image with rollback, exit 3"):
        said = cluster.deploy("shop", {"web": missing}, code=3)
    assert "nowhere/missing:1" in error_of(said)


def test_a_failing_update_that_is_paused_is_exit_code_1(cluster: Cluster, measure: Measure) -> None:
    good = idle(replicas=2)
    cluster.deploy("shop", {"web": good})
    with measure("deploy: failing update with pause, exit 1"):
        said = cluster.deploy("shop", {"web": {**good, "command": CRASH}}, code=1)
    assert "shop_web: the update is paused" in error_of(said)
    assert "| about to fail" in said.stderr
    assert any(f" on h{host} (exit code 3)" in said.stderr for host in (1, 2, 3))


def test_an_update_that_crashes_after_it_ran_for_a_while_is_no_success(cluster: Cluster) -> None:
    config = {"failure_action": "rollback", "monitor": "4s"}
    good = idle(replicas=1, update_config=config, rollback_config={"monitor": "1s"})
    cluster.deploy("shop", {"web": good})
    late = {**good, "command": "sh -c 'sleep 2; exit 3'"}
    cluster.deploy("shop", {"web": late}, code=3)


def test_a_crash_loop_is_exit_code_1(cluster: Cluster, measure: Measure) -> None:
    with measure("deploy: crash loop, exit 1"):
        said = cluster.deploy("shop", {"web": {**idle(), "command": CRASH}}, *WATCHED, code=1)
    assert "shop_web: a task failed 3 times: task: non-zero exit (3)" in error_of(said)
    assert "| about to fail" in said.stderr


def test_an_impossible_constraint_is_exit_code_4_and_told_soon(
    cluster: Cluster, measure: Measure
) -> None:
    placement = {"constraints": ["node.labels.disk == gold"]}
    began = time.monotonic()
    with measure("deploy: impossible constraint, exit 4"):
        said = cluster.deploy("shop", {"web": idle(placement=placement)}, code=4)
    assert time.monotonic() - began < SOON_S
    assert "shop_web: no suitable node (" in error_of(said)
    cluster.deploy("all", {"web": idle(mode="global", placement=placement)}, code=4)


def test_a_missing_image_is_exit_code_1_and_told_soon(cluster: Cluster, measure: Measure) -> None:
    began = time.monotonic()
    with measure("deploy: missing image, exit 1"):
        said = cluster.deploy("shop", {"web": {**idle(), "image": "nowhere/missing:1"}}, code=1)
    assert time.monotonic() - began < SOON_S
    assert "nowhere/missing:1" in error_of(said)


def test_a_one_shot_that_ended_well_is_converged(cluster: Cluster, measure: Measure) -> None:
    with measure("deploy: one-shot done, exit 0"):
        cluster.deploy("shop", {"job": one_shot("true"), "web": idle()})
    [first] = cluster.tasks("shop_job")
    cluster.deploy("shop", {"job": one_shot("true"), "web": idle()})
    assert [task.id for task in cluster.tasks("shop_job")] == [first.id]
    # a changed one runs again, and its quick end is no failure of the update
    cluster.deploy("shop", {"job": one_shot("sh -c true"), "web": idle()})
    assert len(cluster.tasks("shop_job")) == 2


def test_a_one_shot_that_failed_is_exit_code_1(cluster: Cluster, measure: Measure) -> None:
    with measure("deploy: one-shot failed, exit 1"):
        said = cluster.deploy("shop", {"job": one_shot(CRASH)}, *WATCHED, code=1)
    assert error_of(said).startswith("error: shop_job: a task cannot run: task: non-zero exit (3)")
    assert "| about to fail" in said.stderr


def test_a_stack_can_be_deployed_right_after_it_was_removed(
    cluster: Cluster, measure: Measure
) -> None:
    file = {
        "web": {**idle(replicas=3), "ports": [{"target": 80, "published": 8080, "mode": "host"}]}
    }
    cluster.deploy("shop", file)
    with measure("rm then deploy, exit 0"):
        cluster.stack("rm", "shop")
        assert cluster.api("GET", "/tasks") == []
        cluster.deploy("shop", file)


def test_what_takes_too_long_is_exit_code_5(cluster: Cluster) -> None:
    never = {"test": "false", "interval": "1s", "retries": 1000}
    web = {**idle(), "healthcheck": {**never, "start_period": "1h"}}
    said = cluster.deploy("shop", {"web": web}, "--timeout", "3", code=5)
    assert error_of(said) == "error: not running after 3 s; shop_web: 0/1 running"


def test_events_are_json_a_line(cluster: Cluster) -> None:
    crash = {**idle(), "command": CRASH}
    said = cluster.deploy("shop", {"web": crash}, *WATCHED, "--output", "json", code=1)
    events = [json.loads(line) for line in said.stdout.splitlines()]
    assert events[-1].items() >= {"event": "end", "result": "failed", "exit_code": 1}.items()
    [failure] = [event for event in events if event["event"] == "failure"]
    assert failure["log"] == ["about to fail"]
    assert failure["node"] in ("h1", "h2", "h3")
