"""What counts as a failure of an update, and what follows; courses of updates are in the scenarios."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cluster.model.config import Config, ConfigSpec
from cluster.model.container import ConfigReference, ContainerSpec, SecretReference
from cluster.model.ids import ConfigId, NetworkId, SecretId
from cluster.model.meta import Meta
from cluster.model.network import Network, NetworkSpec
from cluster.model.objects import StoredObject
from cluster.model.registry_login import RegistryAuth
from cluster.model.secret import Secret, SecretSpec
from cluster.model.service import (
    FailedSlot,
    NetworkAttachmentConfig,
    Service,
    TaskSpec,
    UpdateState,
    UpdateStatus,
)
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.model.units import SECOND_NS
from cluster.model.update_policy import RestartPolicy, UpdateConfig
from cluster.orchestrator.slots import group
from cluster.orchestrator.update_outcome import judged, last_monitor_ns, policy_in_force
from cluster.store.state import ClusterState
from tests.support.builders import make_service, make_state, make_task, seconds

S = TaskState
NOW, REVISION = 1000, 77


def web(action: str = "", state: UpdateState = "updating", slots: int = 4, **config) -> Service:
    config = {"failure_action": action, "monitor": 5 * SECOND_NS} | config
    service = make_service(
        "web",
        replicas=4,
        spec_version=2,
        image="web:2",
        update=UpdateConfig(**config),
        rollback=UpdateConfig(monitor=5 * SECOND_NS, failure_action=action),
    )
    status = UpdateStatus(
        state=state,
        started_at=seconds(900),
        since=seconds(900),
        message="update in progress",
        outdated_slots=slots,
    )
    return replace(service, update_status=status, previous_spec=make_service("web").spec)


def ended(slot: int, state: TaskState = S.FAILED, **kwargs) -> Task:
    kwargs = {"made_at": 950, "at": 960, "running_since": 958, "node": "a"} | kwargs
    return make_task(f"new{slot}", web(), slot=slot, state=state, **kwargs)


def judge(service: Service, *tasks: Task) -> Service:
    return judge_in(ClusterState(REVISION - 1), service, *tasks)


def judge_in(state: ClusterState, service: Service, *tasks: Task) -> Service:
    return judged(state, service, group(tasks).values(), seconds(NOW))


def state_and_message(service: Service) -> tuple[str, str]:
    assert service.update_status is not None
    return service.update_status.state, service.update_status.message


@pytest.mark.parametrize("state", [S.FAILED, S.COMPLETE, S.REJECTED])
def test_a_task_that_ends_early_pauses_the_update(state: TaskState) -> None:
    found = judge(web(), ended(3, state))
    message = "update paused due to failure or early termination of task new3"
    assert state_and_message(found) == ("paused", message)
    assert found.spec == web().spec


@pytest.mark.parametrize(
    "task",
    [
        ended(1, running_since=950),  # longer than the monitor
        ended(1, made_at=850),  # of an earlier update to the same spec
        ended(1, spec_version=1),
        ended(1, S.REJECTED, message="task rejected by constraint enforcer"),
        ended(1, S.SHUTDOWN, desired=S.SHUTDOWN),
        ended(1, desired=S.REMOVE),
        make_task("new1", web(), state=S.RUNNING, node="a", made_at=950),
    ],
    ids=["held out", "earlier", "old spec", "misplaced", "shut down", "removed", "runs"],
)
def test_other_ends_are_no_failure(task: Task) -> None:
    assert judge(web(), task) == web()


def test_a_task_that_never_ran_has_failed_whenever_that_was() -> None:
    assert judge(web(), ended(1, S.REJECTED, running_since=None, at=999)) != web()


def test_failures_are_counted_against_the_outdated_slots() -> None:
    service = web(max_failure_ratio=0.5)
    forgiven = judge(service, ended(1), ended(2))
    assert forgiven.update_status is not None
    assert forgiven.update_status.failed_slots == (
        FailedSlot(place="1", at=seconds(960)),
        FailedSlot(place="2", at=seconds(960)),
    )
    assert judge(forgiven, ended(1), ended(2)) == forgiven, "each slot counts once"
    assert state_and_message(judge(forgiven, ended(1), ended(2), ended(4)))[0] == "paused"
    assert state_and_message(judge(service, ended(1), ended(2), ended(4)))[0] == "paused"


def test_continue_forgives_everything() -> None:
    service = judge(web("continue"), ended(1), ended(2), ended(3), ended(4))
    assert state_and_message(service) == ("updating", "update in progress")


def test_a_rollback_takes_the_previous_spec_and_leaves_none() -> None:
    service = judge(web("rollback"), ended(1))
    assert service.spec == make_service("web").spec
    assert service.previous_spec is None
    assert service.spec_version == REVISION
    assert service.update_status == UpdateStatus(
        state="rollback_started",
        started_at=seconds(900),
        since=seconds(NOW),
        message="update rolled back due to failure or early termination of task new1",
    )


def test_without_a_previous_spec_the_update_is_paused() -> None:
    service = replace(web("rollback"), previous_spec=None)
    assert state_and_message(judge(service, ended(1)))[0] == "paused"


@pytest.mark.parametrize(("action", "what"), [("pause", "update"), ("rollback", "rollback")])
def test_a_rollback_is_never_rolled_back(action: str, what: str) -> None:
    service = judge(web(action, "rollback_started"), ended(1))
    message = f"{what} paused due to failure or early termination of task new1"
    assert state_and_message(service) == ("rollback_paused", message)


@pytest.mark.parametrize("state", ["paused", "completed", "rollback_paused", "rollback_completed"])
def test_when_nothing_is_under_way_nothing_is_judged(state: UpdateState) -> None:
    assert judge(web("rollback", state), ended(1)) == web("rollback", state)
    idle = replace(web(), update_status=None)
    assert judge(idle, ended(1)) == idle


def test_the_policy_for_rollbacks_holds_until_the_spec_changes() -> None:
    update, back = UpdateConfig(parallelism=7), UpdateConfig(parallelism=9)
    service = make_service("web", update=update, rollback=back)
    assert policy_in_force(service) == update
    for state, config in (
        ("paused", update),
        ("rollback_started", back),
        ("rollback_completed", back),
    ):
        status = UpdateStatus(state=state)  # type: ignore[arg-type]
        assert policy_in_force(replace(service, update_status=status)) == config
    assert policy_in_force(make_service("plain")) == UpdateConfig()


def test_a_delay_that_is_longer_than_the_monitor_prolongs_the_last_one() -> None:
    config = UpdateConfig(monitor=3 * SECOND_NS, delay=10 * SECOND_NS)
    assert last_monitor_ns(config) == 11 * SECOND_NS
    assert last_monitor_ns(UpdateConfig()) == 5 * SECOND_NS


def test_with_the_spec_its_credentials_come_back() -> None:
    old, new = RegistryAuth(encoded="old"), RegistryAuth(encoded="new")
    service = replace(web("rollback"), registry_auth=new, previous_registry_auth=old)
    found = judge(service, ended(1))
    assert found.spec == service.previous_spec
    assert (found.registry_auth, found.previous_registry_auth) == (old, None)


@pytest.mark.parametrize("condition", ["none", "on-failure"])
def test_a_one_shot_that_ended_well_has_not_failed(condition: str) -> None:
    service = web()
    template = replace(
        service.spec.task_template, restart_policy=RestartPolicy(condition=condition)
    )
    done = replace(ended(3, S.COMPLETE), spec=template)
    assert judge(service, done) == service
    failed = replace(ended(3, S.FAILED), spec=template)
    assert state_and_message(judge(service, failed))[0] == "paused"


NEEDED: dict[str, StoredObject] = {
    "secret password": Secret(id=SecretId("s"), meta=Meta(), spec=SecretSpec(name="password")),
    "config settings": Config(id=ConfigId("c"), meta=Meta(), spec=ConfigSpec(name="settings")),
    "network n": Network(id=NetworkId("n"), meta=Meta(), spec=NetworkSpec(name="net")),
}


@pytest.mark.parametrize("gone", ["", *NEEDED])
def test_no_rollback_to_a_spec_whose_secret_config_or_network_was_removed(gone: str) -> None:
    service = web("rollback")
    assert service.previous_spec is not None
    container = ContainerSpec(
        image="web:1",
        secrets=(SecretReference(secret_id="s", secret_name="password"),),
        configs=(ConfigReference(config_id="c", config_name="settings"),),
    )
    template = TaskSpec(
        container_spec=container,
        networks=(NetworkAttachmentConfig(target="n"), NetworkAttachmentConfig(target="host")),
    )
    before = replace(service.previous_spec, task_template=template)
    service = replace(service, previous_spec=before)
    there = (item for name, item in NEEDED.items() if name != gone)
    found = judge_in(make_state(*there), service, ended(3))
    because = "due to failure or early termination of task new3"
    if gone:
        reason = f"not rolled back as {gone} of the previous spec was removed"
        assert state_and_message(found) == ("paused", f"update paused, {reason}, {because}")
        assert found.spec == service.spec
        assert found.previous_spec == before
    else:
        assert state_and_message(found) == ("rollback_started", f"update rolled back {because}")
        assert found.spec == before
