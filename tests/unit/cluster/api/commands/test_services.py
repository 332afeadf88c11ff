from __future__ import annotations

import msgspec
import pytest

from cluster.api.commands.services import (
    Credentials,
    create_service,
    remove_service,
    roll_back_service,
    update_service,
)
from cluster.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfSequence,
    Unimplemented,
)
from cluster.model.ids import NetworkId, TaskId
from cluster.model.meta import Meta
from cluster.model.network import Network, NetworkSpec
from cluster.model.registry_login import RegistryAuth
from cluster.model.service import (
    GlobalMode,
    NetworkAttachmentConfig,
    ReplicatedJobMode,
    ReplicatedMode,
    Service,
    ServiceMode,
    ServiceSpec,
    UpdateState,
    UpdateStatus,
)
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.model.update_policy import UpdateConfig
from tests.compat.memory_node import counting_ids
from tests.support.memory_store import MemoryStore
from tests.unit.cluster.api.commands.transactions import spec

NEW_ID = counting_ids()
NETWORK = Network(id=NetworkId("n" * 25), meta=Meta(), spec=NetworkSpec(name="st_front"))


def _scaled(wanted: ServiceSpec, replicas: int) -> ServiceSpec:
    mode = ServiceMode(replicated=ReplicatedMode(replicas=replicas))
    return msgspec.structs.replace(wanted, mode=mode)


def _on_network(wanted: ServiceSpec, *targets: str) -> ServiceSpec:
    networks = tuple(NetworkAttachmentConfig(target=target) for target in targets)
    template = msgspec.structs.replace(wanted.task_template, networks=networks)
    return msgspec.structs.replace(wanted, task_template=template)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(NETWORK)


@pytest.mark.parametrize("targets", [("st_front", NETWORK.id), ("host", "host")])
def test_a_network_named_twice_is_refused(store: MemoryStore, targets: tuple[str, str]) -> None:
    with pytest.raises(InvalidArgument, match=r"Networks\[1\]\.Target: network .* is named before"):
        _create(store, _on_network(spec("web"), *targets))


def _create(store: MemoryStore, wanted: ServiceSpec) -> Service:
    accepted = store.commit(lambda tx: create_service(tx, wanted, NEW_ID))
    service = store.view().service(accepted.service_id)
    assert service is not None
    return service


def _update(store: MemoryStore, service: Service, wanted: ServiceSpec) -> Service:
    store.commit(lambda tx: update_service(tx, service.id, service.meta.version, wanted))
    changed = store.view().service(service.id)
    assert changed is not None
    return changed


def _is_only_newer(updated: Service, service: Service) -> bool:
    """Whether a write moved the version and changed nothing else."""
    same = msgspec.structs.replace(updated, meta=service.meta) == service
    return same and updated.meta.version > service.meta.version


def test_networks_are_shown_where_the_client_named_them(store: MemoryStore) -> None:
    wanted = _on_network(spec("web"), "st_front")
    said = wanted.task_template.networks
    old = _create(store, msgspec.structs.replace(wanted, networks=said))
    assert old.spec.networks == old.spec.task_template.networks
    assert old.spec.networks[0].target == NETWORK.id
    moved = _update(store, old, msgspec.structs.replace(wanted, networks=()))
    assert moved.spec.networks == ()
    assert moved.spec.task_template == old.spec.task_template


def test_an_accepted_spec_holds_the_defaults_that_the_api_shows(store: MemoryStore) -> None:
    service = _create(store, spec())
    assert service.spec.mode == ServiceMode(replicated=ReplicatedMode(replicas=1))
    assert service.spec.task_template.runtime == "container"
    assert service.spec.task_template.container_spec is not None
    assert service.spec.task_template.container_spec.isolation == "default"
    assert service.spec_version == service.meta.version == store.view().revision
    read = _update(store, service, service.spec)
    assert _is_only_newer(read, service), "what was read changes nothing"
    assert _is_only_newer(_update(store, read, spec()), read), "nor does what was sent first"


def test_networks_are_stored_by_id(store: MemoryStore) -> None:
    service = _create(store, _on_network(spec(), "st_front", "host"))
    targets = [n.target for n in service.spec.task_template.networks]
    assert targets == [NETWORK.id, "host"]
    with pytest.raises(NotFound, match="network nosuch not found"):
        _create(store, _on_network(spec("b"), "nosuch"))


def test_a_name_is_taken_once_in_any_case(store: MemoryStore) -> None:
    _create(store, spec("web"))
    with pytest.raises(AlreadyExists, match="name conflicts with an existing object"):
        _create(store, spec("WEB"))


def test_an_update_keeps_what_a_rollback_returns_to(store: MemoryStore) -> None:
    first = _create(store, spec(image="busybox:1"))
    store.put(msgspec.structs.replace(first, update_status=UpdateStatus(state="completed")))
    second = _update(store, first, spec(image="busybox:2"))
    assert second.previous_spec == first.spec
    assert second.update_status is None
    assert second.spec_version == second.meta.version > first.spec_version
    store.commit(lambda tx: roll_back_service(tx, "web", second.meta.version))
    third = store.view().service(first.id)
    assert third is not None
    assert (third.spec, third.previous_spec) == (first.spec, second.spec)
    assert third.spec_version > second.spec_version
    store.commit(lambda tx: roll_back_service(tx, "web", third.meta.version))
    fourth = store.view().service(first.id)
    assert fourth is not None
    assert fourth.spec == second.spec


@pytest.mark.parametrize("state", ["paused", "rollback_paused"])
def test_an_update_that_is_paused_goes_on_with_an_equal_spec(
    store: MemoryStore, state: UpdateState
) -> None:
    """As `docker service update NAME` does it; what a rollback returns to stays."""
    second = _update(store, _create(store, spec(image="busybox:1")), spec(image="busybox:2"))
    paused = msgspec.structs.replace(second, update_status=UpdateStatus(state=state))
    store.put(paused)
    again = _update(store, paused, spec(image="busybox:2"))
    assert again.update_status is None
    assert (again.spec_version, again.previous_spec) == (second.spec_version, second.previous_spec)


def test_an_update_that_is_under_way_or_over_does_not_notice_an_equal_spec(
    store: MemoryStore,
) -> None:
    first = _create(store, spec())
    states: tuple[UpdateState, ...] = ("updating", "completed", "rollback_started")
    for state in states:
        first = msgspec.structs.replace(first, update_status=UpdateStatus(state=state))
        store.put(first)
        first = _update(store, first, spec())
        assert first.update_status == UpdateStatus(state=state)


def test_a_rollback_to_a_network_that_is_gone_is_refused(store: MemoryStore) -> None:
    second = _update(store, _create(store, _on_network(spec(), "st_front")), spec())
    store.commit(lambda tx: tx.delete(NETWORK))
    with pytest.raises(NotFound, match=r"network n+ not found"):
        store.commit(lambda tx: roll_back_service(tx, "web", second.meta.version))


def test_without_a_previous_spec_there_is_nothing_to_return_to(store: MemoryStore) -> None:
    service = _create(store, spec())
    with pytest.raises(FailedPrecondition, match="does not have a previous spec"):
        store.commit(lambda tx: roll_back_service(tx, "web", service.meta.version))


def test_an_update_must_name_the_version_it_is_based_on(store: MemoryStore) -> None:
    service = _create(store, spec())
    changed = _update(store, service, _scaled(spec(), 3))
    with pytest.raises(OutOfSequence, match="update out of sequence"):
        _update(store, service, _scaled(spec(), 4))
    with pytest.raises(OutOfSequence):
        _update(store, service, changed.spec)


def test_name_and_mode_stay(store: MemoryStore) -> None:
    service = _create(store, spec())
    with pytest.raises(Unimplemented, match="renaming services is not supported"):
        _update(store, service, spec("other"))
    with pytest.raises(Unimplemented, match="service mode change is not allowed"):
        _update(store, service, spec(mode=ServiceMode(global_=GlobalMode())))


def test_with_a_service_its_tasks_go(store: MemoryStore) -> None:
    service = _create(store, spec())
    task = Task(
        id=TaskId("t"),
        meta=Meta(),
        service_id=service.id,
        service_name="web",
        spec=service.spec.task_template,
    )
    store.put(task)
    entries = store.entries
    store.commit(lambda tx: remove_service(tx, "web"))
    assert store.entries == entries + 1
    assert store.view().service(service.id) is None
    (left,) = store.view().tasks
    assert left.desired_state == TaskState.REMOVE
    with pytest.raises(NotFound, match="service web not found"):
        store.commit(lambda tx: remove_service(tx, "web"))


def test_an_unnamed_service_gets_a_free_name(store: MemoryStore) -> None:
    names = {_create(store, spec("")).spec.name}
    for _ in range(50):
        accepted = store.commit(lambda tx: create_service(tx, spec(""), NEW_ID))
        service = store.view().service(accepted.service_id)
        assert service is not None
        names.add(service.spec.name)
    assert len(names) == 51
    assert all("_" in name for name in names)


def test_networks_and_policies_need_no_warning(store: MemoryStore) -> None:
    wanted = _on_network(
        spec(
            update_config=UpdateConfig(failure_action="rollback", max_failure_ratio=0.5),
            rollback_config=UpdateConfig(),
        ),
        "st_front",
    )
    accepted = store.commit(lambda tx: create_service(tx, wanted, NEW_ID))
    assert accepted.warnings == ()


def test_a_rollback_by_hand_says_so_and_a_new_spec_ends_it(store: MemoryStore) -> None:
    changed = _update(store, _create(store, spec()), _scaled(spec(), 3))
    store.commit(lambda tx: roll_back_service(tx, "web", changed.meta.version))
    back = store.view().service(changed.id)
    assert back is not None
    assert back.update_status == UpdateStatus(
        state="rollback_started",
        started_at=back.meta.updated_at,
        since=back.meta.updated_at,
        message="manually requested rollback",
    )
    assert _update(store, back, _scaled(spec(), 5)).update_status is None


def _job(concurrent: int | None = None, total: int | None = None) -> ServiceSpec:
    job = ReplicatedJobMode(max_concurrent=concurrent, total_completions=total)
    return msgspec.structs.replace(spec(), mode=ServiceMode(replicated_job=job))


@pytest.mark.parametrize(
    ("given", "stored"), [((None, None), (1, 1)), ((3, None), (3, 3)), ((2, 5), (2, 5))]
)
def test_a_job_has_its_defaults_stored(
    store: MemoryStore, given: tuple[int | None, int | None], stored: tuple[int, int]
) -> None:
    service = _create(store, _job(*given))
    assert service.spec == msgspec.structs.replace(service.spec, mode=_job(*stored).mode)
    assert service.job_iteration == 0
    assert service.job_began_at == service.meta.created_at


def test_each_change_runs_a_job_anew_and_an_equal_spec_does_not(store: MemoryStore) -> None:
    made = _create(store, _job())
    first = _update(store, made, _job())
    assert _is_only_newer(first, made)
    second = _update(store, first, _job(2))
    assert (second.job_iteration, second.job_began_at) == (1, second.meta.updated_at)
    store.commit(lambda tx: roll_back_service(tx, "web", second.meta.version))
    third = store.view().service(first.id)
    assert third is not None
    assert (third.job_iteration, third.update_status) == (2, None)


def test_jobs_have_no_update_policy_and_no_other_mode(store: MemoryStore) -> None:
    wanted = msgspec.structs.replace(_job(), update_config=UpdateConfig())
    with pytest.raises(InvalidArgument, match="Jobs may not have an update config"):
        _create(store, wanted)
    with pytest.raises(InvalidArgument, match="TotalCompletions: -1 is below 0"):
        _create(store, _job(1, -1))
    with pytest.raises(Unimplemented, match="service mode change is not allowed"):
        _update(store, _create(store, _job()), spec())


ALICE, BOB = RegistryAuth(encoded="alice"), RegistryAuth(encoded="bob")
OF_PREVIOUS_SPEC = Credentials(from_previous_spec=True)


def test_credentials_go_with_the_spec_they_came_with(store: MemoryStore) -> None:
    store.commit(lambda tx: create_service(tx, spec("web"), NEW_ID, ALICE))
    service = store.view().service_by_name("web")

    def change(wanted: ServiceSpec, credentials: Credentials) -> RegistryAuth | None:
        now = store.view().service_by_name("web")
        assert now is not None
        store.commit(lambda tx: update_service(tx, now.id, now.meta.version, wanted, credentials))
        now = store.view().service_by_name("web")
        assert now is not None
        return now.registry_auth

    assert service is not None
    with pytest.raises(FailedPrecondition, match="does not have a previous spec"):
        change(spec("web"), OF_PREVIOUS_SPEC)
    assert change(_scaled(spec("web"), 2), Credentials()) == ALICE
    assert change(_scaled(spec("web"), 3), Credentials(given=BOB, is_given=True)) == BOB
    store.commit(lambda tx: roll_back_service(tx, service.id, _version(store)))
    now = store.view().service_by_name("web")
    assert now is not None
    assert (now.registry_auth, now.previous_registry_auth) == (ALICE, BOB)
    assert change(_scaled(spec("web"), 4), OF_PREVIOUS_SPEC) == BOB


def test_new_credentials_alone_are_no_new_spec(store: MemoryStore) -> None:
    before = _create(store, spec("web"))
    alice = Credentials(given=ALICE, is_given=True)
    store.commit(lambda tx: update_service(tx, before.id, before.meta.version, before.spec, alice))
    after = store.view().service(before.id)
    assert after is not None
    assert after.registry_auth == ALICE
    assert after.spec_version == before.spec_version
    assert after.previous_spec is None
    assert "alice" not in repr(after)


def _version(store: MemoryStore) -> int:
    service = store.view().service_by_name("web")
    assert service is not None
    return service.meta.version
