"""Managers that die, stand still or are cut off: nothing acknowledged is lost, and one leads."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.conftest import Measure
from tests.support.cluster import idle, wait_for
from tests.support.manager_group import HOSTS, MANAGERS, WORKERS, ManagerGroup, healed

FAULTS = ("kill", "freeze", "cut")
NO_LEADER = "more than half of the managers"
UNKNOWN = "look before you try again"


def one_leads(group: ManagerGroup) -> bool:
    """Whether all managers name the same leader."""
    return len(group.leaders()) == 1 and group.leaders() != {0}


def workers_ready(group: ManagerGroup) -> bool:
    """Whether the leader has a session with both workers."""
    return all(group.node_of(worker)["Status"]["State"] == "ready" for worker in WORKERS)


@pytest.mark.parametrize("how", FAULTS)
def test_the_leader_is_lost(group: ManagerGroup, measure: Measure, how: str) -> None:
    old = group.leader()
    rest = [host for host in MANAGERS if host != old]
    names = {group.write(host) for host in MANAGERS}
    with healed(group):
        began = time.monotonic()
        group.hurt(old, how)
        with measure(f"the first write after the leader's fault ({how})"):
            name, _ = group.first_write(rest)
        names.add(name)
        leader = group.asked = group.leader(rest)
        assert leader in rest
        for host in rest:
            assert names <= group.written(host)
        with measure(f"workers are back at the new leader ({how})"):
            wait_for("the workers' sessions", lambda: workers_ready(group))
        group.deploy("shop", {"web": idle(replicas=2)})
        if how == "cut":
            # It cannot know any more, and says so instead of showing what may be outdated.
            status, text = group.answer(old, "GET", "/services")
            assert status == 503
            assert "does not have a leader" in text
        assert time.monotonic() - began < 60
    wait_for("one leader", lambda: one_leads(group))
    for host in MANAGERS:
        assert names <= group.written(host)
        assert len(group.api("GET", "/services", host=host)) == 1


@pytest.mark.parametrize("how", FAULTS)
def test_a_follower_is_lost(group: ManagerGroup, how: str) -> None:
    leader = group.asked = group.leader()
    lost, other = (host for host in MANAGERS if host != leader)
    group.deploy(
        "shop", {"web": idle(replicas=4, placement={"constraints": ["node.role==worker"]})}
    )
    before = group.container_ids()
    with healed(group):
        group.hurt(lost, how)
        names = {group.write(host) for host in (leader, other, leader, other)}
        assert group.leader((leader, other)) == leader
    wait_for("one leader", lambda: one_leads(group))
    assert group.leaders() == {leader}  # nobody was disturbed by the one that came back
    assert names <= group.written(lost)
    assert group.container_ids() == before


@pytest.mark.parametrize("how", FAULTS)
def test_two_managers_are_lost(group: ManagerGroup, how: str) -> None:
    leader = group.asked = group.leader()
    group.deploy(
        "shop", {"web": idle(replicas=4, placement={"constraints": ["node.role==worker"]})}
    )
    before = group.container_ids()
    kept = next(host for host in MANAGERS if host != leader)
    names = {group.write(host) for host in MANAGERS}
    with healed(group):
        for host in MANAGERS:
            if host != kept:
                group.hurt(host, how)
        config = {"Name": "lost", "Data": "eA=="}
        requests = [("POST", "/configs/create", config), ("GET", "/services", None)]
        with ThreadPoolExecutor() as pool:
            refused = list(pool.map(lambda request: group.answer(kept, *request), requests))
        for status, text in refused:
            assert status == 503, text
        # Whoever led has to say that it does not know what becomes of the write.
        assert UNKNOWN in refused[0][1] or NO_LEADER in refused[0][1]
        assert NO_LEADER in refused[1][1]
        # What is asked of the node itself is answered, and what runs goes on.
        assert group.swarm_state(kept)["ControlAvailable"]
        assert group.container_ids() == before
    wait_for("one leader", lambda: one_leads(group))
    group.asked = group.leader()
    for host in MANAGERS:
        assert names <= group.written(host)
    wait_for("the workers' sessions", lambda: workers_ready(group))
    assert group.container_ids() == before
    assert group.write(kept) in group.written(group.asked)


def test_all_managers_are_killed_and_start_again(group: ManagerGroup, measure: Measure) -> None:
    group.deploy("shop", {"web": idle(replicas=4)})
    before = group.container_ids()
    names = {group.write(host) for host in MANAGERS}
    with healed(group):
        for host in MANAGERS:
            group.lab.kill_stackd(host)
        assert group.container_ids() == before
    with measure("the first write after all managers were killed and started"):
        group.first_write(MANAGERS)
    group.asked = group.leader()
    for host in MANAGERS:
        assert names <= group.written(host)
    for host in HOSTS:
        group.wait_for_node(host, "ready")
    assert {c.id for c in group.wait_running("shop_web", 4)} == before


def test_a_lost_workers_tasks_run_elsewhere(group: ManagerGroup, measure: Measure) -> None:
    leader = group.asked = group.leader()
    group.deploy("shop", {"web": idle(replicas=5)})
    with healed(group):
        with measure("tasks run elsewhere after a power cut, three managers"):
            group.lab.poweroff(WORKERS[0])
            wait_for(
                "five tasks on the others",
                lambda: (
                    sorted({t.node for t in group.running_tasks("shop_web")})
                    == sorted(f"h{host}" for host in HOSTS if host != WORKERS[0])
                    and len(group.running_tasks("shop_web")) == 5
                ),
            )
        assert group.leader() == leader
    group.wait_running("shop_web", 5)
