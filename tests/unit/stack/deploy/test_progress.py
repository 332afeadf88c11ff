"""Tasks to a line and a verdict."""

import json

from stack.deploy.progress import Progress, is_given_up, progress_of, update_id
from stack.translate.extensions import EXTENSION_LABEL


def service(mode: dict | None = None, condition: str = "any", **more: object) -> dict:
    template = {"RestartPolicy": {"Condition": condition}}
    return {
        "ID": "s", "Spec": {"Name": "web", "Mode": mode or {"Replicated": {"Replicas": 2}}, "TaskTemplate": template},
        **more,
    }  # fmt: skip


def task(
    identifier: str, state: str, err: str = "", desired: str = "running", slot: int = 1
) -> dict:
    status = {"State": state, "Message": state, "Err": err}
    return {"ID": identifier, "Slot": slot, "Status": status, "DesiredState": desired}


def judge(found: dict, *tasks: dict, seen: tuple[str, ...] = ()) -> Progress:
    return progress_of(found, tasks, tasks, seen)


def test_all_running_is_done() -> None:
    progress = judge(service(), task("a", "running"), task("b", "running", slot=2))
    assert progress.is_done
    assert progress.line == "web: 2/2 running"


def test_a_waiting_task_says_why() -> None:
    reason = "no suitable node (scheduling constraints not satisfied on 1 node)"
    progress = judge(service(), task("a", "running"), task("b", "pending", reason, slot=2))
    assert not progress.is_done
    assert progress.line == f"web: 1/2 running: {reason}"


def test_a_running_task_that_is_to_stop_does_not_count() -> None:
    assert judge(service(), task("a", "running", desired="shutdown")).running == 0


def test_a_rejected_task_counts_against_the_service_unless_it_is_an_old_one() -> None:
    rejected = task("a", "rejected", "No such image: x", desired="shutdown")
    assert judge(service(), rejected).rejected == ("No such image: x",)
    assert judge(service(), rejected, seen=("a",)).rejected == ()


def test_a_failed_task_is_final_only_without_restart() -> None:
    failed = task("a", "failed", "task: non-zero exit (1)", desired="shutdown")
    assert judge(service(), failed).rejected == ()
    assert judge(service(), failed).failed == frozenset("a")
    assert judge(service(condition="none"), failed).rejected == ("task: non-zero exit (1)",)


def test_a_task_that_ended_well_counts_where_it_is_not_started_again() -> None:
    done = task("a", "complete", desired="shutdown")
    one = {"Replicated": {"Replicas": 1}}
    assert judge(service(one, "on-failure"), done).is_done
    assert judge(service(one, "none"), done).is_done
    assert not judge(service(one, "any"), done).is_done


def test_a_global_service_has_as_many_tasks_as_the_cluster_says() -> None:
    mode: dict = {"Global": {}}
    assert judge(service(mode)).wanted is None
    status = {"RunningTasks": 1, "DesiredTasks": 2}
    progress = judge(service(mode, ServiceStatus=status), task("a", "running"))
    assert (progress.running, progress.wanted, progress.is_done) == (1, 2, False)


def test_no_replicas_are_done_at_once() -> None:
    assert judge(service({"Replicated": {"Replicas": 0}})).is_done


def test_a_rolled_back_update_is_never_done() -> None:
    update = {"State": "rollback_completed", "Message": "rollback completed"}
    progress = judge(
        service({"Replicated": {"Replicas": 1}}, UpdateStatus=update), task("a", "running")
    )
    assert not progress.is_done
    assert progress.stopped == "the update was rolled back: rollback completed"


def test_crashes_are_counted_by_slot() -> None:
    failed = [task(name, "failed", "exit", slot=slot) for name, slot in zip("abcd", (1, 1, 2, 1), strict=True)]  # fmt: skip
    assert judge(service(), *failed).crashes == 3
    assert judge(service(), *failed, seen=("a",)).crashes == 2
    assert judge(service(), *failed, seen=("a", "b", "d")).crashes == 1
    assert judge(service()).crashes == 0


def test_a_program_that_is_not_there_will_never_run() -> None:
    reason = 'starting container failed: exec: "x": executable file not found in $PATH: unknown'
    assert judge(service(), task("a", "failed", reason)).rejected == (reason,)
    reason = "starting container failed: stat /x: no such file or directory: unknown"
    assert judge(service(), task("a", "failed", reason)).rejected == (reason,)


def test_a_paused_update_says_what_became_of_the_task_it_names() -> None:
    message = "update paused due to failure or early termination of task b"
    update = {"State": "paused", "Message": message}
    progress = judge(
        service(UpdateStatus=update),
        task("a", "running"),
        task("b", "rejected", "No such image: x"),
    )
    assert progress.stopped == f"the update is paused: {message}: No such image: x"


def test_an_update_that_had_stopped_before_says_nothing() -> None:
    update = {"State": "rollback_completed", "StartedAt": "then", "Message": "rollback completed"}
    rolled_back = service({"Replicated": {"Replicas": 1}}, UpdateStatus=update)
    seen = (update_id(rolled_back),)
    assert judge(rolled_back, task("a", "running"), seen=seen).is_done
    again = {**rolled_back, "UpdateStatus": {**update, "StartedAt": "later"}}
    assert not judge(again, task("a", "running"), seen=seen).is_done


def job(mode: dict, **more: object) -> dict:
    return service(mode, JobStatus={"JobIteration": {"Index": 1}}, **more)


def run(identifier: str, state: str, err: str = "", **more: object) -> dict:
    return {**task(identifier, state, err, desired="complete"), "JobIteration": {"Index": 1}, **more}  # fmt: skip


TWICE: dict = {"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 2}}


def test_a_job_is_done_when_all_of_it_has_completed() -> None:
    first = run("a", "complete")
    del first["Slot"]  # slots of jobs count from 0, which is left out
    progress = judge(job(TWICE), first, run("b", "running"))
    assert (progress.is_done, progress.line) == (False, "web: 1/2 completed")
    assert judge(job(TWICE), first, run("b", "complete")).is_done


def test_a_job_that_completed_before_is_done_still() -> None:
    once: dict = {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}}
    assert judge(job(once), run("a", "complete"), seen=("a",)).is_done
    earlier = {**run("a", "complete"), "JobIteration": {}}
    assert not judge(job(once), earlier, seen=("a",)).is_done


def test_a_job_everywhere_has_as_many_tasks_as_nodes() -> None:
    mode: dict = {"GlobalJob": {}}
    assert judge(job(mode)).wanted is None
    counts = {"RunningTasks": 1, "DesiredTasks": 1, "CompletedTasks": 1}
    tasks = [run("a", "complete", Slot=0, NodeID="x"), run("b", "running", Slot=0, NodeID="y")]
    progress = judge(job(mode, ServiceStatus=counts), *tasks)
    assert (progress.running, progress.wanted) == (1, 2)


def test_a_job_whose_attempts_are_used_up_is_hopeless() -> None:
    failed = [run(name, "failed", "task: non-zero exit (4)") for name in "ab"]
    found = job(TWICE)
    assert judge(found, *failed).rejected == ()
    found["Spec"]["TaskTemplate"]["RestartPolicy"]["MaxAttempts"] = 1
    assert judge(found, *failed[:1]).rejected == ()
    assert judge(found, *failed).rejected == ("task: non-zero exit (4)",)


def test_a_one_shot_that_is_tried_no_more_is_hopeless() -> None:
    found = service({"Replicated": {"Replicas": 1}}, "on-failure")
    found["Spec"]["TaskTemplate"]["RestartPolicy"]["MaxAttempts"] = 1
    failed = [task(name, "failed", "task: non-zero exit (4)") for name in "ab"]
    assert judge(found, *failed[:1]).rejected == ()
    assert judge(found, *failed).rejected == ("task: non-zero exit (4)",)


def test_a_one_shot_whose_end_the_cluster_took_for_too_early_is_done() -> None:
    paused = {"State": "paused", "StartedAt": "now", "Message": "early termination of task a"}
    found = service({"Replicated": {"Replicas": 1}}, "none", UpdateStatus=paused)
    assert judge(found, task("a", "complete", desired="shutdown")).is_done


def test_the_task_to_blame_is_told_with_node_and_exit_code() -> None:
    failed = {**task("a", "failed", "task: non-zero exit (3)", slot=2), "NodeID": "n"}
    failed["Status"]["ContainerStatus"] = {"ContainerID": "c", "ExitCode": 3}
    [culprit] = judge(service(), failed).culprits
    assert (culprit.service, culprit.slot, culprit.node_id, culprit.exit_code) == ("web", 2, "n", 3)


def test_a_service_is_given_up_when_it_failed_and_nothing_is_tried_again() -> None:
    failed = task("a", "failed", "exit", desired="shutdown")
    one = {"Replicated": {"Replicas": 1}}
    assert is_given_up(service(one, "none"), [failed])
    assert not is_given_up(service(one), [failed, task("b", "preparing", desired="ready")])
    assert not is_given_up(service(one, "none"), [task("a", "complete", desired="shutdown")])
    assert not is_given_up(service(one, "none"), [])


def test_a_service_without_tasks_says_what_it_waits_for() -> None:
    label = json.dumps({"depends_on": {"db": {"condition": "service_healthy"}}})
    waiting = service()
    waiting["Spec"]["Labels"] = {EXTENSION_LABEL: label}
    progress = judge(waiting)
    assert (progress.phase, progress.line) == (
        "waiting",
        "web: 0/2 running: waits for db to be healthy",
    )
    assert judge(waiting, task("a", "preparing")).waiting == ()
