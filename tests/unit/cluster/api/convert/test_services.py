from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from cluster.api.convert.services import service_json, service_status
from cluster.api.payloads.decoding import convert_tree
from cluster.model.endpoint import ServiceEndpoint, VirtualIp
from cluster.model.ids import NodeId, ServiceId, TaskId
from cluster.model.meta import Meta
from cluster.model.service import (
    GlobalJobMode,
    GlobalMode,
    ReplicatedJobMode,
    ReplicatedMode,
    Service,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
    UpdateStatus,
)
from cluster.model.task import Task, TaskStatus
from cluster.model.task_state import TaskState
from cluster.model.units import Timestamp
from cluster.model.update_policy import UpdateConfig
from tests.support.builders import make_network, make_state
from tests.unit.cluster.api.golden_files import as_json, golden, meta, moment


def _stored(shown: dict[str, Any]) -> Service:
    return Service(
        id=ServiceId(shown["ID"]),
        meta=meta(shown),
        spec=convert_tree(shown["Spec"], ServiceSpec),
        spec_version=1,
    )


@pytest.mark.parametrize(
    "name", ["service-replicated-insertDefaults-false", "service-global-dnsrr"]
)
def test_a_service_looks_as_recorded(name: str) -> None:
    shown = golden(name)
    assert as_json(service_json(_stored(shown), make_state())) == shown


def test_defaults_are_inserted_as_recorded() -> None:
    with_defaults = golden("service-replicated-insertDefaults-true")
    stored = _stored(golden("service-replicated-insertDefaults-false"))
    assert (
        as_json(service_json(stored, make_state(), insert_defaults=True)["Spec"])
        == with_defaults["Spec"]
    )


@pytest.mark.parametrize(("ratio", "text"), [(0.0, b"0"), (0.25, b"0.25"), (1.0, b"1")])
def test_a_whole_ratio_has_no_fraction_as_recorded(ratio: float, text: bytes) -> None:
    config = UpdateConfig(max_failure_ratio=ratio)
    spec = ServiceSpec(name="web", update_config=config, rollback_config=config)
    service = Service(id=ServiceId("s"), meta=Meta(), spec=spec, spec_version=1)
    shown = msgspec.json.encode(service_json(service, make_state(), insert_defaults=True))
    assert shown.count(b'"MaxFailureRatio":' + text + b",") == 2


def test_all_options_come_back() -> None:
    shown = golden("service-all-options-insertDefaults-true")
    stored = _stored(shown)
    (recorded,) = shown["Endpoint"]["VirtualIPs"]
    network = make_network(recorded["NetworkID"], subnet="10.0.3.0/24")
    address = VirtualIp(network_id=network.id, address=recorded["Addr"].partition("/")[0])
    assert stored.spec.endpoint_spec is not None
    endpoint = ServiceEndpoint(virtual_ips=(address,), ports=stored.spec.endpoint_spec.ports)
    given = replace(stored, endpoint=endpoint)
    answer = as_json(service_json(given, make_state(network), insert_defaults=True))
    assert answer["Spec"] == shown["Spec"]
    assert answer["Endpoint"] == shown["Endpoint"]


def test_a_status_of_an_update_shows_only_what_is_known() -> None:
    service = Service(
        id=ServiceId("s"),
        meta=Meta(),
        spec=ServiceSpec(name="web"),
        spec_version=1,
        previous_spec=ServiceSpec(name="old"),
        update_status=UpdateStatus(state="updating", started_at=Timestamp(10**9), message="m"),
    )
    shown = service_json(service, make_state())
    assert shown["UpdateStatus"] == {
        "State": "updating",
        "StartedAt": "1970-01-01T00:00:01Z",
        "Message": "m",
    }
    assert shown["PreviousSpec"]["Name"] == "old"


def _task(number: int, *, slot: int = 0, node: str = "n1", **changes: Any) -> Task:
    members: dict[str, Any] = {"status": TaskStatus(state=TaskState.RUNNING), **changes}
    return Task(
        id=TaskId(f"t{number}"),
        meta=Meta(),
        service_id=ServiceId("s"),
        service_name="web",
        slot=slot,
        node_id=NodeId(node),
        spec=TaskSpec(),
        **members,
    )


def _service(mode: ServiceMode) -> Service:
    return Service(
        id=ServiceId("s"), meta=Meta(), spec=ServiceSpec(name="web", mode=mode), spec_version=1
    )


def test_a_count_never_shows_more_than_is_wanted() -> None:
    service = _service(ServiceMode(replicated=ReplicatedMode(replicas=3)))
    tasks = [
        _task(1, slot=1),
        _task(2, slot=1),  # start-first: its successor runs too
        _task(3, slot=2, desired_state=TaskState.SHUTDOWN),
        _task(4, slot=3, node="gone"),
        _task(5, slot=3, status=TaskStatus(state=TaskState.STARTING)),
    ]
    counts = service_status(service, tasks, frozenset({NodeId("gone")}))
    assert counts == {"RunningTasks": 1, "DesiredTasks": 3, "CompletedTasks": 0}


def test_a_service_that_was_made_smaller_this_moment_shows_no_more_than_it_wants() -> None:
    service = _service(ServiceMode(replicated=ReplicatedMode(replicas=2)))
    counts = service_status(service, [_task(n, slot=n) for n in (1, 2, 3)], frozenset())
    assert counts == {"RunningTasks": 2, "DesiredTasks": 2, "CompletedTasks": 0}


def test_a_global_service_wants_what_the_orchestrator_has_made() -> None:
    service = _service(ServiceMode(global_=GlobalMode()))
    tasks = [_task(1), _task(2, node="n2", status=TaskStatus(state=TaskState.PENDING))]
    counts = service_status(service, tasks, frozenset())
    assert (counts["RunningTasks"], counts["DesiredTasks"]) == (1, 2)


@pytest.mark.parametrize("name", ["service-job", "service-global-job"])
def test_a_job_looks_as_recorded(name: str) -> None:
    shown = golden(name)
    began_at = moment(shown["JobStatus"]["LastExecution"])
    assert (
        as_json(service_json(replace(_stored(shown), job_began_at=began_at), make_state())) == shown
    )


@pytest.mark.parametrize("course", golden("service-updatestatus-timelines"))
def test_the_status_of_an_update_looks_as_recorded(course: str) -> None:
    for seen in golden("service-updatestatus-timelines")[course]:
        recorded = seen["UpdateStatus"]
        if recorded is None:
            continue
        completed_at = recorded.get("CompletedAt")
        status = UpdateStatus(
            state=recorded["State"],
            started_at=moment(recorded["StartedAt"]),
            completed_at=moment(completed_at) if completed_at else Timestamp(0),
            message=recorded["Message"],
            outdated_slots=3,
        )
        service = replace(_service(ServiceMode(replicated=ReplicatedMode())), update_status=status)
        assert as_json(service_json(service, make_state())["UpdateStatus"]) == recorded


def test_a_job_counts_what_its_present_iteration_has_completed() -> None:
    mode = ServiceMode(replicated_job=ReplicatedJobMode(max_concurrent=2, total_completions=5))
    service = replace(_service(mode), job_iteration=1)
    job: dict[str, Any] = {"mode": "replicated-job", "desired_state": TaskState.COMPLETE}
    done = TaskStatus(state=TaskState.COMPLETE)
    tasks = [
        _task(1, slot=0, status=done, job_iteration=1, **job),
        _task(2, slot=1, job_iteration=1, **job),
        _task(3, slot=1, status=done, job_iteration=0, **job),
    ]
    counts = service_status(service, tasks, frozenset())
    assert counts == {"RunningTasks": 1, "DesiredTasks": 2, "CompletedTasks": 1}


def test_a_global_job_wants_what_is_not_done_yet() -> None:
    service = _service(ServiceMode(global_job=GlobalJobMode()))
    job: dict[str, Any] = {"mode": "global-job", "desired_state": TaskState.COMPLETE}
    tasks = [
        _task(1, status=TaskStatus(state=TaskState.COMPLETE), **job),
        _task(2, node="n2", **job),
    ]
    counts = service_status(service, tasks, frozenset())
    assert counts == {"RunningTasks": 1, "DesiredTasks": 1, "CompletedTasks": 1}
