"""What dies is replaced; what comes back makes no duplicates; nothing acknowledged is lost."""

from __future__ import annotations

import random
import threading
import time
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.e2e.conftest import Measure
from tests.support.cluster import HOSTS, MANAGER, WORKERS, Cluster, idle, wait_for
from tests.support.lab_host import LabError, in_parallel

STEADY_S = 1.5  # longer than the restart delay of the tasks here
FAILING = {
    "image": "stackyard/test:1",
    "command": ["sh", "-c", "exit 3"],
}


def steady(cluster: Cluster, service: str, replicas: int) -> None:
    """Wait for exactly so many containers, and that the tasks then stay as they are for a while."""
    seen: list[tuple[float, object]] = []

    def long_enough() -> bool:
        containers = frozenset(c.id for c in cluster.wait_running(service, replicas))
        tasks = frozenset(t.id for t in cluster.tasks(service))
        if seen and seen[-1][1] == (containers, tasks):
            return time.monotonic() - seen[-1][0] > STEADY_S
        seen.append((time.monotonic(), (containers, tasks)))
        return False

    wait_for(f"{service} to be steady", long_enough)


def test_a_removed_container_is_replaced(cluster: Cluster, measure: Measure) -> None:
    cluster.deploy("shop", {"web": idle(replicas=3)})
    before = cluster.containers("shop_web")
    victim = next(c for c in before if c.host == 2)
    with measure("replace a container after docker rm -f (restart delay 1 s)"):
        cluster.docker("rm", "-f", victim.id, host=2)
        after = cluster.wait_running("shop_web", 3, without={victim.id})
    assert {c.id for c in before} - {victim.id} < {c.id for c in after}
    [failed] = [t for t in cluster.tasks("shop_web") if t.state == "failed"]
    assert failed.id == victim.task
    assert failed.error


def test_a_container_that_exits_is_started_again_after_the_delay(cluster: Cluster) -> None:
    policy = {"condition": "any", "delay": "1s"}
    cluster.deploy("shop", {"bad": {**FAILING, "deploy": {"restart_policy": policy}}}, "--detach")

    def ended() -> list[Any]:
        return [t for t in cluster.tasks("shop_bad") if t.state == "failed"]

    wait_for("three failures", lambda: len(ended()) >= 3)
    assert {(t.slot, t.exit_code) for t in ended()} == {(1, 3)}
    assert "exit (3)" in ended()[0].error
    containers = [c for c in cluster.containers("shop_bad", all_states=True) if c.state == "exited"]
    states = sorted((cluster.inspect(c)["State"] for c in containers), key=lambda s: s["StartedAt"])
    for earlier, later in pairwise(states):
        waited = moment(later["StartedAt"]) - moment(earlier["FinishedAt"])
        assert waited >= timedelta(seconds=0.9)  # the engine's clock is not the manager's


def moment(text: str) -> datetime:
    """A time as engines write it: UTC, in nanoseconds, without zeros at the end."""
    return datetime.fromisoformat(text.rstrip("Z")[:26].ljust(26, "0"))


def test_restarts_end_after_the_attempts_a_policy_allows(cluster: Cluster) -> None:
    policy = {"condition": "on-failure", "delay": "0s", "max_attempts": 2}
    said = cluster.deploy(
        "shop",
        {"bad": {**FAILING, "deploy": {"restart_policy": policy}}},
        "--timeout",
        "60",
        code=1,
    )
    assert "exit (3)" in said.stderr
    wait_for(
        "three attempts",
        lambda: [t.state for t in cluster.tasks("shop_bad")] == ["failed"] * 3,
    )


def test_a_worker_whose_daemons_are_killed_loses_its_tasks_and_returns_clean(
    cluster: Cluster, measure: Measure
) -> None:
    cluster.deploy("shop", {"web": idle(replicas=6)})
    with measure("tasks run elsewhere after kill -9 of a worker's stackd and engine"):
        cluster.lab.kill_stackd(2)
        cluster.lab.kill_engine(2)
        elsewhere = cluster.wait_running("shop_web", 6)
    assert {c.host for c in elsewhere} == {1, 3}
    assert cluster.node(2)["Status"]["State"] == "down"
    with measure("a killed worker is ready again"):
        cluster.lab.start_engine(2)
        cluster.lab.start_stackd(2)
        cluster.wait_for_node(2, "ready")
    steady(cluster, "shop_web", 6)
    assert cluster.container_ids("shop_web") == {c.id for c in elsewhere}


def test_containers_outlive_a_killed_agent(cluster: Cluster) -> None:
    cluster.deploy("shop", {"web": idle(replicas=6)})
    with cluster.unchanged("shop_web"):
        for host in (2, 3):
            cluster.lab.kill_stackd(host)
        for host in (2, 3):
            cluster.lab.start_stackd(host)
            cluster.wait_for_node(host, "ready")
        steady(cluster, "shop_web", 6)
    assert {cluster.inspect(c)["RestartCount"] for c in cluster.containers()} == {0}


def test_an_agent_that_was_down_carries_out_what_it_missed(cluster: Cluster) -> None:
    cluster.deploy("shop", {"web": idle(replicas=3), "old": idle(replicas=3)})
    cluster.lab.kill_stackd(3)
    cluster.api("DELETE", "/services/shop_old")
    cluster.stack("service", "scale", "shop_web=9")
    cluster.lab.start_stackd(3)
    steady(cluster, "shop_web", 9)
    wait_for(
        "no container of the removed", lambda: not cluster.containers("shop_old", all_states=True)
    )


def test_containers_outlive_a_manager_that_is_killed_and_is_asked_again(
    cluster: Cluster, measure: Measure
) -> None:
    cluster.deploy("shop", {"web": idle(replicas=6)})
    with cluster.unchanged("shop_web"):
        cluster.lab.kill_stackd(MANAGER)
        with measure("a killed manager answers again, its data read"):
            cluster.lab.start_stackd(MANAGER)
            wait_for("the manager to lead", lambda: cluster.api("GET", "/services"))
        steady(cluster, "shop_web", 6)


@pytest.mark.parametrize("seed", range(3))
def test_a_manager_killed_during_a_deploy_loses_nothing_acknowledged(
    cluster: Cluster, measure: Measure, seed: int
) -> None:
    rng = random.Random(seed)
    acknowledged: list[str] = []
    refused: list[str] = []

    def create() -> None:
        for number in range(40):
            template = {"ContainerSpec": {"Image": "stackyard/test:1"}}
            body = {
                "Name": f"s{number}",
                "TaskTemplate": template,
                "Mode": {"Replicated": {"Replicas": 1}},
            }
            try:
                cluster.api("POST", "/services/create", body)
            except (OSError, LabError) as error:
                refused.append(str(error))
                return
            acknowledged.append(str(body["Name"]))

    client = threading.Thread(target=create)
    client.start()
    time.sleep(rng.uniform(0.02, 0.8))  # the random moment
    cluster.lab.kill_stackd(MANAGER)
    client.join()
    ran = cluster.container_ids()
    with measure(
        f"recover from kill -9 during a deploy ({len(acknowledged)} services acknowledged)"
    ):
        cluster.lab.start_stackd(MANAGER)
        wait_for("the manager to lead", lambda: cluster.api("GET", "/swarm"))
        names = cluster.service_names()
        assert names >= set(acknowledged)
        assert len(names) <= len(acknowledged) + 1  # the one that was under way
        for name in names:
            cluster.wait_running(name, 1)
    assert cluster.container_ids() >= ran
    assert len(cluster.containers()) == len(names)


def test_a_host_that_loses_power_is_replaced_and_returns_clean(
    cluster: Cluster, measure: Measure
) -> None:
    cluster.deploy("shop", {"web": idle(replicas=6)})
    with measure("tasks run elsewhere after a power cut"):
        cluster.lab.poweroff(3)
        elsewhere = cluster.wait_running("shop_web", 6)
    assert {c.host for c in elsewhere} == {1, 2}
    with measure("a host is ready again after power on"):
        cluster.lab.poweron(3)
        cluster.wait_for_node(3, "ready")
    steady(cluster, "shop_web", 6)
    assert cluster.container_ids("shop_web") == {c.id for c in elsewhere}


def test_a_manager_that_loses_power_comes_back_with_everything(cluster: Cluster) -> None:
    cluster.deploy("shop", {"web": idle(replicas=6)})
    workers = {c.id for c in cluster.containers() if c.host != MANAGER}
    cluster.lab.poweroff(MANAGER)
    assert cluster.container_ids() == workers
    cluster.lab.poweron(MANAGER)
    for host in HOSTS:
        cluster.wait_for_node(host, "ready")
    steady(cluster, "shop_web", 6)
    assert cluster.container_ids() > workers


def test_a_worker_behind_a_cut_cable_is_replaced_and_returns_clean(
    cluster: Cluster, measure: Measure
) -> None:
    cluster.deploy("shop", {"web": idle(replicas=6)})
    cut_off = {c.id for c in cluster.containers("shop_web") if c.host == 2}
    with measure("tasks run elsewhere after a cut cable"):
        cluster.lab.link(2, "down")
        wait_for(
            "six tasks on the others",
            lambda: (
                [t.node for t in cluster.running_tasks("shop_web")].count("h2") == 0
                and len(cluster.running_tasks("shop_web")) == 6
            ),
        )
    assert {c.id for c in cluster.containers("shop_web") if c.host == 2} == cut_off
    with measure("a worker is ready and without duplicates after its cable is back"):
        cluster.lab.link(2, "up")
        cluster.wait_for_node(2, "ready")
        cluster.wait_running("shop_web", 6, without=cut_off)
    steady(cluster, "shop_web", 6)


def test_a_short_break_of_the_cable_moves_nothing(cluster: Cluster) -> None:
    cluster.deploy("shop", {"web": idle(replicas=6)})
    with cluster.unchanged("shop_web"):
        cluster.lab.link(2, "down")
        cluster.lab.link(2, "up")
        steady(cluster, "shop_web", 6)


def test_an_engine_that_restarts_alone_gets_its_tasks_again(
    cluster: Cluster, measure: Measure
) -> None:
    cluster.deploy("shop", {"web": idle(replicas=3)})
    others = {c.id for c in cluster.containers("shop_web") if c.host != 2}
    with measure("tasks run again after kill -9 and start of a worker's engine"):
        cluster.lab.kill_engine(2)
        cluster.lab.start_engine(2)
        cluster.wait_running("shop_web", 3)
    steady(cluster, "shop_web", 3)
    assert cluster.container_ids() > others


def test_a_worker_whose_engine_alone_is_killed_loses_its_tasks_and_returns_clean(
    cluster: Cluster, measure: Measure
) -> None:
    cluster.deploy("shop", {"web": idle(replicas=6)})
    with measure("tasks run elsewhere after kill -9 of a worker's engine alone"):
        cluster.lab.kill_engine(2)
        cluster.wait_for_node(2, "down")
        elsewhere = cluster.wait_running("shop_web", 6)
    assert {c.host for c in elsewhere} == {1, 3}
    with measure("a node is ready again after the start of its engine"):
        cluster.lab.start_engine(2)
        cluster.wait_for_node(2, "ready")
    steady(cluster, "shop_web", 6)
    assert cluster.container_ids("shop_web") == {c.id for c in elsewhere}


@pytest.mark.parametrize("seed", range(2))
def test_agents_killed_while_they_start_tasks_leave_no_duplicates(
    cluster: Cluster, seed: int
) -> None:
    rng = random.Random(seed)
    cluster.deploy("shop", {"web": idle(replicas=24)}, "--detach")
    for host in WORKERS:
        time.sleep(rng.uniform(0.0, 0.5))  # the random moment
        cluster.lab.kill_stackd(host)
        cluster.lab.start_stackd(host)
    steady(cluster, "shop_web", 24)


@pytest.mark.parametrize("seed", range(2))
def test_an_engine_killed_while_it_starts_tasks_ends_with_the_right_number(
    cluster: Cluster, seed: int
) -> None:
    rng = random.Random(seed)
    cluster.deploy("shop", {"web": idle(replicas=12)}, "--detach")
    time.sleep(rng.uniform(0.0, 0.5))  # the random moment
    cluster.lab.kill_engine(2)
    cluster.lab.start_engine(2)
    steady(cluster, "shop_web", 12)


@pytest.mark.parametrize("seed", range(2))
def test_a_manager_killed_during_an_update_goes_on_with_it(cluster: Cluster, seed: int) -> None:
    rng = random.Random(seed)
    service = idle(replicas=4, update_config={"parallelism": 1})
    cluster.deploy("shop", {"web": service})
    before = cluster.container_ids()
    cluster.deploy("shop", {"web": {**service, "environment": {"EDITION": "2"}}}, "--detach")
    time.sleep(rng.uniform(0.2, 1.5))  # the random moment
    cluster.lab.kill_stackd(MANAGER)
    cluster.lab.start_stackd(MANAGER)
    after = cluster.wait_running("shop_web", 4, without=before)
    assert all("EDITION=2" in cluster.inspect(c)["Config"]["Env"] for c in after)
    steady(cluster, "shop_web", 4)


def test_what_happened_to_containers_while_an_agent_was_down_is_mended(cluster: Cluster) -> None:
    cluster.deploy("shop", {"web": idle(replicas=6)})
    removed, killed = [c for c in cluster.containers("shop_web") if c.host == 3]
    cluster.lab.kill_stackd(3)
    cluster.lab.engine(3, "DELETE", f"/containers/{removed.id}?force=1")
    cluster.lab.engine(3, "POST", f"/containers/{killed.id}/kill")
    cluster.lab.start_stackd(3)
    cluster.wait_running("shop_web", 6, without={removed.id, killed.id})
    steady(cluster, "shop_web", 6)


def test_a_host_that_dies_while_the_manager_is_away_is_replaced(cluster: Cluster) -> None:
    cluster.deploy("shop", {"web": idle(replicas=6)})
    stay = {c.id for c in cluster.containers("shop_web") if c.host != 2}
    cluster.lab.kill_stackd(MANAGER)
    cluster.lab.poweroff(2)
    cluster.lab.start_stackd(MANAGER)
    after = cluster.wait_running("shop_web", 6)
    assert {c.id for c in after} > stay
    assert {c.host for c in after} == {1, 3}


def test_a_manager_cut_off_from_its_workers_ends_with_the_right_number(cluster: Cluster) -> None:
    cluster.deploy("shop", {"web": idle(replicas=6)})
    cluster.lab.link(MANAGER, "down")
    for host in WORKERS:
        cluster.wait_for_node(host, "down")
    wait_for(
        "all tasks to run on the manager's host",
        lambda: [t.node for t in cluster.running_tasks("shop_web")] == ["h1"] * 6,
    )
    assert len(cluster.containers("shop_web")) == 10  # the workers' containers go on
    cluster.lab.link(MANAGER, "up")
    for host in WORKERS:
        cluster.wait_for_node(host, "ready")
    steady(cluster, "shop_web", 6)


def test_the_whole_cluster_comes_back_after_a_power_cut(cluster: Cluster, measure: Measure) -> None:
    cluster.deploy("shop", {"web": idle(replicas=6)})
    for host in HOSTS:
        cluster.lab.poweroff(host)
    with measure("six tasks run again after all hosts lost power, power on included"):
        in_parallel(lambda host: cluster.lab.poweron(host.index), cluster.lab.hosts())
        cluster.wait_running("shop_web", 6)
    steady(cluster, "shop_web", 6)
