"""Whatever the moment at which the leader is replaced, the course ends as if it had not been."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from cluster.model.service import GlobalJobMode, ReplicatedJobMode, Service
from cluster.model.units import SECOND_NS
from cluster.model.update_policy import RestartPolicy, UpdateConfig
from tests.support.builders import make_cluster, make_node, make_service
from tests.support.cluster_model import Behaviour, ClusterModel, one_task_runs_per_slot

BEHAVIOURS = {
    "bad": Behaviour(crash_after_s=0.3),
    "none": Behaviour(is_missing=True),
    "batch": Behaviour(finish_after_s=1),
    "batch2": Behaviour(finish_after_s=1.5),
}
STEP_S = 0.25
COURSE_S = 15
ENOUGH_S = 120

Course = Callable[[ClusterModel], None]


def service(policy: UpdateConfig, **kwargs) -> Service:
    back = UpdateConfig(parallelism=2, delay=SECOND_NS)
    return make_service("web", replicas=4, update=policy, rollback=back, **kwargs)


def policy(action: str, ratio: float = 0) -> UpdateConfig:
    return UpdateConfig(
        parallelism=2,
        delay=SECOND_NS,
        failure_action=action,  # type: ignore[arg-type]
        max_failure_ratio=ratio,
        monitor=2 * SECOND_NS,
    )


def to_image(image: str) -> Course:
    return lambda model: model.change_image("web", image)


def to_and_back(model: ClusterModel) -> None:
    model.change_image("web", "web:2")
    model.run_for(60)
    model.roll_back("web")


def drain(model: ClusterModel) -> None:
    model.set_node("a", availability="drain")


def rebalance(model: ClusterModel) -> None:
    model.set_node("a", availability="drain")
    model.run_for(30)
    model.set_node("a", availability="active")
    model.ask_to_rebalance("one")


COURSES: dict[str, tuple[Service, Course]] = {
    "update": (service(policy("pause")), to_image("web:2")),
    "update start-first": (
        service(UpdateConfig(parallelism=2, order="start-first")),
        to_image("web:2"),
    ),
    "pause": (service(policy("pause")), to_image("bad")),
    "continue": (service(policy("continue")), to_image("bad")),
    "continue without image": (service(policy("continue")), to_image("none")),
    "rollback": (service(policy("rollback")), to_image("bad")),
    "rollback without image": (service(policy("rollback")), to_image("none")),
    "rollback of more than half": (service(policy("rollback", 0.5)), to_image("bad")),
    "manual rollback": (service(policy("pause")), to_and_back),
    "global rollback": (
        make_service("web", is_global=True, update=policy("rollback")),
        to_image("bad"),
    ),
    "drain": (service(policy("pause")), drain),
    "rebalance": (service(policy("pause")), rebalance),
    "job": (
        make_service(
            "web",
            image="batch",
            job=ReplicatedJobMode(max_concurrent=2, total_completions=5),
            restart=RestartPolicy(condition="on-failure"),
        ),
        to_image("batch2"),
    ),
    "job drain": (
        make_service(
            "web", image="batch", job=ReplicatedJobMode(max_concurrent=3, total_completions=6)
        ),
        drain,
    ),
    "global job": (make_service("web", image="batch", job=GlobalJobMode()), to_image("batch2")),
}


@pytest.mark.parametrize("name", COURSES)
@pytest.mark.parametrize("gap_s", [0, 0.7])
def test_a_new_leader_at_any_step_ends_in_the_same_state(name: str, gap_s: float) -> None:
    undisturbed = ending(name)
    for step in range(round(COURSE_S / STEP_S)):
        ended = ending(name, (step * STEP_S, gap_s))
        assert ended == undisturbed, f"new leader at step {step}"


@pytest.mark.parametrize("name", COURSES)
@pytest.mark.parametrize("seed", range(3))
def test_leaders_that_come_and_go_change_no_ending(name: str, seed: int) -> None:
    rng = random.Random(f"{name} {seed}")
    losses = [(rng.uniform(0, COURSE_S / 2), rng.uniform(0, 2)) for _ in range(rng.randint(2, 6))]
    assert ending(name, *losses) == ending(name), f"leaders lost after and for: {losses}"


def ending(name: str, *losses: tuple[float, float]) -> object:
    """Run a course and tell how it ended.

    Args:
        name: of the course.
        losses: how long a leader leads, and for how long there is none then, in seconds.
    """
    wanted, course = COURSES[name]
    nodes = (make_node(node) for node in ("a", "b", "c"))
    model = ClusterModel(make_cluster(), *nodes, wanted, behaviours=BEHAVIOURS)
    if wanted.spec.update_config is None or wanted.spec.update_config.order != "start-first":
        model.checks.append(one_task_runs_per_slot)
    model.run_for(2)
    course(model)
    for leading_s, gap_s in losses:
        model.run_for(leading_s)
        model.run_leaderless_for(gap_s)
    model.run_for(ENOUGH_S)
    return summary(model)


def summary(model: ClusterModel) -> object:
    """Return what must be the same at the end; not who was where, nor how often it was tried."""
    service = model.service("web")
    status = service.update_status
    finished = {
        (str(t.place), image(t.spec))
        for t in model.tasks("web")
        if t.is_of_job
        and t.job_iteration == service.job_iteration
        and t.status.state.name == "COMPLETE"
    }
    cluster = model.state.cluster
    rebalancing = cluster.rebalancing if cluster else None
    spread = Counter(t.node_id for t in model.running("web") if t.is_active)
    return (
        rebalancing and (rebalancing.state, sorted(spread.values())),
        image(service.spec.task_template),
        service.previous_spec and image(service.previous_spec.task_template),
        status and (status.state, status.message.split(" of task ")[0]),
        sorted((t.place, image(t.spec)) for t in model.running("web") if t.is_active),
        finished,
    )


def image(template) -> str:
    return template.container_spec.image
