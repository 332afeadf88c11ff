"""All reconcilers together, to a fixed point, with nodes that pretend: tests/support/cluster_model.py."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from cluster.model.service import ReplicatedMode, ServiceMode
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.model.units import SECOND_NS
from cluster.model.update_policy import RestartPolicy, UpdateConfig
from tests.support.builders import make_cluster, make_node, make_service
from tests.support.cluster_model import (
    Behaviour,
    ClusterModel,
    host_ports_are_used_once,
    one_task_runs_per_slot,
)


def three_nodes(*objects, **kwargs) -> ClusterModel:
    nodes = (make_node("a"), make_node("b"), make_node("c"))
    model = ClusterModel(make_cluster(), *nodes, *objects, **kwargs)
    model.checks += [one_task_runs_per_slot, host_ports_are_used_once]
    return model


def replicas(number: int) -> ServiceMode:
    return ServiceMode(replicated=ReplicatedMode(replicas=number))


def test_replicas_are_reached_and_spread() -> None:
    model = three_nodes(make_service("web", replicas=6))
    model.run_for(2)
    assert model.per_node("web") == {"a": 2, "b": 2, "c": 2}
    assert sorted(t.slot for t in model.running("web")) == [1, 2, 3, 4, 5, 6]


def test_scaling_up_and_down() -> None:
    model = three_nodes(make_service("web", replicas=2))
    model.run_for(2)
    first = {t.id for t in model.running("web")}
    model.change_service("web", mode=replicas(5))
    model.run_for(2)
    assert len(model.running("web")) == 5
    assert first < {t.id for t in model.running("web")}, "scaling restarted a task"
    assert model.service("web").update_status is None
    model.change_service("web", mode=replicas(3))
    model.run_for(3)
    assert model.per_node("web") == {"a": 1, "b": 1, "c": 1}
    assert len(model.tasks("web")) == 3, "removed tasks are deleted once they have ended"
    model.change_service("web", mode=replicas(0))
    model.run_for(3)
    assert model.tasks("web") == []


def test_tasks_of_a_lost_node_move_at_once_and_do_not_come_back_twice() -> None:
    model = three_nodes(make_service("web", replicas=6))
    model.run_for(2)
    model.lose_node("b")
    model.run_for(1)
    assert model.per_node("web") == {"a": 3, "c": 3}
    model.restore_node("b")
    model.run_for(2)
    assert model.per_node("web") == {"a": 3, "c": 3}
    assert len(model.wanted("web")) == 6


def test_a_drained_node_is_emptied_without_a_gap_longer_than_a_stop() -> None:
    slow = Behaviour(prepare_s=30)
    model = three_nodes(make_service("web", replicas=6, image="slow"), behaviours={"slow": slow})
    model.run_for(40)
    fewest = Watch(model, "web")
    model.set_node("a", availability="drain")
    model.run_for(20)
    assert len(model.running("web")) == 6, "old tasks serve while the new ones prepare"
    model.run_for(20)
    assert model.per_node("web") == {"b": 3, "c": 3}
    assert fewest.fewest >= 4


def test_the_only_node_can_be_drained() -> None:
    model = ClusterModel(make_cluster(), make_node("a"), make_service("web", replicas=2))
    model.run_for(2)
    model.set_node("a", availability="drain")
    model.run_for(2)
    assert model.running("web") == []
    assert {t.status.error for t in model.wanted("web")} == {
        "no suitable node (1 node not available for new tasks)"
    }
    model.set_node("a", availability="active")
    model.run_for(2)
    assert len(model.running("web")) == 2


def test_a_drain_that_is_taken_back_keeps_the_tasks() -> None:
    slow = Behaviour(prepare_s=30)
    model = three_nodes(make_service("web", replicas=3, image="slow"), behaviours={"slow": slow})
    model.run_for(40)
    before = {t.id for t in model.running("web")}
    model.set_node("a", availability="drain")
    model.run_for(1)
    model.set_node("a", availability="active")
    model.run_for(60)
    assert {t.id for t in model.running("web")} == before


def test_a_paused_node_keeps_its_tasks_and_gets_no_new_ones() -> None:
    model = three_nodes(make_service("web", replicas=3))
    model.run_for(2)
    model.set_node("a", availability="pause")
    model.change_service("web", mode=replicas(7))
    model.run_for(2)
    assert model.per_node("web") == {"a": 1, "b": 3, "c": 3}


def test_a_killed_container_is_replaced_after_the_policys_delay() -> None:
    model = three_nodes(make_service("web", replicas=1))
    model.run_for(120)
    (task,) = model.running("web")
    model.kill_container(task)
    model.run_for(4.9)
    assert model.running("web") == []
    (heir,) = model.wanted("web")
    assert (heir.desired_state, heir.status.state) == (TaskState.READY, TaskState.READY)
    model.run_for(0.3)
    assert len(model.running("web")) == 1


def test_a_crash_loop_slows_down_to_one_start_a_minute() -> None:
    crash = Behaviour(crash_after_s=1)
    model = three_nodes(make_service("web", image="bad"), behaviours={"bad": crash})
    starts: list[float] = []
    seen: set[str] = set()

    def note(world: ClusterModel) -> None:
        for task in world.running("web"):
            if task.id not in seen:
                seen.add(task.id)
                starts.append(world.passed_s)

    model.checks.append(note)
    model.run_for(300)
    pauses = [round(b - a - 1) for a, b in itertools.pairwise(starts)]
    assert pauses[:8] == [5, 5, 5, 10, 20, 40, 60, 60]
    assert len(model.tasks("web")) == 5, "the history limit counts the live task"


def test_an_image_that_cannot_be_had_costs_no_running_task() -> None:
    model = three_nodes(
        make_service("web", replicas=3), behaviours={"none": Behaviour(is_missing=True)}
    )
    model.run_for(2)
    model.change_image("web", "none")
    model.run_for(300)
    assert len(model.running("web")) == 3
    status = model.service("web").update_status
    assert status is not None
    assert status.state == "paused"
    model.change_image("web", "web:3")
    model.run_for(60)
    assert {image_of(t) for t in model.running("web")} == {"web:3"}


def test_a_crashing_update_stops_after_its_parallelism() -> None:
    model = three_nodes(
        make_service("web", replicas=5, update=UpdateConfig(parallelism=1, delay=2 * SECOND_NS)),
        behaviours={"bad": Behaviour(crash_after_s=0.5)},
    )
    model.run_for(2)
    model.change_image("web", "bad")
    model.run_for(300)
    assert Counter(image_of(t) for t in model.running("web"))["web:1"] == 4


@pytest.mark.parametrize("parallelism", [1, 2, 0])
@pytest.mark.parametrize("has_leader_changes", [False, True])
def test_a_rolling_update_keeps_all_but_parallelism_replicas(
    parallelism: int, has_leader_changes: bool
) -> None:
    model = three_nodes(
        make_service("web", replicas=5, update=UpdateConfig(parallelism=parallelism))
    )
    model.run_for(2)
    watch = Watch(model, "web")
    model.change_image("web", "web:2")
    for _ in range(100):
        if has_leader_changes:
            model.change_leader()
        model.run_for(0.2)
    assert Counter(image_of(t) for t in model.running("web")) == {"web:2": 5}
    assert watch.fewest == 5 - (parallelism or 5)
    assert max(model.per_node("web").values()) == 2
    status = model.service("web").update_status
    assert status is not None
    assert (status.state, status.message) == ("completed", "update completed")
    last = max(t.status.timestamp for t in model.running("web"))
    assert status.completed_at == last + 5 * SECOND_NS


def test_a_start_first_update_never_has_fewer_replicas() -> None:
    update = UpdateConfig(parallelism=2, order="start-first")
    model = ClusterModel(
        make_node("a"), make_node("b"), make_service("web", replicas=4, update=update)
    )
    model.run_for(2)
    watch = Watch(model, "web")
    model.change_image("web", "web:2")
    model.run_for(20)
    assert Counter(image_of(t) for t in model.running("web")) == {"web:2": 4}
    assert watch.fewest == 4
    assert watch.most <= 6


def test_the_delay_of_an_update_lies_between_two_replacements() -> None:
    update = UpdateConfig(parallelism=2, delay=10 * SECOND_NS)
    model = three_nodes(make_service("redis", replicas=4, image="redis:3.0.6", update=update))
    model.run_for(2)
    model.change_image("redis", "redis:3.0.7")
    model.run_for(9)
    assert Counter(image_of(t) for t in model.running("redis")) == {
        "redis:3.0.6": 2,
        "redis:3.0.7": 2,
    }
    model.run_for(5)
    assert Counter(image_of(t) for t in model.running("redis")) == {"redis:3.0.7": 4}
    model.run_for(20)
    status = model.service("redis").update_status
    assert status is not None
    assert status.state == "completed"


def test_a_newer_update_overtakes_one_that_is_under_way() -> None:
    model = three_nodes(make_service("web", replicas=5, update=UpdateConfig(parallelism=1)))
    model.run_for(2)
    watch = Watch(model, "web")
    model.change_image("web", "web:2")
    model.run_for(1.4)
    model.change_image("web", "web:3")
    model.run_for(60)
    assert Counter(image_of(t) for t in model.running("web")) == {"web:3": 5}
    assert watch.fewest >= 4


def test_a_host_port_is_handed_over_on_the_same_node() -> None:
    service = make_service("web", replicas=3, host_ports=[8080], update=UpdateConfig(parallelism=1))
    model = three_nodes(service)
    model.run_for(2)
    model.change_image("web", "web:2")
    model.run_for(60)
    assert Counter(image_of(t) for t in model.running("web")) == {"web:2": 3}
    assert model.per_node("web") == {"a": 1, "b": 1, "c": 1}


def test_an_update_fits_on_nodes_that_are_full() -> None:
    model = three_nodes(make_service("web", replicas=3, cpus=4, update=UpdateConfig(parallelism=0)))
    model.run_for(2)
    model.change_image("web", "web:2")
    model.run_for(60)
    assert Counter(image_of(t) for t in model.running("web")) == {"web:2": 3}


def test_labels_and_policies_restart_nothing() -> None:
    model = three_nodes(make_service("web", replicas=3))
    model.run_for(2)
    before = {t.id for t in model.running("web")}
    model.change_service("web", labels={"team": "blue"})
    model.change_service("web", update_config=UpdateConfig(parallelism=3))
    model.run_for(20)
    assert {t.id for t in model.running("web")} == before


def test_a_label_that_changes_moves_the_tasks_that_needed_it() -> None:
    model = ClusterModel(
        make_cluster(),
        make_node("a", labels={"zone": "x"}),
        make_node("b", labels={"zone": "x"}),
        make_service("web", replicas=4, constraints=["node.labels.zone==x"]),
    )
    model.run_for(2)
    model.set_node("a", labels={"zone": "y"})
    model.run_for(2)
    assert [t.node_id for t in model.running("web")] == ["b"] * 4
    messages = {t.status.message for t in model.tasks("web") if t.node_id == "a"}
    assert messages == {"task rejected by constraint enforcer"}


def test_a_global_service_follows_the_nodes() -> None:
    model = three_nodes(make_service("agent", is_global=True, image="agent:1"))
    model.run_for(2)
    assert model.per_node("agent") == {"a": 1, "b": 1, "c": 1}
    model.put(make_node("d"))
    model.set_node("a", availability="drain")
    model.lose_node("b")
    model.run_for(2)
    assert model.per_node("agent") == {"c": 1, "d": 1}
    model.restore_node("b")
    model.set_node("a", availability="active")
    model.change_image("agent", "agent:2")
    model.run_for(30)
    assert model.per_node("agent") == {"a": 1, "b": 1, "c": 1, "d": 1}
    assert {image_of(t) for t in model.running("agent")} == {"agent:2"}


def test_a_removed_service_goes_all_at_once_a_moment_after_its_last_task() -> None:
    model = three_nodes(make_service("web", replicas=3))
    model.run_for(2)
    model.remove_service("web")
    model.run_for(0.6)
    assert len(model.tasks("web")) == 3
    assert model.running("web") == []
    model.run_for(0.5)
    assert model.tasks("web") == []


def test_attempts_end_and_a_new_spec_begins_them_anew() -> None:
    restart = RestartPolicy(condition="on-failure", delay=SECOND_NS, max_attempts=2)
    model = three_nodes(
        make_service("job", image="bad", restart=restart),
        behaviours={"bad": Behaviour(crash_after_s=0.1), "good": Behaviour(finish_after_s=1)},
    )
    model.run_for(100)
    assert Counter(t.status.state for t in model.tasks("job")) == {TaskState.FAILED: 3}
    model.change_image("job", "good")
    model.run_for(100)
    assert Counter(t.status.state for t in model.tasks("job")) == {
        TaskState.FAILED: 3,
        TaskState.COMPLETE: 1,
    }


def test_a_node_that_stays_away_for_a_day_orphans_its_tasks() -> None:
    model = ClusterModel(make_cluster(), make_node("a"), make_service("web"))
    model.run_for(2)
    model.lose_node("a")
    model.run_for(24 * 3600 + 1)
    assert TaskState.ORPHANED in {t.status.state for t in model.tasks("web")}


class Watch:
    """Remembers how many tasks of a service ran at the least and at the most."""

    def __init__(self, model: ClusterModel, service_id: str) -> None:
        self._service_id = service_id
        self.fewest = self.most = len(model.running(service_id))
        model.checks.append(self)

    def __call__(self, model: ClusterModel) -> None:
        number = len(model.running(self._service_id))
        self.fewest = min(self.fewest, number)
        self.most = max(self.most, number)


def image_of(task: Task) -> str:
    assert task.spec.container_spec is not None
    return task.spec.container_spec.image
