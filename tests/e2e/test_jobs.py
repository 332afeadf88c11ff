"""Jobs by the stock client, on three hosts."""

from __future__ import annotations

from typing import Any

from tests.support.cluster import HOSTS, Cluster, wait_for

IMAGE = "stackyard/test:1"
OPTIONS = ("--no-resolve-image", "--restart-delay", "1s")


def create(cluster: Cluster, mode: str, *options: str, command: str) -> None:
    cluster.docker(
        "service", "create", "--name", "job", "--mode", mode, *OPTIONS, *options,
        IMAGE, "sh", "-c", command,
    )  # fmt: skip


def completed(cluster: Cluster) -> list[Any]:
    """Slot and node of the tasks of the present iteration that have run to their end."""
    iteration = cluster.service("job")["JobStatus"]["JobIteration"]
    done = [
        task
        for task in cluster.api("GET", "/tasks")
        if task["JobIteration"] == iteration and task["Status"]["State"] == "complete"
    ]
    return sorted((task.get("Slot", 0), task["DesiredState"]) for task in done)


def test_a_replicated_job_runs_to_its_end(cluster: Cluster) -> None:
    # not detached: the client waits for the last completion
    create(cluster, "replicated-job", "--replicas", "5", "--max-concurrent", "2", command="sleep 1")
    assert completed(cluster) == [(slot, "complete") for slot in range(5)]
    listed = cluster.docker("service", "ls", "--format", "{{.Mode}} {{.Replicas}}").stdout
    assert listed.strip() == "replicated job 0/2 (5/5 completed)"
    wait_for("its containers to have ended", lambda: not cluster.containers("job"))
    # any change of its spec runs it anew
    cluster.docker("service", "update", "--force", "--no-resolve-image", "job")
    assert cluster.service("job")["JobStatus"]["JobIteration"] == {"Index": 1}
    assert completed(cluster) == [(slot, "complete") for slot in range(5)]
    cluster.docker("service", "rm", "job")
    wait_for("its tasks to go", lambda: not cluster.api("GET", "/tasks"))


def test_a_global_job_runs_once_on_every_host(cluster: Cluster) -> None:
    create(cluster, "global-job", command="sleep 1")
    assert len(completed(cluster)) == len(HOSTS)
    listed = cluster.docker("service", "ls", "--format", "{{.Mode}} {{.Replicas}}").stdout
    assert listed.strip() == "global job 0/0 (3/3 completed)"
    # a node that was away gets its task
    node = cluster.node(2)["ID"]
    cluster.docker("node", "update", "--availability", "drain", node)
    cluster.docker("service", "update", "--force", "--no-resolve-image", "--detach", "job")
    wait_for("two completions", lambda: len(completed(cluster)) == 2)
    cluster.docker("node", "update", "--availability", "active", node)
    wait_for("the third", lambda: len(completed(cluster)) == 3)


def test_a_job_follows_a_drained_node(cluster: Cluster) -> None:
    create(
        cluster, "replicated-job", "--detach", "--replicas", "3", "--max-concurrent", "3",
        "--stop-grace-period", "1s", command="trap 'exit 1' TERM; sleep 12 & wait",
    )  # fmt: skip
    wait_for("the tasks to run", lambda: len(cluster.containers("job")) == 3)
    cluster.docker("node", "update", "--availability", "drain", cluster.node(2)["ID"])
    wait_for(
        "its task to run elsewhere",
        lambda: sorted(c.host for c in cluster.containers("job")) in ([1, 1, 3], [1, 3, 3]),
    )
    wait_for("the end of the job", lambda: len(completed(cluster)) == 3)


def test_a_task_that_fails_is_tried_again(cluster: Cluster) -> None:
    create(cluster, "replicated-job", "--detach", "--restart-max-attempts", "2", command="exit 4")
    wait_for("three attempts", lambda: len(cluster.api("GET", "/tasks")) == 3)
    assert {t.exit_code for t in cluster.tasks("job") if t.state == "failed"} == {4}


def test_a_stack_s_job_is_waited_for_until_it_has_completed(cluster: Cluster) -> None:
    policy = {"condition": "on-failure", "delay": "1s", "max_attempts": 1}
    job = {"image": IMAGE, "command": "sh -c 'sleep 1'", "deploy": {"mode": "global-job"}}
    said = cluster.deploy("jobs", {"everywhere": job})
    assert f"jobs_everywhere: {len(HOSTS)}/{len(HOSTS)} completed" in said.stdout
    tasks = {task.id for task in cluster.tasks("jobs_everywhere")}
    cluster.deploy("jobs", {"everywhere": job})
    assert {task.id for task in cluster.tasks("jobs_everywhere")} == tasks  # not run again
    changed = {**job, "environment": {"A": "1"}}
    said = cluster.deploy("jobs", {"everywhere": changed})
    assert f"jobs_everywhere: {len(HOSTS)}/{len(HOSTS)} completed" in said.stdout
    assert {task.id for task in cluster.tasks("jobs_everywhere")} != tasks
    deploy = {"mode": "replicated-job", "replicas": 1, "restart_policy": policy}
    broken = {"image": IMAGE, "command": "sh -c 'exit 4'", "deploy": deploy}
    said = cluster.deploy("jobs", {"everywhere": changed, "broken": broken}, code=1)
    assert "jobs_broken: a task cannot run: " in said.stderr
